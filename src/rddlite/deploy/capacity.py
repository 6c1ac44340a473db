"""Whether a cluster on one machine fits it: said before hundreds of processes are started, not by what they run into.

What surely does not fit is refused; what only makes no sense is warned of. Never counts what others use now: a limit
that holds everybody's processes or memory may be hit all the same, and is then told by what failed.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass

from rddlite.base.log import logger
from rddlite.base.units import show_bytes
from rddlite.deploy.cores import usable_cores
from rddlite.deploy.masterurl import ClusterSpec
from rddlite.errors import ProviderError
from rddlite.executor.memory import usable_memory

_TASKS_OF_AN_EXECUTOR = 8
"""Processes and threads of an executor beside its workers, and the thread of the driver that waits for it."""
_LEAST_OF_AN_EXECUTOR, _LEAST_OF_A_WORKER = 10 << 20, 2 << 20
"""Memory that they share with nobody when they have done nothing yet."""
_WORKERS_PER_CORE = 16
"""More than that have no use, not even where tasks wait for something most of the time."""
_log = logger("deploy")


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process and its children may use; `tasks` are processes and threads, None if nobody limits them."""

    cores: int
    memory: int
    tasks: int | None


def require_room(spec: ClusterSpec, master: str) -> None:
    """Refuse a cluster that this machine surely cannot hold, and warn of one that it should not.

    Raises:
        ProviderError: with what is missing, and what to do.
    """
    machine = Machine(usable_cores(), usable_memory(), most_tasks())
    lack = what_lacks(spec, machine)
    if lack is not None:
        raise ProviderError(f"master {master!r} {lack}")
    _allow(_n_tasks(spec))
    for doubt in doubts(spec, machine):
        _log.warning("master %r %s", master, doubt)


def what_lacks(spec: ClusterSpec, machine: Machine) -> str | None:
    """Why the cluster cannot be started there; None if nothing is known against it."""
    n_workers = spec.executors * spec.slots
    tasks = _n_tasks(spec)
    if machine.tasks is not None and tasks > machine.tasks:
        return (
            f"needs at least {tasks} processes and threads, and {machine.tasks} are allowed: use fewer executors or "
            "cores, or raise the limit (ulimit -u; in a container its limit of pids)"
        )
    memory = spec.executors * _LEAST_OF_AN_EXECUTOR + n_workers * _LEAST_OF_A_WORKER
    if memory > machine.memory:
        return (
            f"needs {show_bytes(memory)} of memory before anything runs, and this machine has "
            f"{show_bytes(machine.memory)}: use fewer executors or cores"
        )
    return None


def doubts(spec: ClusterSpec, machine: Machine) -> Iterator[str]:
    """What is likely not meant."""
    n_workers = spec.executors * spec.slots
    if n_workers > machine.cores * _WORKERS_PER_CORE:
        yield (
            f"starts {n_workers} workers in {spec.executors} executors on {machine.cores} cores: starting them takes "
            f"long, and tasks will not be quicker than with {machine.cores * 2}; use fewer executors or cores"
        )
    memory = spec.executors * (spec.memory or 0)
    if memory > machine.memory:
        yield (
            f"promises {show_bytes(memory)} of memory in all, and this machine has {show_bytes(machine.memory)}: if "
            "tasks use what they may, the kernel kills some of them; name less memory, or use fewer executors"
        )


def most_tasks() -> int | None:
    """How many processes and threads there can be, if the soft limit is raised; None if nothing limits them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = [] if os.geteuid() == 0 or hard == resource.RLIM_INFINITY else [hard]  # root has no such limit
    for path in ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", "/sys/fs/cgroup/pids.max"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            limits.append(int(file.read()))  # a group without a limit says "max"
    return min(limits, default=None)


def _n_tasks(spec: ClusterSpec) -> int:
    return spec.executors * (_TASKS_OF_AN_EXECUTOR + spec.slots)


def _allow(tasks: int) -> None:
    """Raise the soft limit of processes where it may be in the way of so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft != hard and soft < 2 * tasks:
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
