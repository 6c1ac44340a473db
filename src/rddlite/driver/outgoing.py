"""What the driver says to executors. A message that cannot be sent makes its executor suspect, and never raises.

Launches are gathered until `flush`, so that those of one pass travel in one message per executor, after the blobs that
this executor has not been sent yet. What costs an executor memory only is forgotten with what it is told next, the
answer to a heartbeat at the latest: at the end of a job nobody is woken for it, and what the next job sends again stays
where it is. Owned by the loop thread; `failed` is told of what could not be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rddlite.base.ids import AttemptId, BroadcastId, CacheId, ExecutorId, ShuffleId
from rddlite.driver.provider import Transport
from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.net.messages import (
    Adopt,
    Forget,
    KillTask,
    Message,
    Refused,
    RegisterAgain,
    ReportsSeen,
    RunTask,
    RunTasks,
    Shutdown,
)
from rddlite.schedule import commands as cmd

Failed = Callable[[ExecutorId, str], None]
"""Told which executor could not be sent something, and what it was."""


class Outgoing:
    """The driver's voice."""

    def __init__(self, transport: Transport, roster: Roster, blobs: StageBlobs, failed: Failed) -> None:
        self._transport = transport
        self._roster = roster
        self._blobs = blobs
        self._failed = failed
        self._launches: dict[ExecutorId, list[RunTask]] = {}
        self._unsent: dict[ExecutorId, list[Any]] = {}
        self._forgotten: dict[ExecutorId, dict[str, None]] = {}

    def launch(self, launch: cmd.Launch) -> None:
        """Have an attempt started, with the next `flush`."""
        executor = launch.executor
        if executor not in self._roster:
            return
        blobs, task = self._blobs.task(launch)
        if blobs and (forgotten := self._forgotten.get(executor)):
            for blob in blobs:
                forgotten.pop(blob.digest, None)
        if executor in self._launches:
            self._unsent[executor] += blobs
            self._launches[executor].append(task)
        else:
            self._unsent[executor], self._launches[executor] = blobs, [task]
        self._roster.launched(launch)

    def flush(self) -> None:
        """Send the launches that were gathered."""
        if self._launches:
            launches, unsent = self._launches, self._unsent
            self._launches, self._unsent = {}, {}
            for executor, tasks in launches.items():
                self.send(executor, RunTasks(unsent[executor], tasks))
                self._send_forgotten(executor)  # what runs now does not wait for it

    def kill(self, kill: cmd.Kill) -> None:
        """Have an attempt stopped. What still waits to be sent must be there before it can be."""
        self.flush()
        self.send(kill.executor, KillTask(kill.attempt, kill.why))

    def forget_blobs(self, digests: list[str], shuffles: list[ShuffleId]) -> None:
        """Have every executor delete these: map outputs at once, blobs with that or with what it is told next."""
        executors = self._roster.ids()
        for executor in executors:
            self._forgotten.setdefault(executor, {}).update(dict.fromkeys(digests))
            if shuffles:
                self._send_forgotten(executor, shuffles)
        for gone in self._forgotten.keys() - set(executors):
            del self._forgotten[gone]

    def _send_forgotten(self, executor: ExecutorId, shuffles: Sequence[ShuffleId] = ()) -> None:
        if self._roster.is_suspect(executor) and not shuffles:
            return
        digests = self._forgotten.pop(executor, {})
        if digests or shuffles:
            self.send(executor, Forget(list(digests), list(shuffles), [], [], []))
        if digests and self._roster.is_suspect(executor):  # it may not have heard it, and may come back with all it has
            self._forgotten[executor] = digests

    def release_shuffle(self, command: cmd.ReleaseShuffle) -> None:
        """Have every executor delete the map outputs of a shuffle, which may be computed again."""
        self.forget_blobs([], [command.shuffle])

    def forget_broadcast(self, broadcast: BroadcastId) -> None:
        """Have every executor delete its copy."""
        for executor in self._roster.ids():
            self.send(executor, Forget([], [], [], [], [broadcast]))

    def forget_cache(self, cache: CacheId) -> None:
        """Have every executor drop what it keeps of this cached RDD."""
        for executor in self._roster.ids():
            self.forget_kept(executor, cache)

    def forget_kept(self, executor: ExecutorId, cache: CacheId) -> None:
        """Have one executor drop what it keeps of this cached RDD."""
        self.send(executor, Forget([], [], [], [], [], [cache]))

    def forget_output(self, command: cmd.ForgetOutput) -> None:
        """Have one map output deleted."""
        self.send(command.executor, Forget([], [], [[command.shuffle, command.map_index, command.attempt]], [], []))

    def forget_result(self, executor: ExecutorId, attempt: AttemptId) -> None:
        """Have the file of a result deleted that was fetched, or that nobody wants."""
        self.send(executor, Forget([], [], [], [attempt], []))

    def move_outputs(self, move: cmd.MoveOutputs) -> None:
        """Have one executor copy map outputs from another one, which leaves."""
        outputs = [[shuffle, map_index, attempt] for shuffle, map_index, attempt in move.outputs]
        self.send(move.target, Adopt(move.source, self._roster.place(move.source)[1], outputs))

    def shut_down(self, executor: ExecutorId, why: str) -> None:
        """Have an executor end."""
        self.send(executor, Shutdown(why))

    def refuse(self, executor: ExecutorId, why: str) -> None:
        """Have an executor end because nothing of it is taken any more."""
        self.send(executor, Refused(why))

    def ask_to_register(self, executor: ExecutorId, why: str) -> None:
        """Have a suspect tell again who it is and what it has. It may be out of reach: nothing follows from that."""
        self._transport.send(executor, RegisterAgain(why))

    def answer_heartbeat(self, executor: ExecutorId, of: int) -> None:
        """Tell an executor which of its reports have arrived."""
        self.send(executor, ReportsSeen(self._roster.reports_seen(executor), of))
        self._send_forgotten(executor)

    def knock(self, executors: Iterable[ExecutorId]) -> None:
        """Find out which of these are not connected any more, by saying something harmless."""
        for executor in executors:
            self.answer_heartbeat(executor, 0)

    def send(self, executor: ExecutorId, message: Message) -> None:
        """Send one message to an executor that is in the roster; nothing happens for any other."""
        if executor in self._roster and not self._transport.send(executor, message):
            self._failed(executor, type(message).__name__)
