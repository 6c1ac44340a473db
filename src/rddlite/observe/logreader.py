"""Reads an event log back: its header, its batches one by one, and how it ends.

A log whose end is missing, because its driver was killed or is still running, is read up to its last whole line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rddlite.errors import CorruptInput, PathNotFound, PathUnreadable
from rddlite.observe.eventlog import FORMAT
from rddlite.observe.translate import Batch, Schema, UnknownForm
from rddlite.schedule.options import SchedulerOptions
from rddlite.version import __version__

_NO_LOG = "this is not the first line of an event log (files that eventlog.dir asked for are)"


@dataclass(frozen=True, slots=True)
class Header:
    """What a log says of its application. `started` is seconds since the epoch, `clock` the scheduler's time then."""

    rddlite: str
    application: str
    name: str
    started: float
    clock: float
    python: str
    host: str
    pid: int
    settings: dict[str, Any]
    options: SchedulerOptions

    @property
    def is_of_this_version(self) -> bool:
        """Whether this version of rddlite wrote it: only then is a replay expected to decide alike."""
        return self.rddlite == __version__


@dataclass(frozen=True, slots=True)
class Ending:
    """How a log ends: complete; truncated by its writer, or unfinished, because of `why`."""

    kind: Literal["complete", "truncated", "unfinished"]
    why: str = ""


class LogReader:
    """One log. Iterating gives its batches, as often as wanted; `ending` and `line` are of the last one read.

    Raises (also while iterating):
        PathNotFound, PathUnreadable: if there is no such file, or it cannot be read.
        CorruptInput: if it is no event log, or one that this version cannot read; with the number of the line.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 0
        self.ending = Ending("unfinished", "nothing was read yet")
        for first in self._lines():
            self.header, self._schema = self._begin(first)
            break
        else:
            raise CorruptInput(f"{path} is no event log: it has no first line")

    def __iter__(self) -> Iterator[Batch]:
        self.ending = Ending("unfinished", "its end is missing: the driver is still running, or was killed")
        for row in self._lines():
            if self.line == 1:
                continue
            if "events" in row:
                yield self._batch(row)
            elif "truncated" in row:
                self.ending = Ending("truncated", str(row["truncated"]))
            elif "end" in row:
                self.ending = Ending("complete")
            else:
                raise self._corrupt("neither a batch nor an end")

    def _lines(self) -> Iterator[dict[str, Any]]:
        self.line = 0
        try:
            with open(self.path, encoding="utf-8") as file:
                for text in file:
                    self.line += 1
                    if not text.endswith("\n"):
                        self.ending = Ending("unfinished", "its last line is cut off: the driver was killed")
                        return
                    yield self._parsed(text)
        except CorruptInput:
            raise
        except FileNotFoundError as error:
            raise PathNotFound(f"there is no event log {self.path}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise PathUnreadable(f"{self.path} cannot be read as an event log: {error}") from error

    def _parsed(self, text: str) -> dict[str, Any]:
        try:
            row = json.loads(text)
        except ValueError as error:
            raise self._corrupt(_NO_LOG if self.line == 1 else str(error)) from error
        if not isinstance(row, dict):
            raise self._corrupt(_NO_LOG if self.line == 1 else "not an object")
        return row

    def _begin(self, row: dict[str, Any]) -> tuple[Header, Schema]:
        if "format" not in row or "fields" not in row:
            raise self._corrupt(_NO_LOG)
        if row["format"] != FORMAT:
            raise self._corrupt(
                f"it has format {row['format']}, and rddlite {__version__} reads format {FORMAT}: use rddlite "
                f"{row.get('rddlite')}, which wrote it"
            )
        try:
            schema = Schema(row["fields"])
            names = ("rddlite", "application", "name", "started", "clock", "python", "host", "pid", "settings")
            said = {name: row[name] for name in names}
            return Header(**said, options=schema.unpack_options(row["options"])), schema
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._corrupt(f"its first line is incomplete: {error!r}") from error

    def _batch(self, row: dict[str, Any]) -> Batch:
        try:
            events = self._schema.unpack_events(row["events"])
            commands = self._schema.unpack_commands(row["commands"])
            return Batch(events, row["now"], row["wall"], commands, row.get("error", ""))
        except KeyError as error:
            raise self._corrupt(f"a batch without {error}") from error
        except UnknownForm as error:
            by = "" if self.header.is_of_this_version else f" (written by rddlite {self.header.rddlite})"
            raise self._corrupt(f"{error}{by}") from error

    def _corrupt(self, why: str) -> CorruptInput:
        return CorruptInput(f"{self.path}, line {self.line}: {why}")
