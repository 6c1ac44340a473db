"""What the loop knows of each executor beside the scheduler's view: who it is, and what it last told of itself.

Owned by the loop thread; `snapshot` hands out frozen copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.net.messages import ExecutorAlive, Register
from rddlite.net.samehost import is_same_host
from rddlite.plan.model import MapStage
from rddlite.schedule.commands import Launch


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that an executor is running now. `kind` is `map` or `result`; `seconds` since it started."""

    stage: int
    kind: str
    partition: int
    attempt: int
    worker_pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """One executor. `memory` is the resident size of all its processes in bytes, as of its last heartbeat. `state` is
    `alive`; or it gets no new tasks, as it is `suspect` (out of reach), `draining` (it leaves), or `excluded` (for a
    while, because tasks failed there).
    """

    id: str
    host: str
    pid: int
    slots: int
    workers: list[int]
    state: str
    memory: int
    running: list[RunningTask]


@dataclass(slots=True)
class _Entry:
    who: Register
    alive: ExecutorAlive
    is_remote: bool
    is_connected: bool = True
    launched: dict[AttemptId, Launch] = field(default_factory=dict)
    reports: int = 0
    early_reports: set[int] = field(default_factory=set)


class Roster:
    """The executors that registered and are not gone."""

    def __init__(self) -> None:
        self._entries: dict[ExecutorId, _Entry] = {}

    def join(self, message: Register) -> bool:
        """Note a registration; False if the executor was known already."""
        executor = ExecutorId(message.executor)
        entry = self._entries.get(executor)
        is_remote = not is_same_host(message.scratch, message.token)
        if entry is not None:
            entry.who, entry.is_remote, entry.is_connected = message, is_remote, True
            return False
        alive = ExecutorAlive(message.executor, 0, message.workers, [], 0)
        self._entries[executor] = _Entry(message, alive, is_remote)
        return True

    def __contains__(self, executor: ExecutorId) -> bool:
        return executor in self._entries

    def ids(self) -> list[ExecutorId]:
        """All of them, in order of registration."""
        return list(self._entries)

    def heard(self, message: ExecutorAlive) -> None:
        """Note a heartbeat."""
        entry = self._entries.get(ExecutorId(message.executor))
        if entry is not None:
            entry.alive = message

    def suspect(self, executor: ExecutorId) -> None:
        """Something sent to it got lost."""
        if executor in self._entries:
            self._entries[executor].is_connected = False

    def is_suspect(self, executor: ExecutorId) -> bool:
        """Whether something sent to it got lost since it last registered."""
        entry = self._entries.get(executor)
        return entry is not None and not entry.is_connected

    def launched(self, launch: Launch) -> None:
        """Note an attempt that was sent."""
        self._entries[launch.executor].launched[launch.attempt] = launch

    def ended(self, executor: ExecutorId, attempt: AttemptId) -> Launch | None:
        """Note the end of an attempt; None if it is known already, or of an attempt that was never sent there."""
        entry = self._entries.get(executor)
        return None if entry is None else entry.launched.pop(attempt, None)

    def reported(self, executor: ExecutorId, number: int) -> None:
        """Note that the `TasksEnded` of this number arrived; messages may be lost or come twice."""
        entry = self._entries.get(executor)
        if entry is None or number <= entry.reports:
            return
        entry.early_reports.add(number)
        while entry.reports + 1 in entry.early_reports:
            entry.reports += 1
            entry.early_reports.remove(entry.reports)

    def reports_seen(self, executor: ExecutorId) -> int:
        """The number up to which every `TasksEnded` of this executor arrived."""
        entry = self._entries.get(executor)
        return entry.reports if entry is not None else 0

    def leave(self, executor: ExecutorId) -> None:
        """The executor is gone."""
        self._entries.pop(executor, None)

    def place(self, executor: ExecutorId) -> tuple[str, str, str]:
        """Where its files are: scratch directory, address of its block server, token; empty texts for one that is
        gone.
        """
        entry = self._entries.get(executor)
        return (entry.who.scratch, entry.who.address, entry.who.token) if entry is not None else ("", "", "")

    def place_name(self, executor: ExecutorId) -> str:
        """Where it is, as tasks are told: `host:port`, with port 0 where it listens to nobody."""
        entry = self._entries.get(executor)
        if entry is None:
            return ":0"
        return entry.who.address.rpartition("//")[2] or f"{entry.who.host}:0"

    def host(self, executor: ExecutorId) -> str:
        """The host of an executor that is here."""
        return self._entries[executor].who.host

    def is_remote(self, executor: ExecutorId) -> bool:
        """Whether its files can only be had through its block server."""
        entry = self._entries.get(executor)
        return entry is not None and entry.is_remote

    @property
    def n_slots(self) -> int:
        """How many tasks all of them can run at once."""
        return sum(entry.who.slots for entry in self._entries.values())

    def snapshot(self, states: Mapping[ExecutorId, str]) -> list[ExecutorInfo]:
        """All executors as people see them; `states` is what the scheduler makes of them."""
        return [
            ExecutorInfo(
                id=entry.who.executor,
                host=entry.who.host,
                pid=entry.who.pid,
                slots=entry.who.slots,
                workers=list(entry.alive.workers),
                state=states.get(executor, "alive") if entry.is_connected else "suspect",
                memory=entry.alive.memory,
                running=list(_running(entry)),
            )
            for executor, entry in self._entries.items()
        ]


def _running(entry: _Entry) -> list[RunningTask]:
    tasks = []
    for attempt, worker_pid, seconds, _ in entry.alive.running:
        launch = entry.launched.get(AttemptId(int(attempt)))
        if launch is not None:
            kind = "map" if isinstance(launch.key, MapStage) else "result"
            tasks.append(RunningTask(launch.stage, kind, launch.index, launch.attempt, int(worker_pid), seconds))
    return tasks
