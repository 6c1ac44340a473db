"""The process that owns the jobs: event loop, payloads, results."""
