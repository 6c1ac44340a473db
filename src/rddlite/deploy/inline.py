"""`inline`: tasks run in the thread of the driver that waits for them, through the same pickled payloads.

Breakpoints, coverage and profilers see them. To the driver's loop this is one executor with one slot, spoken to by the
same messages; there are no sockets and no other processes.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections import deque

from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, BroadcastId, ExecutorId, ShuffleData, ShuffleId
from rddlite.base.outcome import Killed, TaskOutcome
from rddlite.driver.jobs import JobHandle
from rddlite.driver.provider import Post
from rddlite.executor.barrier import meet_nobody
from rddlite.executor.caching import block_store
from rddlite.executor.env import ExecutorEnv
from rddlite.executor.holdings import blocks_changed
from rddlite.executor.runner import TaskRunner
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    PROTOCOL,
    AttemptReport,
    ExecutorAlive,
    Forget,
    KillTask,
    Message,
    Register,
    RunTask,
    RunTasks,
    TasksEnded,
)
from rddlite.net.wire import pack_outcome
from rddlite.serde.closures import cloudpickle_version
from rddlite.shared.store import BroadcastStore
from rddlite.shuffle.format import remove_attempt, remove_shuffle
from rddlite.storage.blocks import BlockStore
from rddlite.storage.localdirs import Scratch
from rddlite.version import __version__

_EXECUTOR = "inline"
_MOMENT = 1.0
_UNLIMITED = 1 << 62


class InlineTransport:
    """Messages between the loop and the waiting threads, through queues. `changed` guards the tasks that wait."""

    def __init__(
        self,
        inbox: Inbox,
        changed: threading.Condition,
        clock: Clock,
        heartbeat: float,
        scratch: str,
        broadcasts: BroadcastStore,
        blocks: BlockStore | None = None,
    ) -> None:
        self._inbox = inbox
        self._changed = changed
        self._clock = clock
        self._heartbeat = heartbeat
        self._next_heartbeat = clock.now()
        self._to_driver: deque[Message] = deque()
        self._tasks: deque[RunTask] = deque()
        self.blobs: dict[str, bytes] = {}
        self._scratch = scratch
        self.broadcasts = broadcasts
        self.blocks = blocks
        self._reports = 0
        self._turned = threading.Condition()
        self._turns = 0
        self._poll = select.poll()
        self._poll.register(inbox.fileno(), select.POLLIN)

    def report(self, message: Message) -> None:
        """Say something to the loop; from any thread."""
        self._to_driver.append(message)
        self._inbox.post(None)

    def wait(self, timeout: float | None) -> list[tuple[str, Message]]:
        """Messages for the loop. This executor is alive as long as its process is, so it says so by itself."""
        with self._turned:
            self._turns += 1
            self._turned.notify_all()
        now = self._clock.now()
        until_heartbeat = max(0.0, self._next_heartbeat - now)
        limit = until_heartbeat if timeout is None else min(timeout, until_heartbeat)
        if not self._to_driver:
            self._poll.poll(limit * 1000)
        found: list[tuple[str, Message]] = []
        while self._to_driver:
            found.append((_EXECUTOR, self._to_driver.popleft()))
        if self._clock.now() >= self._next_heartbeat:
            self._next_heartbeat = self._clock.now() + self._heartbeat
            found.append((_EXECUTOR, ExecutorAlive(_EXECUTOR, 0, [os.getpid()], [], self._reports)))
        return found

    def send(self, peer: str, message: Message) -> bool:
        """Take a message of the loop."""
        match message:
            case RunTasks(blobs, tasks):
                with self._changed:
                    for blob in blobs:
                        self.blobs[blob.digest] = blob.data
                    self._tasks.extend(tasks)
                    self._changed.notify_all()
            case KillTask(attempt, why):
                self._drop(attempt, why)
            case Forget(digests, shuffles, outputs, broadcasts=broadcasts, cached=cached):
                for digest in digests:
                    self.blobs.pop(digest, None)
                for shuffle in shuffles:
                    remove_shuffle(self._scratch, ShuffleId(shuffle))
                for shuffle, map_index, attempt in outputs:
                    remove_attempt(self._scratch, ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt)))
                for broadcast in broadcasts:
                    self.broadcasts.forget(BroadcastId(broadcast))
                if cached and self.blocks is not None:
                    self.blocks.drop_caches(set(cached))
                    self.tell_blocks()
        return True

    def next_task(self, handle: JobHandle) -> RunTask | None:
        """Wait for a task to run, or for the end of the job: None."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or handle.is_done)
            return None if handle.is_done else self._tasks.popleft()

    def take_disconnects(self) -> int:
        """There is no connection that could end."""
        return 0

    def close(self) -> None:
        """Wake whoever waits for tasks."""
        with self._changed:
            self._changed.notify_all()

    def _drop(self, attempt: int, why: str) -> None:
        with self._changed:
            waiting = [task for task in self._tasks if task.attempt == attempt]
            for task in waiting:
                self._tasks.remove(task)
        if waiting:
            self.ended(attempt, Killed(why))

    def settle(self) -> None:
        """Wait until the loop has dealt with all that was posted before, at most a moment for each of two turns.

        The turn that goes on may have looked at the inbox too early: it takes the whole next one.
        """
        for _ in range(2):
            with self._turned:
                turns = self._turns
                self._inbox.post(None)
                self._turned.wait_for(lambda turns=turns: self._turns > turns, _MOMENT)  # type: ignore[misc]

    def tell_blocks(self) -> None:
        """Report what became of cached partitions."""
        news = self.blocks.take_news() if self.blocks is not None else None
        if news is not None:
            self.report(blocks_changed(_EXECUTOR, news))

    def ended(self, attempt: int, outcome: TaskOutcome) -> None:
        """Report how an attempt ended."""
        with self._changed:
            self._reports += 1
            number = self._reports
        self.report(TasksEnded(_EXECUTOR, number, [AttemptReport(attempt, pack_outcome(outcome))]))


def inline_broadcasts(scratch: Scratch) -> BroadcastStore:
    """Where tasks in this process find broadcasts: in the driver's files, as they share no object with the driver."""
    return BroadcastStore(scratch.path, None, _UNLIMITED, lambda size: None)


def inline_blocks(scratch: Scratch, settings: Settings) -> BlockStore:
    """What is kept of cached partitions in this process."""
    return block_store(scratch.path, settings, None)


class InlineProvider:
    """The one executor that is always there."""

    join_command: str | None = None

    def __init__(self, transport: InlineTransport, scratch: Scratch) -> None:
        self._transport = transport
        self._scratch = scratch

    def start(self, post: Post) -> None:
        """Register."""
        python = ".".join(map(str, sys.version_info[:3]))
        self._transport.report(
            Register(
                PROTOCOL,
                _EXECUTOR,
                socket.gethostname(),
                os.getpid(),
                1,
                [os.getpid()],
                python,
                __version__,
                cloudpickle_version(),
                self._scratch.path,
                [],
            )
        )

    def want(self) -> None:
        """Nothing can be missing."""

    def stop(self, executor: ExecutorId) -> None:
        """It ends with the driver only."""

    def objection(self, executor: ExecutorId, n_others: int) -> str | None:
        """Nobody else can reach the transport."""
        return None

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """It cannot be out of reach."""

    def unsuspect(self, executor: ExecutorId) -> None:
        """Nothing was to be found out."""

    def leaving(self, executor: ExecutorId) -> None:
        """It never does."""

    def close(self) -> None:
        """Remove the files."""
        self._scratch.release()


class InlineWorker:
    """Runs tasks in the thread that waits for a job."""

    def __init__(self, settings: Settings, transport: InlineTransport, scratch: Scratch, clock: Clock) -> None:
        for name in ("shuffle", "results", "spill", "cache"):
            scratch.subdir(name)
        self._transport = transport
        self._was_interrupted = False
        self._env = ExecutorEnv(
            settings=settings,
            executor_id=_EXECUTOR,
            host=socket.gethostname(),
            scratch=scratch.path,
            clock=clock,
            memory_limit=None,
            inline=True,
            broadcasts=transport.broadcasts,
            blocks=transport.blocks,
            meet=meet_nobody(socket.gethostname()),
        )

    def run_until_done(self, handle: JobHandle) -> None:
        """Run tasks, also those of other jobs, until this job ends. Ctrl-C leaves the task in hand as killed."""
        runner = TaskRunner(self._env)
        if self._was_interrupted:
            # The job of that time is cancelled by now, but its tasks may still wait, for this thread to find.
            self._was_interrupted = False
            self._transport.settle()
        while (task := self._transport.next_task(handle)) is not None:
            try:
                outcome = runner.run_task(task, self._transport.blobs)
            except BaseException:
                self._transport.ended(task.attempt, Killed("interrupted by the user"))
                self._was_interrupted = True
                raise
            self._transport.tell_blocks()
            self._transport.ended(task.attempt, outcome)
