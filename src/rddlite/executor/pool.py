"""The worker processes of an executor, through the zygote: their channels, output, kill cells and blobs.

Decides nothing: carries out what the agent commands, and turns what descriptors tell into the agent's events. Owned
by the executor's loop. Workers are named by the agent's numbers; a number is never used again. A command may come for
a worker whose end the agent has not heard of yet: nothing is done then.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rddlite.base.cached import Block, News
from rddlite.base.clock import Clock
from rddlite.base.log import logger
from rddlite.executor import events as ev
from rddlite.executor.channel import ATTEMPT, Channel, ChannelBroken, Frame, Kind, encode_name
from rddlite.executor.descriptors import Descriptors
from rddlite.executor.interrupt import KillCell, create_cell
from rddlite.executor.meetings import Meetings
from rddlite.executor.memory import tree_resident
from rddlite.executor.output import NO_TASK, Mark, OutputLog, OutputPipe
from rddlite.executor.permits import Permits
from rddlite.executor.zygote import Exited, Interrupted, WorkerFds, Zygote
from rddlite.net.messages import Met, RunTask
from rddlite.net.wire import pack_met, pack_task

_ENDED = int(Kind.ENDED)
_BLOBS_PER_WORKER = 64
_BLOB_BYTES_PER_WORKER = 256 << 20
Emit = Callable[[ev.Event], None]
_log = logger("executor")


class UnknownBlob(Exception):
    """A task needs bytes that this executor was never sent, or was told to forget."""


class WorkerGone(Exception):
    """The worker has ended; the event that says so is on its way to the agent."""


@dataclass(slots=True)
class _Process:
    number: int
    channel: Channel
    stdout: OutputPipe
    stderr: OutputPipe
    cell: KillCell
    permits: Permits
    pid: int = 0
    marks: deque[Mark] = field(default_factory=deque)
    permitted: list[int] = field(default_factory=list)
    blobs: dict[str, int] = field(default_factory=dict)
    signals_under_way: int = 0
    is_settling: bool = False
    is_writing: bool = False
    trouble: str = ""

    @property
    def mark(self) -> Mark:
        """Of the task that runs: the first of those that it was given and has not told the end of."""
        return self.marks[0] if self.marks else NO_TASK


class Pool:
    """See the header. `emit` is called with events, from `Descriptors.dispatch` and `recall` only. What is said to
    workers is sent by `flush`.
    """

    def __init__(
        self,
        zygote: Zygote,
        descriptors: Descriptors,
        log: OutputLog,
        clock: Clock,
        emit: Emit,
        meetings: Meetings | None = None,
    ) -> None:
        self._zygote = zygote
        self._descriptors = descriptors
        self._log = log
        self._clock = clock
        self._emit = emit
        self.meetings = meetings or Meetings("")
        self._processes: dict[int, _Process] = {}
        self._configuration: bytes | None = None
        self._unsent: dict[int, _Process] = {}
        descriptors.watch(zygote.fileno(), self._zygote_spoke)

    # Commands

    def spawn(self, number: int) -> None:
        """Have a worker forked."""
        ours, theirs = socket.socketpair()
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        cell, cell_fd = create_cell()
        permits = Permits()
        self._zygote.spawn(number, WorkerFds(theirs.fileno(), out_write, err_write, cell_fd, permits.read_fd))
        theirs.close()
        for fd in (out_write, err_write, cell_fd):
            os.close(fd)
        stdout = OutputPipe(out_read, "stdout", self._log)
        stderr = OutputPipe(err_read, "stderr", self._log)
        process = _Process(number, Channel(ours), stdout, stderr, cell, permits)
        self._processes[number] = process
        self._descriptors.watch(ours.fileno(), lambda: self._worker_spoke(process))
        for pipe in (stdout, stderr):
            self._watch_output(process, pipe)
        if self._configuration is not None:
            self._send(process, Kind.CONFIGURE, self._configuration)

    @property
    def is_configured(self) -> bool:
        """Whether workers know the settings."""
        return self._configuration is not None

    def configure(self, body: bytes) -> None:
        """Send this to every worker, now and when it starts."""
        self._configuration = body
        for process in self._processes.values():
            self._send(process, Kind.CONFIGURE, body)

    def start(self, number: int, task: RunTask, blobs: Mapping[str, bytes], *, is_ahead: bool = False) -> None:
        """Give a task to a worker, after the blobs that it has not had yet. One that `is_ahead` is begun after those
        before it have ended, unless it is taken back until then.

        Raises:
            UnknownBlob: if one of them is not in `blobs`.
            WorkerGone: if there is no such worker any more.
        """
        process = self._processes.get(number)
        if process is None:
            raise WorkerGone
        for digest in (task.payload, task.outputs):
            if digest and digest not in process.blobs:
                if digest not in blobs:
                    raise UnknownBlob(digest)
                self._hand_over(process, digest, blobs[digest], keep=(task.payload, task.outputs))
        if not process.marks:
            _begin_task(process)
        process.marks.append(Mark(task.attempt, task.stage, task.partition_index))
        needs_permit = process.permits.are_needed_for(task.attempt) or is_ahead
        if needs_permit:
            process.permitted.append(task.attempt)
        self._send(process, Kind.AHEAD if needs_permit else Kind.TASK, pack_task(task))

    def recall(self, number: int) -> None:
        """Take back what a worker was given ahead and has not begun; emit what it has told before, then `Recalled`."""
        process = self._processes.get(number)
        if process is not None:
            unbegun = self._unbegun(process)
            self._hear(process, process.channel.receive_all)
            self._emit(ev.Recalled(number, unbegun))

    def flush(self) -> None:
        """Send to workers what they were given since: frames for one of them go together."""
        while self._unsent:
            _, process = self._unsent.popitem()
            if process.permitted:
                # Before the frames: a worker that finds a task but no permit for it takes it for taken back.
                process.permits.give(process.permitted)
                process.permitted.clear()
            process.channel.flush()
            if process.channel.is_blocked is not process.is_writing:
                self._watch_writes(process)

    def forget(self, digests: list[str]) -> None:
        """Have workers drop these blobs."""
        for process in self._processes.values():
            for digest in digests:
                if process.blobs.pop(digest, None) is not None:
                    self._send(process, Kind.FORGET, encode_name(digest))

    def forget_broadcasts(self, broadcasts: list[int]) -> None:
        """Have workers drop the values of these."""
        for process in self._processes.values():
            for broadcast in broadcasts:
                self._send(process, Kind.FORGET_BROADCAST, b"%d" % broadcast)

    def forget_caches(self, caches: list[int]) -> None:
        """Have workers drop what they keep of these."""
        body = json.dumps([caches, []]).encode()
        for process in self._processes.values():
            self._send(process, Kind.FORGET_CACHED, body)

    def forget_blocks(self, number: int, blocks: Sequence[Block]) -> None:
        """Have a worker drop these cached partitions."""
        process = self._processes.get(number)
        if process is not None:
            self._send(process, Kind.FORGET_CACHED, json.dumps([[], blocks]).encode())

    def interrupt(self, number: int, attempt: int) -> None:
        """Have `TaskKilled` raised in a worker, if it still runs this attempt."""
        process = self._processes.get(number)
        if process is not None:
            process.cell.name(attempt)
            process.signals_under_way += 1
            self._zygote.interrupt(number)

    def let_go(self, met: Met) -> None:
        """Tell workers that wait at a barrier."""
        body = pack_met(met)
        for number in self.meetings.answered(met):
            self._send(self._processes[number], Kind.MET, body)

    def settle(self, number: int) -> None:
        """Emit `WorkerSettled` when the worker has every signal behind itself."""
        process = self._processes.get(number)
        if process is not None:
            process.is_settling = True
            self._sync_when_quiet(process)

    def stop(self, number: int) -> None:
        """Kill a worker with its process group."""
        self._zygote.kill(number)

    def records(self, number: int) -> int:
        """How many records the task of this worker has read so far."""
        process = self._processes.get(number)
        return process.cell.records if process is not None else 0

    def sample(self, running: list[tuple[int, int]], limit: int) -> None:
        """Emit `MemoryExceeded` for each of these workers (number and process id) that is above the limit."""
        for number, pid in running:
            resident = tree_resident(pid, limit)
            if resident > limit:
                process = self._processes.get(number)
                note = process.cell.note if process is not None else ""
                self._emit(ev.MemoryExceeded(number, limit, resident, note))

    # What descriptors tell

    def _zygote_spoke(self) -> None:
        reports = self._zygote.reports()
        if reports is None:
            self._descriptors.unwatch(self._zygote.fileno())
            self._emit(ev.LeaveAsked("the zygote process is gone", is_failure=True))
            return
        for report in reports:
            process = self._processes.get(report.worker)
            if process is None:
                continue
            match report:
                case Interrupted():
                    process.signals_under_way -= 1
                    self._sync_when_quiet(process)
                case Exited(_, status, peak_memory):
                    self._gone(process, status, peak_memory)

    def _worker_spoke(self, process: _Process) -> None:
        if process.is_writing:
            process.channel.flush()
            self._watch_writes(process)
        self._hear(process, process.channel.receive)

    def _hear(self, process: _Process, receive: Callable[[], list[Frame]]) -> None:
        try:
            for frame in receive():
                self._take(process, frame)
        except ChannelBroken as error:
            self._break_off(process, error)
            return
        if process.channel.is_at_end:
            # The zygote will tell how it ended.
            self._descriptors.unwatch(process.channel.fileno())

    def _break_off(self, process: _Process, error: ChannelBroken) -> None:
        """Have done with a worker whose code wrote to what it should not."""
        _log.error("worker process %d is ended: %s", process.pid, error)
        process.trouble = f"{error}\n"
        self._descriptors.unwatch(process.channel.fileno())
        self._zygote.kill(process.number)

    def _take(self, process: _Process, frame: Frame) -> None:
        kind, body = frame
        if kind == _ENDED:  # nearly always
            self._ended(process, body)
            return
        match kind:
            case Kind.ENDED_WITH_OUTPUT:
                now = self._clock.now()
                process.stdout.drain(process.mark, now)
                process.stderr.drain(process.mark, now)
                self._send(process, Kind.GO_ON)
                self._ended(process, body)
            case Kind.MEET:
                self.meetings.asks(process.number, body)
            case Kind.BLOCKS:
                try:
                    news = News.unpack(body)
                except ValueError as error:
                    raise ChannelBroken(str(error)) from error
                self._emit(ev.BlocksChanged(process.number, news))
            case Kind.HELLO:
                process.pid = ATTEMPT.unpack(body)[0]
                self._emit(ev.WorkerReady(process.number, process.pid))
            case Kind.SYNCED:
                self._emit(ev.WorkerSettled(process.number))

    def _ended(self, process: _Process, body: bytes) -> None:
        attempt: int = ATTEMPT.unpack_from(body)[0]
        self.meetings.ended(process.number)
        if process.mark.attempt == attempt:
            process.marks.popleft()
            if process.marks:
                _begin_task(process)
        self._emit(ev.AttemptEnded(process.number, attempt, body[ATTEMPT.size :]))

    def _unbegun(self, process: _Process) -> tuple[int, ...]:
        self.flush()
        unbegun = tuple(process.permits.take_back())
        if unbegun:
            process.marks = deque(mark for mark in process.marks if mark.attempt not in unbegun)
        return unbegun

    def _gone(self, process: _Process, status: int, peak_memory: int) -> None:
        if not process.trouble:
            try:
                for frame in process.channel.receive_all():
                    self._take(process, frame)
            except ChannelBroken as error:
                process.trouble = f"{error}\n"
        unbegun = self._unbegun(process)
        now = self._clock.now()
        for pipe in (process.stdout, process.stderr):
            pipe.last_words(process.mark, now)
            self._descriptors.unwatch(pipe.fileno())
            pipe.close()
        self._descriptors.unwatch(process.channel.fileno())
        process.channel.close()
        process.cell.close()
        process.permits.close()
        del self._processes[process.number]
        self.meetings.ended(process.number)
        code = os.waitstatus_to_exitcode(status)
        exit_code, signal = (code, None) if code >= 0 else (None, -code)
        self._emit(
            ev.WorkerEnded(
                process.number, exit_code, signal, peak_memory, process.trouble + process.stderr.tail(), unbegun
            )
        )

    def _watch_output(self, process: _Process, pipe: OutputPipe) -> None:
        def read() -> None:
            # A worker whose task has written does not go on before it is told to; and whether it has, it sees here.
            process.cell.count_read()
            data = pipe.read()
            if data is not None:
                self._take_output(process, pipe, data)
            if data == b"":
                self._descriptors.unwatch(pipe.fileno())

        self._descriptors.watch(pipe.fileno(), read)

    def _take_output(self, process: _Process, pipe: OutputPipe, data: bytes) -> None:
        """Output was read. Tasks that wrote nothing may have ended before, and not been heard of yet: it is of the one
        after them, which may have ended as well and waits to be told to go on.
        """
        frames: list[Frame] = []
        self._hear(process, lambda: _until_output(process.channel.receive_all(), frames))
        pipe.take(data, process.mark, self._clock.now())
        self._hear(process, lambda: frames)

    def _sync_when_quiet(self, process: _Process) -> None:
        """Once every signal has been sent, a frame sent now is read after the signals have arrived."""
        if process.is_settling and process.signals_under_way == 0:
            process.is_settling = False
            self._send(process, Kind.SYNC)

    def _hand_over(self, process: _Process, digest: str, data: bytes, keep: tuple[str, str]) -> None:
        blobs = process.blobs
        for old in list(blobs):
            if len(blobs) < _BLOBS_PER_WORKER and sum(blobs.values()) + len(data) <= _BLOB_BYTES_PER_WORKER:
                break
            if old not in keep:
                del blobs[old]
                self._send(process, Kind.FORGET, encode_name(old))
        self._send(process, Kind.NAME, encode_name(digest))
        self._send(process, Kind.BLOB, data)
        blobs[digest] = len(data)

    def _send(self, process: _Process, kind: Kind, body: bytes = b"") -> None:
        process.channel.add(kind, body)
        self._unsent[process.number] = process

    def _watch_writes(self, process: _Process) -> None:
        process.is_writing = process.channel.is_blocked
        self._descriptors.watch_writes(process.channel.fileno(), wanted=process.is_writing)


def _until_output(frames: list[Frame], rest: list[Frame]) -> list[Frame]:
    """What comes before the end of a task that has written; that and what follows are left to `rest`."""
    first = next((i for i, (kind, _) in enumerate(frames) if kind == Kind.ENDED_WITH_OUTPUT), len(frames))
    rest += frames[first:]
    return frames[:first]


def _begin_task(process: _Process) -> None:
    process.stdout.begin_task()
    process.stderr.begin_task()
