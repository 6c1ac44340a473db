"""`rddlite executor`: be an executor of a driver that listens."""

from __future__ import annotations

import argparse

from rddlite.deploy.cores import usable_cores
from rddlite.executor.main import serve


def run_executor(options: argparse.Namespace) -> int:
    """Join, run tasks, leave; the exit code."""
    slots = options.slots or usable_cores()
    return serve(options.driver, options.key_file, slots, options.memory, options.host, options.scratch_dir)
