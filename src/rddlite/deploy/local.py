"""`local[n]` and `local-cluster[n,c,m]`: executors of this host, children of the driver, replaced when they die.

Their end is noticed at once, by a thread that waits for each. The application's scratch directory holds the executors'
files; whoever is the last to go removes it. One executor of this host speaks through a private socket in there;
several speak over TCP, and each counts as a host of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rddlite.base.clock import SystemClock
from rddlite.base.ids import ExecutorId
from rddlite.base.log import logger
from rddlite.base.signals import signal_name
from rddlite.deploy.launch import ExecutorSpec, start_executor
from rddlite.driver.provider import ExecutorEnded, Post, ProviderGaveUp
from rddlite.storage.disks import remove_all
from rddlite.storage.localdirs import Scratch

_LEAVE_LIMIT = 8.0
_YOUNG, _PAUSE = 5.0, 1.0
_log = logger("deploy")


@dataclass(frozen=True, slots=True)
class Fleet:
    """The executors that are to run: how many, of how many workers, and how they reach the driver.

    With `keys` (as a line of text) they are hosts of their own. `restarts` is how many are started in place of others.
    `variables` are for their environment.
    """

    n_executors: int
    slots: int
    endpoint: str
    restarts: int
    keys: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    seat: int | None
    """None while it leaves."""
    born: float


class LocalProvider:
    """Keeps the executors of a fleet running. `want` and `stop` are called by the loop thread, `close` by whoever ends
    it; the waiting threads replace what ended.
    """

    join_command: str | None = None

    def __init__(self, fleet: Fleet, scratch: Scratch) -> None:
        self._fleet = fleet
        self._scratch = scratch
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._children: dict[ExecutorId, _Child] = {}
        self._waiters: list[threading.Thread] = []
        self._started = 0
        self._closing = threading.Event()
        self._post: Post | None = None

    def start(self, post: Post) -> None:
        """Start all executors."""
        self._post = post
        self._fill()

    def want(self) -> None:
        """Start what is missing, up to `executor.restarts` in all."""
        self._fill()

    def objection(self, executor: ExecutorId, n_others: int) -> str | None:
        """Only executors that were started here and have not ended take part."""
        with self._lock:
            is_child = executor in self._children
        return None if is_child else f"executor {executor} does not belong to this application"

    def stop(self, executor: ExecutorId) -> None:
        """Kill one executor; its zygote and workers die with it."""
        with self._lock:
            child = self._children.get(executor)
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGKILL)

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """Its end would be seen anyway: it is a child of this process."""

    def unsuspect(self, executor: ExecutorId) -> None:
        """Nothing was to be found out."""

    def leaving(self, executor: ExecutorId) -> None:
        """Its seat is free."""
        with self._lock:
            child = self._children.get(executor)
            if child is not None:
                self._children[executor] = replace(child, seat=None)

    def close(self) -> None:
        """End all executors, kindly first, and remove the application's scratch directory."""
        with self._lock:
            self._closing.set()
            processes = [child.process for child in self._children.values()]
        for process in processes:
            # The end of its stdin is the order to leave, and needs no working connection.
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        deadline = self._clock.now() + _LEAVE_LIMIT
        for process in processes:
            try:
                process.wait(max(0.0, deadline - self._clock.now()))
            except subprocess.TimeoutExpired:
                _log.warning("executor process %d did not leave within %.0f s: killed", process.pid, _LEAVE_LIMIT)
                process.kill()
        for waiter in self._waiters:
            waiter.join(_LEAVE_LIMIT)
        self._scratch.release()

    def _fill(self) -> None:
        with self._lock:
            gave_up = None
            while gave_up is None and (free := self._free_seats()) and not self._closing.is_set():
                gave_up = self._start_one(min(free))
        if gave_up is not None:
            assert self._post is not None
            self._post(ProviderGaveUp(gave_up))

    def _free_seats(self) -> set[int]:
        return set(range(self._fleet.n_executors)).difference(child.seat for child in self._children.values())

    def _start_one(self, seat: int) -> str | None:
        """Start one more; why that cannot be, if so. The lock is held."""
        n_replaced = self._started - self._fleet.n_executors
        if n_replaced >= self._fleet.restarts:
            return f"executors died and were replaced {n_replaced} times (executor.restarts)"
        executor = ExecutorId(str(self._started))
        self._started += 1
        try:
            child = _Child(start_executor(self._spec(executor, seat)), seat, self._clock.now())
        except OSError as error:
            return f"the executor process could not be started: {error}"
        self._children[executor] = child
        waiter = threading.Thread(target=self._wait_for, args=(executor, child), name="rddlite-waiter", daemon=True)
        self._waiters = [thread for thread in self._waiters if thread.is_alive()] + [waiter]
        waiter.start()
        return None

    def _spec(self, executor: ExecutorId, seat: int) -> ExecutorSpec:
        fleet = self._fleet
        host = f"executor-host-{seat}" if fleet.keys else ""
        scratch = self._scratch.subdir(_scratch_name(executor))
        return ExecutorSpec(executor, fleet.endpoint, fleet.slots, scratch, host, fleet.keys, fleet.variables)

    def _wait_for(self, executor: ExecutorId, child: _Child) -> None:
        status = child.process.wait()
        if child.process.stdin is not None:
            with contextlib.suppress(OSError):
                child.process.stdin.close()
        with self._lock:
            self._children.pop(executor, None)
        assert self._post is not None
        self._post(ExecutorEnded(executor, _describe(status)))
        # One that was killed could not remove its files, and nobody will ask for them any more.
        remove_all(os.path.join(self._scratch.path, _scratch_name(executor)))
        if self._clock.now() - child.born < _YOUNG:
            self._closing.wait(_PAUSE)  # what ends as soon as it starts is not tried ten times a second
        self._fill()


def _scratch_name(executor: ExecutorId) -> str:
    return f"executor-{executor}"


def _describe(status: int) -> str:
    if status < 0:
        return f"its process got {signal_name(-status)}"
    return f"its process ended with exit code {status}"
