"""Open files, which connections are: checked before executors are started or awaited, not when one cannot come in.

The driver needs one descriptor for each connection; libzmq needs no socket of its own for it (its `MAX_SOCKETS` counts
sockets, and the hub has a handful), but a few for its threads. The soft limit is raised as far as is needed and no
further: programs of the user may call `select`, which ends at 1,024.
"""

from __future__ import annotations

import os
import resource

from rddlite.errors import ProviderError

_OF_LIBZMQ = 16
"""Of one `zmq.Context`: its threads' polls and mailboxes, and the sockets of hub, monitor and doorman."""
_SPARE = 128
"""For the program itself: files of its own, and those of jobs while they run."""


def require_descriptors(n_executors: int, per_executor: int, what: str) -> None:
    """See to it that `per_executor` descriptors can be opened for each of them, beside what is open now.

    Raises:
        ProviderError: if the hard limit is too low; `what` says for what so many are needed.
    """
    needed = needed_limit(n_executors, per_executor, len(os.listdir("/proc/self/fd")))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = raised_limit(needed, soft, hard)
    if raised is None:
        raise ProviderError(
            f"{what} needs {needed} open files in this process ({per_executor} for each of {n_executors} executors) "
            f"and its hard limit is {hard}: raise it (as root: ulimit -n {needed}; for services: LimitNOFILE={needed}) "
            "or use fewer executors"
        )
    if raised != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))


def needed_limit(n_executors: int, per_executor: int, n_open: int) -> int:
    """The limit of open files under which all of them find room."""
    return n_open + n_executors * per_executor + _OF_LIBZMQ + _SPARE


def raised_limit(needed: int, soft: int, hard: int) -> int | None:
    """The soft limit to set, which may be the one there is; None if the hard one does not allow it."""
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return soft
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return needed
    return None
