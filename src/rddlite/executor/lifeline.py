"""Nobody outlives whom they work for: death signals for children, and a watch on the driver for the executor."""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: a child only makes the call.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send this signal when the parent process ends. To be called first thing in a forked child.

    Should the parent have ended already, this process does as well.
    """
    if _prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        os._exit(0)


def watch_process(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None if it has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
