"""`rddlite executor`: be an executor of a driver that listens."""

from __future__ import annotations

import argparse

from rddlite.base.units import show_bytes
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.masterurl import LEAST_MEMORY
from rddlite.errors import UsageError
from rddlite.executor.main import serve


def run_executor(options: argparse.Namespace) -> int:
    """Join, run tasks, leave; the exit code.

    Raises:
        UsageError: if there is too little memory for so many workers.
    """
    slots = options.slots or usable_cores()
    if options.memory is not None and options.memory < slots * LEAST_MEMORY:
        raise UsageError(
            f"--memory {show_bytes(options.memory)} is {show_bytes(options.memory // slots)} for each worker, and each "
            f"needs at least {show_bytes(LEAST_MEMORY)}: name more, or fewer --slots ({slots})"
        )
    return serve(options.driver, options.key_file, slots, options.memory, options.host, options.scratch_dir)
