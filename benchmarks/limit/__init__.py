"""The limit: what a good programmer would write by hand for each workload, with processes, dicts and pickle files.

Two forked processes a phase; the users' functions are called as they are (only `+` for `operator.add` is written
out); the map side combines where that helps; what crosses processes goes through pickle files in batches; the garbage
collector is off, as nothing here makes cycles. No retries, no limits, no answers to anything that goes wrong.
"""
