"""The scheduler's events, commands and options as JSON values, and back: the form in which the event log has them.

The schema is the declared field types of the dataclasses, derived when a `Schema` is made: an event or command that is
added is covered by being in its union. A dataclass is an array of its fields, with its name in front; where the field
says which class it is, without. Bytes that nothing depends on are replaced by their number (`WITHOUT_BYTES`); ranges
stay ranges, long tuples that are regular or repeat themselves stay short. A log names the fields that it has, so that a
later version with more of them can read it.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from rddlite.base.outcome import Failure, InlineResult, Success
from rddlite.observe.forms import (
    Convert,
    Elided,
    applied,
    each_applied,
    elided,
    form,
    form_of,
    getter,
    mapped,
    pack_bytes,
    pack_range,
    pack_tuple,
    plain,
    size_of,
    unpack_bytes,
    unpack_range,
    unpack_tuple,
)  # fmt: skip
from rddlite.schedule.commands import Command
from rddlite.schedule.events import Event
from rddlite.schedule.options import SchedulerOptions

__all__ = ["WITHOUT_BYTES", "Batch", "Elided", "Schema", "UnknownForm"]

WITHOUT_BYTES: dict[type, frozenset[str]] = {
    InlineResult: frozenset({"data"}),
    Success: frozenset({"accumulators"}),
    Failure: frozenset({"pickled"}),
}
"""Fields of bytes of which a log has only the number: they are the user's, and no decision depends on them."""

_SCALARS = (int, str, float, bool)

FieldNames = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the scheduler: the events it was told together, and its answer or the error that it raised."""

    events: tuple[Event, ...]
    now: float
    wall: float
    commands: tuple[Command, ...]
    error: str = ""


class UnknownForm(ValueError):
    """A value of a log that this version cannot read."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How values of one declared type travel. A conversion of None means: as they are."""

    pack: Convert | None = None
    unpack: Convert | None = None


_AS_IT_IS = _Shape()


class _Record:
    """A dataclass as an array of its fields; `names` are those that the log at hand has."""

    def __init__(self, cls: Any, schema: Schema, names: Sequence[str] | None) -> None:
        hints = get_type_hints(cls)
        declared: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
        self.cls = cls
        self.names = list(declared) if names is None else list(names)
        self.declared = declared
        self._is_current = self.names == list(declared)
        self._shapes = {name: self._shape(name, hints, schema) for name in declared}
        self._get = getter(list(declared))
        self._pack = [(i, s.pack) for i, s in enumerate(self._shapes.values()) if s.pack is not None]
        self._unpack = [(i, s.unpack) for i, s in enumerate(self._shapes.values()) if s.unpack is not None]

    def _shape(self, name: str, hints: dict[str, Any], schema: Schema) -> _Shape:
        if name in WITHOUT_BYTES.get(self.cls, ()):
            return _Shape(size_of, elided)
        return schema.shape_of(hints[name])

    def pack(self, value: Any) -> Sequence[Any]:
        row: Sequence[Any] = self._get(value)
        if not self._pack:
            return row
        cells = list(row)
        for i, pack in self._pack:
            cells[i] = pack(cells[i])
        return cells

    def unpack(self, row: Any) -> Any:
        if type(row) is not list or len(row) != len(self.names):
            raise UnknownForm(f"not the fields of a {self.cls.__name__}: {row!r:.200}")
        if not self._is_current:
            return self.unpack_by_name(dict(zip(self.names, row, strict=True)))
        for i, unpack in self._unpack:
            row[i] = unpack(row[i])
        return self.cls(*row)

    def unpack_by_name(self, given: Mapping[str, Any]) -> Any:
        """From what another version wrote: what it does not say has its default, what it says besides is left out."""
        values: dict[str, Any] = {}
        for name, field in self.declared.items():
            if name in given:
                unpack = self._shapes[name].unpack
                values[name] = given[name] if unpack is None else unpack(given[name])
            elif field.default is MISSING and field.default_factory is MISSING:
                raise UnknownForm(f"this log has no {self.cls.__name__}.{name}")
        return self.cls(**values)


class Schema:
    """Everything that can be in a log. `names` are the fields of each class in the log to be read (None: as now).

    Raises:
        TypeError: if a field is declared as something that has no form here, or two classes have one name.
    """

    def __init__(self, names: FieldNames | None = None) -> None:
        self._names = names or {}
        self._records: dict[type, _Record] = {}
        self._event = self._one_of(get_args(Event))
        self._command = self._one_of(get_args(Command))
        self._options = self._record(SchedulerOptions)

    @property
    def fields(self) -> dict[str, list[str]]:
        """The fields of every class, by its name, in their order: what a log says of itself."""
        return {record.cls.__name__: list(record.declared) for record in self._records.values()}

    def pack_events(self, events: Iterable[Event]) -> list[Any]:
        """These events as JSON values."""
        return list(map(cast("Convert", self._event.pack), events))

    def pack_commands(self, commands: Iterable[Command]) -> list[Any]:
        """These commands as JSON values."""
        return list(map(cast("Convert", self._command.pack), commands))

    def pack_options(self, options: SchedulerOptions) -> dict[str, Any]:
        """The options, by name."""
        return dict(zip(self._options.declared, self._options.pack(options), strict=True))

    def unpack_events(self, rows: Sequence[Any]) -> tuple[Event, ...]:
        """The inverse of `pack_events`, for values that were read from JSON; consumes them.

        Raises:
            UnknownForm: for what no version has, or a later one.
        """
        return tuple(self._all(self._event, rows))

    def unpack_commands(self, rows: Sequence[Any]) -> tuple[Command, ...]:
        """The inverse of `pack_commands`, for values that were read from JSON; consumes them.

        Raises:
            UnknownForm: for what no version has, or a later one.
        """
        return tuple(self._all(self._command, rows))

    def unpack_options(self, given: Mapping[str, Any]) -> SchedulerOptions:
        """The options of a log; those that this version does not have are left out, others have their defaults."""
        return cast("SchedulerOptions", self._options.unpack_by_name(given))

    def _all(self, shape: _Shape, rows: Sequence[Any]) -> list[Any]:
        try:
            return list(map(cast("Convert", shape.unpack), rows))
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            if isinstance(error, UnknownForm):
                raise
            raise UnknownForm(f"not what this version writes: {error!r:.200}") from error

    # Deriving

    def _record(self, cls: Any) -> _Record:
        if cls not in self._records:
            if any(known.__name__ == cls.__name__ for known in self._records):
                raise TypeError(f"two classes of a log are called {cls.__name__}")
            self._records[cls] = _Record(cls, self, self._names.get(cls.__name__))
        return self._records[cls]

    def shape_of(self, hint: Any) -> _Shape:
        """How values that are declared like this travel."""
        hint = plain(hint)
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in _SCALARS or hint is type(None) or origin is Literal:
            return _AS_IT_IS
        if hint is bytes:
            return _Shape(pack_bytes, unpack_bytes)
        if hint is range:
            return _Shape(pack_range, unpack_range)
        if is_dataclass(hint):
            record = self._record(hint)
            return _Shape(record.pack, record.unpack)
        if origin is tuple:
            return self._tuple(arguments)
        if origin is frozenset:
            return self._frozenset(self.shape_of(arguments[0]))
        if origin is dict:
            return self._dict(self.shape_of(arguments[0]), self.shape_of(arguments[1]))
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        raise TypeError(f"an event log has no form for a field that is declared as {hint!r}: give it one in {__name__}")

    def _tuple(self, arguments: tuple[Any, ...]) -> _Shape:
        if len(arguments) == 2 and arguments[1] is ...:
            item = self.shape_of(arguments[0])
            return _Shape(lambda values: pack_tuple(values, item.pack), lambda row: unpack_tuple(row, item.unpack))
        shapes = [self.shape_of(argument) for argument in arguments]
        if all(shape is _AS_IT_IS for shape in shapes):
            return _Shape(None, tuple)
        packs, unpacks = [shape.pack for shape in shapes], [shape.unpack for shape in shapes]
        return _Shape(lambda row: each_applied(row, packs), lambda row: tuple(each_applied(row, unpacks)))

    def _frozenset(self, item: _Shape) -> _Shape:
        return _Shape(
            lambda values: mapped(sorted(values), item.pack),
            lambda row: frozenset(mapped(row, item.unpack)),
        )

    def _dict(self, key: _Shape, value: _Shape) -> _Shape:
        """As a list of pairs: the keys of a JSON object are text."""
        packs, unpacks = (key.pack, value.pack), (key.unpack, value.unpack)
        return _Shape(
            lambda mapping: [each_applied(pair, packs) for pair in mapping.items()],
            lambda rows: dict(each_applied(pair, unpacks) for pair in rows),
        )

    def _union(self, declared: tuple[Any, ...]) -> _Shape:
        members = [plain(member) for member in declared if member is not type(None)]
        classes = tuple(member for member in members if is_dataclass(member))
        others = [member for member in members if not is_dataclass(member)]
        packs: dict[type, Convert | None] = {get_origin(each) or each: self.shape_of(each).pack for each in others}
        unpacks: dict[type, Convert | None] = {form(each): self.shape_of(each).unpack for each in others}
        if len(unpacks) < len(others) or (classes and list in unpacks):
            raise TypeError(f"an event log cannot tell the members of {declared!r} apart")
        if classes:
            one_of = self._one_of(classes) if len(classes) > 1 else self.shape_of(classes[0])
            packs.update((cast("type", each), one_of.pack) for each in classes)
            unpacks[list] = one_of.unpack
        return _Shape(
            lambda value: applied(packs.get(type(value)), value),
            lambda value: applied(unpacks.get(form_of(value)), value),
        )

    def _one_of(self, classes: tuple[Any, ...]) -> _Shape:
        """A union of dataclasses: the array of the member, with its name in front."""
        records = [self._record(cls) for cls in classes]
        packs = {record.cls: (record.cls.__name__, record.pack) for record in records}
        by_name = {record.cls.__name__: record for record in records}

        def pack(value: Any) -> list[Any]:
            name, pack_fields = packs[type(value)]
            return [name, *pack_fields(value)]

        def unpack(row: Any) -> Any:
            if type(row) is not list or not row or row[0] not in by_name:
                raise UnknownForm(f"not one of {', '.join(by_name)}: {row!r:.200}")
            return by_name[row[0]].unpack(row[1:])

        return _Shape(pack, unpack)
