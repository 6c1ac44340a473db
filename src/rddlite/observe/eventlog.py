"""Writes the event log: one JSON-lines file per application with all that happened to the scheduler, and its answers.

The driver's loop thread hands each batch over (`recording` wraps `handle_all`) and never waits; a thread of the log's
own encodes and writes it, a moment later and in short bursts, so that it hardly competes with the loop. Nothing that
goes wrong here harms a job: the log ends with a warning instead. The file is called `.inprogress` until it is complete.
What a line holds is said in `docs/reference/events.md`; `logreader.py` reads it back.
"""

from __future__ import annotations

import json
import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rddlite.base.clock import Clock, wall_time
from rddlite.base.config import SETTINGS, Settings
from rddlite.base.log import logger
from rddlite.base.outcome import InlineResult, Success
from rddlite.base.units import show_bytes
from rddlite.observe.translate import Batch, Schema
from rddlite.schedule.commands import Command
from rddlite.schedule.events import Event, TaskEnded
from rddlite.schedule.options import SchedulerOptions
from rddlite.version import __version__

FORMAT = 1
"""Of the lines: rises with every change that older readers would misread."""
IN_PROGRESS = ".inprogress"
MOST_WAITING = 256 << 20
"""About how many bytes may wait to be written: a disk that takes no more than that costs the log, not the driver."""

_EVENT_BYTES = 1000
_COMMAND_BYTES = 200
_GATHER = 0.2
_BURST = 0.0005
_PAUSE = 0.0005
_ROWS_AT_ONCE = 256
_WRITE_BYTES = 256 << 10
_CLOSE_LIMIT = 10.0
_TOO_SLOW = "it could not be written as fast as things happened"
_log = logger("eventlog")

HandleAll = Callable[[Iterable[Event], float], list[Command]]


class EventLog:
    """`recording`'s wrapper is for the loop thread alone; `start` and `close` are for the thread that owns the driver.

    `options` are the scheduler's, `application` names the file in `directory`, which is made if it is not there.
    """

    def __init__(
        self, directory: str, application: str, settings: Settings, options: SchedulerOptions, clock: Clock
    ) -> None:
        self._directory = os.path.abspath(directory)
        self._application = application
        self._settings = settings
        self._options = options
        self._clock = clock
        self._started = 0.0, 0.0
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._weight_taken = 0
        self._weight_written = 0
        self._is_on = True
        self._too_slow = False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="rddlite-eventlog", daemon=True)

    def start(self) -> None:
        """Begin to write. Whatever fails, fails in the log's own thread."""
        self._started = wall_time(), self._clock.now()
        self._thread.start()

    def close(self) -> None:
        """Write what is waiting, and give the file its final name."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is None:
            return
        self._thread.join(_CLOSE_LIMIT)
        if self._thread.is_alive():
            _log.warning(
                "the event log in %s could not be finished within %.0f s: the disk takes nothing; it stays incomplete",
                self._directory, _CLOSE_LIMIT,
            )  # fmt: skip

    # The loop thread

    def recording(self, handle_all: HandleAll) -> HandleAll:
        """The scheduler's `handle_all`, each call of which is written down, also one that raises."""

        def handle_and_record(events: Iterable[Event], now: float) -> list[Command]:
            told = tuple(events)
            try:
                commands = handle_all(told, now)
            except Exception as error:
                self._record(Batch(told, now, wall_time(), (), repr(error)))
                raise
            self._record(Batch(told, now, wall_time(), tuple(commands)))
            return commands

        return handle_and_record

    def _record(self, batch: Batch) -> None:
        if not self._is_on:
            return
        weight = _weight(batch)
        self._weight_taken += weight
        if self._weight_taken - self._weight_written > MOST_WAITING:
            self._is_on = False
            self._too_slow = True
            _log.warning(
                "the event log in %s ends here: more than %s wait to be written; jobs go on without it. Is its disk "
                "slow, or away? eventlog.dir may name another one", self._directory, show_bytes(MOST_WAITING),
            )  # fmt: skip
        else:
            self._waiting.append((batch, weight))
        if not self._wake.is_set():
            self._wake.set()

    # The writer's thread

    def _run(self) -> None:
        file = None
        try:
            file = _File(self._directory, self._application)
            schema = Schema()
            file.write([_line(self._header(schema))])
            while not (self._closing.is_set() and not self._waiting):
                self._wake.wait()
                self._closing.wait(_GATHER)
                self._wake.clear()
                self._write_waiting(file, schema)
            end = {"truncated": _TOO_SLOW} if self._too_slow else {"end": wall_time()}
            file.finish(_line(end))
        except Exception as error:  # no job shall fail because of its log: full or unwritable disks, and our own bugs
            self._fail(error, file)
        finally:
            self._is_on = False
            self._waiting.clear()
            if file is not None:
                file.close()

    def _write_waiting(self, file: _File, schema: Schema) -> None:
        """In bursts: while this thread encodes, others of this process cannot run Python."""
        lines: list[str] = []
        size = 0
        began = self._clock.now()
        while self._waiting:
            batch, weight = self._waiting.popleft()
            lines.append(batch_line(schema, batch))
            self._weight_written += weight
            size += len(lines[-1])
            is_late = self._weight_taken - self._weight_written > MOST_WAITING // 4
            if size > _WRITE_BYTES:
                file.write(lines)
                lines, size = [], 0
            if not is_late and not self._closing.is_set() and self._clock.now() - began > _BURST:
                self._closing.wait(_PAUSE)
                began = self._clock.now()
        file.write(lines)

    def _fail(self, error: Exception, file: _File | None) -> None:
        self._is_on = False
        where = self._directory if file is None else file.path
        what = f"{error.strerror or error}" if isinstance(error, OSError) else f"{error!r} (please report this)"
        _log.warning(
            "the event log %s is not written (any more): %s; jobs go on without it. eventlog.dir may name another "
            "directory", where, what,
        )  # fmt: skip
        if file is not None:
            file.give_up(_line({"truncated": what}))

    def _header(self, schema: Schema) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "rddlite": __version__,
            "application": self._application,
            "name": self._settings["app.name"],
            "started": round(self._started[0], 3),
            "clock": self._started[1],
            "python": ".".join(map(str, sys.version_info[:3])),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "settings": visible(self._settings),
            "options": schema.pack_options(self._options),
            "fields": schema.fields,
        }


def visible(settings: Settings) -> dict[str, Any]:
    """All settings, those that may hold secrets masked."""
    return {
        key: "(hidden)" if value is not None and SETTINGS[key].is_secret else value for key, value in settings.items()
    }


def _weight(batch: Batch) -> int:
    """About how many bytes it keeps alive."""
    data = 0
    for event in batch.events:
        if type(event) is TaskEnded:
            outcome = event.outcome
            if type(outcome) is Success and type(outcome.value) is InlineResult:
                data += len(outcome.value.data)
    return len(batch.events) * _EVENT_BYTES + len(batch.commands) * _COMMAND_BYTES + data


_encode = json.JSONEncoder(separators=(",", ":"), default=operator.index).encode


def _line(value: dict[str, Any]) -> str:
    return _encode(value) + "\n"


def batch_line(schema: Schema, batch: Batch) -> str:
    """The line of one batch."""
    events = ",".join(_rows(batch.events, schema.pack_events))
    commands = ",".join(_rows(batch.commands, schema.pack_commands))
    error = f',"error":{_encode(batch.error)}' if batch.error else ""
    return f'{{"now":{batch.now!r},"wall":{batch.wall:.3f},"events":[{events}],"commands":[{commands}]{error}}}\n'


def _rows(values: Sequence[Any], pack: Callable[[Any], list[Any]]) -> Iterator[str]:
    """A few at a time: the C encoder keeps all other threads waiting until it is done."""
    for start in range(0, len(values), _ROWS_AT_ONCE):
        yield _encode(pack(values[start : start + _ROWS_AT_ONCE]))[1:-1]


class _File:
    """The file: opened under a name that nothing else has, written by whole lines, without a buffer of its own.

    A process that is forked from the driver thus has nothing to write twice.
    """

    def __init__(self, directory: str, application: str) -> None:
        self.path = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._final, self.path, self._fd = _create(directory, application)
        self._size = 0

    def write(self, lines: list[str]) -> None:
        """Append these lines, all of them or none.

        Raises:
            OSError: if the disk is full or gone.
        """
        data = memoryview("".join(lines).encode())
        done = 0
        while done < len(data):
            done += os.write(self._fd, data[done:])
        self._size += len(data)

    def finish(self, line: str) -> None:
        """The last line, and the final name."""
        self.write([line])
        os.rename(self.path, self._final)

    def give_up(self, line: str) -> None:
        """Leave whole lines only and say so, as far as the disk still allows."""
        try:
            os.ftruncate(self._fd, self._size)
            self.finish(line)
        except OSError:
            pass  # whoever reads it sees that its end is missing

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def _create(directory: str, application: str) -> tuple[str, str, int]:
    number = 1
    while True:
        name = application if number == 1 else f"{application}-{number}"
        final = os.path.join(directory, f"{name}.jsonl")
        number += 1
        if os.path.exists(final):
            continue
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            return final, final + IN_PROGRESS, os.open(final + IN_PROGRESS, flags, 0o600)
        except FileExistsError:
            continue
