"""The command line: `rddlite`, or `python -m rddlite`."""
