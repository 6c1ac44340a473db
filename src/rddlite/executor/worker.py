"""A worker process: one task after another, in its main thread, until its executor is gone.

Whatever user code does comes back as an outcome: exits, interrupts and lack of memory end at most the task. A worker
that cannot be in a known state afterwards (a killed task left threads behind) reports, and ends; another takes its
place. Lives under the zygote; talks to the executor only, through a `WorkerChannel`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import json
import os
import random
import signal
import struct
import sys
import termios
import threading
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from rddlite.base.cached import Form
from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.base.ids import BroadcastId
from rddlite.base.log import configure_process
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, Killed, OutOfMemory, Raised, Success, TaskOutcome
from rddlite.errors import LocalProtocolError
from rddlite.executor.allocator import keep_freed_memory
from rddlite.executor.barrier import MeetingPlace
from rddlite.executor.broadcasts import broadcast_store
from rddlite.executor.caching import block_store
from rddlite.executor.channel import ATTEMPT, UNDISTURBED, ChannelEnded, Kind, WorkerChannel, decode_name
from rddlite.executor.copying import CopyGiver
from rddlite.executor.env import DriverPlace, ExecutorEnv
from rddlite.executor.garbage import Collector
from rddlite.executor.interrupt import READS, RECORDS, Interruption, KillCell, TaskKilled
from rddlite.executor.memory import limit_data, offer_to_oom_killer, peak_resident, shift_data_limit
from rddlite.executor.permits import PermitReader
from rddlite.executor.variables import take_over
from rddlite.executor.zygote import WorkerFds
from rddlite.net.messages import RunTask
from rddlite.net.wire import pack_outcome, unpack_task
from rddlite.shared.store import BroadcastStore
from rddlite.storage.blocks import BlockStore
from rddlite.storage.frames import Frames


class Runner(Protocol):
    """Runs tasks. What user code raises comes back in the outcome; `TaskKilled` must pass through."""

    def run_task(self, task: RunTask, blobs: Mapping[str, bytes]) -> TaskOutcome:
        """Run one attempt to its end."""
        ...


_NO_BYTES = struct.pack("i", 0)
RunnerFactory = Callable[[ExecutorEnv], Runner]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What all workers of an executor are told by their birth."""

    executor: str
    host: str
    scratch: str
    make_runner: RunnerFactory


def run_worker(spec: WorkerSpec, fds: WorkerFds) -> NoReturn:
    """The life of a worker process; called by the zygote right after the fork."""
    _take_over(fds)
    cell = KillCell(fds.cell)
    interruption = Interruption(cell, UNDISTURBED)
    os.close(fds.cell)
    interruption.install()
    worker = Worker(spec, WorkerChannel(fds.channel), interruption, cell.word, PermitReader(fds.permits), fds[1:3])
    with contextlib.suppress(ChannelEnded):
        worker.serve()
    flush_output()
    os._exit(0)


class Worker:
    """The loop of a worker, and what it keeps between tasks."""

    def __init__(
        self,
        spec: WorkerSpec,
        channel: WorkerChannel,
        interruption: Interruption,
        progress: memoryview,
        permits: PermitReader,
        pipes: Sequence[int],
    ) -> None:
        self._spec = spec
        self._channel = channel
        self._interruption = interruption
        self._progress = progress
        self._permits = permits
        self._pipes = pipes
        self._pid = os.getpid()
        self._runner: Runner | None = None
        self._broadcasts: BroadcastStore | None = None
        self._blocks: BlockStore | None = None
        self._copies: CopyGiver | None = None
        self._collector = Collector()
        self._memory_limit = 0
        self._blobs: dict[str, bytes] = {}

    def serve(self) -> None:
        """Do what the executor says, until this process is not fit for another task.

        Raises:
            ChannelEnded: when the executor is gone.
        """
        self._channel.send(Kind.HELLO, ATTEMPT.pack(self._pid))
        name = ""
        while True:
            kind, body = self._channel.receive()
            match kind:
                case Kind.TASK:
                    if not self._perform(unpack_task(body)):
                        return
                case Kind.AHEAD:
                    task = unpack_task(body)
                    if self._permits.take(task.attempt) and not self._perform(task):
                        return
                case Kind.NAME:
                    name = decode_name(body)
                case Kind.BLOB:
                    self._blobs[name] = body
                case Kind.FORGET:
                    self._blobs.pop(decode_name(body), None)
                case Kind.FORGET_BROADCAST:
                    self._forget_broadcast(BroadcastId(int(body)))
                case Kind.FORGET_CACHED:
                    self._forget_cached(body)
                case Kind.MET:
                    pass  # for a task that was stopped while it waited
                case Kind.SYNC:
                    self._channel.send(Kind.SYNCED, body)
                case Kind.CONFIGURE:
                    self._configure(body)
                case _:
                    raise LocalProtocolError(f"a worker was sent a frame of kind {kind}")

    def _forget_broadcast(self, broadcast: BroadcastId) -> None:
        if self._broadcasts is not None:
            self._broadcasts.forget(broadcast)

    def _forget_cached(self, body: bytes) -> None:
        if self._blocks is not None:
            caches, blocks = json.loads(body)
            self._blocks.drop_caches(set(caches))
            self._blocks.drop([(cache, partition) for cache, partition in blocks])
            self._tell_news()

    def _tell_news(self) -> None:
        news = self._blocks.take_news() if self._blocks is not None else None
        if news is not None:
            if self._copies is not None and any(kept.form is Form.LIVE for kept in news.kept):
                self._copies.start()
            self._channel.send(Kind.BLOCKS, news.pack())

    def _configure(self, body: bytes) -> None:
        given = json.loads(body)
        self._memory_limit = given["memory_limit"]
        spec, driver = self._spec, DriverPlace(*given["driver"])
        self._broadcasts = broadcast_store(spec.scratch, spec.executor, driver, given["keys"], self._memory_limit)
        settings = Settings(given["settings"])
        take_over(settings["executor.env"] or {})
        Frames.shift_limit = shift_data_limit
        self._blocks = block_store(spec.scratch, settings, self._memory_limit)
        self._copies = CopyGiver(self._blocks, spec.scratch)
        env = ExecutorEnv(
            settings=settings,
            executor_id=spec.executor,
            host=spec.host,
            scratch=spec.scratch,
            clock=SystemClock(),
            memory_limit=self._memory_limit,
            keys=given["keys"],
            driver=driver,
            progress=self._progress,
            broadcasts=self._broadcasts,
            blocks=self._blocks,
            meet=MeetingPlace(self._channel, SystemClock(), self._interruption.check).meet,
        )
        self._runner = spec.make_runner(env)
        limit_data(self._memory_limit)
        keep_freed_memory(self._memory_limit)
        self._collector.adapt(self._memory_limit)

    def _perform(self, task: RunTask) -> bool:
        """Run a task and report; False if this process is in no known state afterwards."""
        n_threads = threading.active_count()
        self._progress[RECORDS] = 0
        n_reads = self._progress[READS]
        outcome = self._outcome_of(task)
        if os.getpid() != self._pid:
            os._exit(0)  # user code forked, and its child came back here
        # Threads that a killed task left behind may still run its code.
        is_fit = type(outcome) is not Killed or threading.active_count() <= n_threads
        flush_output()
        self._tell_news()
        has_output = self._has_output() or self._progress[READS] != n_reads
        kind = Kind.ENDED_WITH_OUTPUT if has_output else Kind.ENDED
        self._channel.send(kind, ATTEMPT.pack(task.attempt) + _packed(outcome))
        self._collector.task_ended(outcome.metrics.peak_memory if type(outcome) is Success else None)
        if has_output:
            self._channel.wait_to_go_on()
        return is_fit

    def _has_output(self) -> bool:
        """Whether anything waits to be read from the standard streams of this process."""
        out, err = self._pipes
        return (
            fcntl.ioctl(out, termios.FIONREAD, _NO_BYTES) != _NO_BYTES
            or fcntl.ioctl(err, termios.FIONREAD, _NO_BYTES) != _NO_BYTES
        )

    def _outcome_of(self, task: RunTask) -> TaskOutcome:
        runner = self._runner
        assert runner is not None
        try:
            return self._interruption.run(task.attempt, lambda: runner.run_task(task, self._blobs))
        except TaskKilled:
            return Killed("stopped on request")
        except MemoryError as error:
            return OutOfMemory(self._memory_limit, peak_resident(), detail=str(error))
        except BaseException as error:  # SystemExit, KeyboardInterrupt and anything else that user code may throw
            return _raised(error)


def flush_output() -> None:
    """Hand on what user code has written, whatever it did to the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 (it is done after every task)
            stream.flush()
        except Exception:
            pass  # a stream may be anything, closed or missing; it is not worth a task


def _packed(outcome: TaskOutcome) -> bytes:
    try:
        return pack_outcome(outcome)
    except LocalProtocolError as error:
        return pack_outcome(_raised(error, retryable=False))


def _raised(error: BaseException, *, retryable: bool = True) -> Raised:
    """For what even the runner did not expect."""
    try:
        message = str(error)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as broken:  # the exception cannot say what it is
        message = text = f"(its text cannot be had: {type(broken).__name__})"
    return Raised(Failure(type(error).__name__, message, text, text), retryable, TaskMetrics())


def _take_over(fds: WorkerFds) -> None:
    """Make the forked process a worker: its own output, no foreign descriptors, no foreign state."""
    offer_to_oom_killer()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(fds.stdout, 1)
    os.dup2(fds.stderr, 2)
    _close_all_but(0, 1, 2, *fds)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text_stream(1)
    sys.stderr = _text_stream(2)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    faulthandler.enable(file=2)
    configure_process("worker")
    # What is called __main__ in a pickle is the user's program, not this one.
    sys.modules["__main__"] = types.ModuleType("__main__")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _text_stream(fd: int) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(io.FileIO(fd, "wb", closefd=False))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _close_all_but(*kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own is gone already
                os.close(int(name))
