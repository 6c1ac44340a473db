"""Messages and outcomes to bytes and back: the only importer of msgpack.

The schema is the declared field types of the dataclasses in `messages.py`, `transfer.py` and `base/outcome.py`,
derived once at import: a dataclass is an array of its fields (or of its `USUAL` ones, if others have their defaults), a
member of a union is preceded by its position in the union. Both directions are strict. What does not fit raises
`LocalProtocolError` on the way out and `RemoteProtocolError` on the way in, and never anything else: unknown tag, wrong
number or type of fields, trailing bytes, too many bytes.

Hot path: one call for all fields of a row, one comparison of all their types, one call of msgpack.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import msgpack

from rddlite.base.outcome import TaskOutcome
from rddlite.errors import LocalProtocolError, RemoteProtocolError
from rddlite.net.messages import FromDriver, Message, Met, RunTask
from rddlite.net.transfer import MAX_HEADER, ToReceiver, ToSender

MAX_TO_DRIVER = 64 << 20
"""Most bytes of one message to the driver: results above `result.inlineLimit` go through files."""
MAX_OUTCOME = MAX_TO_DRIVER // 2
"""Most bytes of one outcome, which shares its message with others."""
MAX_TO_EXECUTOR = (1 << 32) - 1
"""Most bytes of one message to an executor: payloads and source partitions travel in them; msgpack counts to here."""

Convert = Callable[[Any], Any]


class _Misfit(Exception):
    """A value that its declared type does not allow; becomes the error of the direction at hand."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How values of one declared type travel. A conversion of None means: as they are."""

    types: frozenset[type]
    wire_types: frozenset[type]
    pack: Convert | None = None
    unpack: Convert | None = None


class _Record:
    """A dataclass as an array of its fields."""

    def __init__(self, cls: Any) -> None:
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cls)]
        shapes = [_shape_of(hints[name]) for name in names]
        self.cls = cls
        self._get = attrgetter(*names) if len(names) > 1 else _single(names[0])
        self._types = _RowTypes(cls.__name__, names, [shape.types for shape in shapes])
        self._wire_types = _RowTypes(cls.__name__, names, [shape.wire_types for shape in shapes])
        self._pack = [(i, shape.pack) for i, shape in enumerate(shapes) if shape.pack is not None]
        self._unpack = [(i, shape.unpack) for i, shape in enumerate(shapes) if shape.unpack is not None]

    def pack(self, value: Any) -> Any:
        row = self._get(value)
        self._types.check(row)
        if not self._pack:
            return row
        row = list(row)
        for i, pack in self._pack:
            row[i] = pack(row[i])
        return row

    def unpack(self, row: list[Any]) -> Any:
        self._wire_types.check(row)
        for i, unpack in self._unpack:
            row[i] = unpack(row[i])
        return self.cls(*row)


class _SparseRecord(_Record):
    """A dataclass of scalars with defaults, of which only the first `USUAL` fields travel where that says it all."""

    def __init__(self, cls: Any) -> None:
        super().__init__(cls)
        names, n = [field.name for field in fields(cls)], cls.USUAL
        self._n = n
        self._get_usual, self._get_rest = attrgetter(*names[:n]), attrgetter(*names[n:])
        self._rest = tuple(field.default for field in fields(cls)[n:])
        self._usual_types, self._usual_wire_types = self._types.first(n), self._wire_types.first(n)

    def pack(self, value: Any) -> Any:
        if self._get_rest(value) != self._rest:
            return super().pack(value)
        row = self._get_usual(value)
        self._usual_types.check(row)
        return row

    def unpack(self, row: list[Any]) -> Any:
        if len(row) != self._n:
            return super().unpack(row)
        self._usual_wire_types.check(row)
        return self.cls(*row)


class _RowTypes:
    """Which types the fields of a row may have; combinations that were found right once are remembered."""

    def __init__(self, name: str, names: list[str], allowed: list[frozenset[type]]) -> None:
        self._name = name
        self._names = names
        self._allowed = allowed
        self._right: set[tuple[type, ...]] = set()

    def first(self, n: int) -> _RowTypes:
        """Those of the first fields."""
        return _RowTypes(self._name, self._names[:n], self._allowed[:n])

    def check(self, row: Any) -> None:
        found = tuple(map(type, row))
        if found not in self._right:
            self._learn(found)

    def _learn(self, found: tuple[type, ...]) -> None:
        if len(found) != len(self._names):
            raise _Misfit(f"{self._name} has {len(self._names)} fields, not {len(found)}")
        for name, kind, allowed in zip(self._names, found, self._allowed, strict=True):
            if kind not in allowed:
                raise _Misfit(f"{self._name}.{name} cannot be of type {kind.__name__}")
        self._right.add(found)


class _OneOf:
    """A union of dataclasses: the array of the member, with its position in the union in front."""

    def __init__(self, union: Any) -> None:
        self._records = [_record(cls) for cls in get_args(union)]
        self._tags = {record.cls: (tag, record) for tag, record in enumerate(self._records)}

    def pack(self, value: Any) -> Any:
        found = self._tags.get(type(value))
        if found is None:
            raise _Misfit(f"a {type(value).__name__} is not among {[record.cls.__name__ for record in self._records]}")
        return (found[0], *found[1].pack(value))

    def unpack(self, row: Any) -> Any:
        if type(row) is not list or not row:
            raise _Misfit("a message must be an array that begins with its tag")
        tag = row[0]
        if type(tag) is not int or not 0 <= tag < len(self._records):
            raise _Misfit(f"no message has the tag {tag!r:.40}")
        del row[0]
        return self._records[tag].unpack(row)


_SCALARS = (int, str, bytes, bool)
_records: dict[type, _Record] = {}


def _single(name: str) -> Convert:
    get = attrgetter(name)
    return lambda value: (get(value),)


def _record(cls: type) -> _Record:
    if cls not in _records:
        _records[cls] = _SparseRecord(cls) if hasattr(cls, "USUAL") else _Record(cls)
    return _records[cls]


def _shape_of(hint: Any) -> _Shape:
    hint = getattr(hint, "__supertype__", hint)  # a NewType is what it is made of
    if hint in _SCALARS:
        return _Shape(frozenset({hint}), frozenset({hint}))
    if hint is float:
        return _Shape(frozenset({float, int}), frozenset({float, int}))
    if is_dataclass(hint):
        record = _record(cast("type", hint))
        return _Shape(frozenset({record.cls}), frozenset({list}), record.pack, record.unpack)
    if get_origin(hint) is list:
        return _list_of(_shape_of(get_args(hint)[0]))
    if get_origin(hint) in (Union, types.UnionType):
        return _union_of(hint)
    raise TypeError(f"no field of a message can be declared as {hint!r}")


def _union_of(hint: Any) -> _Shape:
    members = get_args(hint)
    if type(None) not in members:
        choice = _OneOf(hint)
        return _Shape(frozenset(members), frozenset({list}), choice.pack, choice.unpack)
    plain = _shape_of(next(member for member in members if member is not type(None)))
    if len(members) != 2 or plain.pack is not None:
        raise TypeError(f"only a scalar can be optional in a message, not {hint!r}")
    return _Shape(plain.types | {type(None)}, plain.wire_types | {type(None)})


def _list_of(item: _Shape) -> _Shape:
    return _Shape(
        frozenset({list}),
        frozenset({list}),
        lambda values: _items(values, item.types, item.pack),
        lambda values: _items(values, item.wire_types, item.unpack),
    )


def _items(values: list[Any], allowed: frozenset[type], convert: Convert | None) -> list[Any]:
    found = set(map(type, values))
    if not found <= allowed:
        raise _Misfit(f"a list cannot hold {sorted(kind.__name__ for kind in found - allowed)}")
    return values if convert is None else list(map(convert, values))


_MESSAGE = _OneOf(Message)
_OUTCOME = _OneOf(TaskOutcome)
_TASK = _record(RunTask)
_MET = _record(Met)
_TO_SENDER = _OneOf(ToSender)
_TO_RECEIVER = _OneOf(ToReceiver)
_TO_EXECUTOR = frozenset(get_args(FromDriver))


def encode(message: Message) -> bytes:
    """The bytes of a message.

    Raises:
        LocalProtocolError: if it is no message, a field has a wrong type, or it is too large for its receiver.
    """
    return _dump(_MESSAGE.pack, message, MAX_TO_EXECUTOR if type(message) in _TO_EXECUTOR else MAX_TO_DRIVER)


def decode(data: bytes, limit: int = MAX_TO_DRIVER) -> Message:
    """The message of these bytes.

    Raises:
        RemoteProtocolError: if they are not exactly one message of at most `limit` bytes.
    """
    return cast("Message", _load(_MESSAGE.unpack, data, limit))


def pack_outcome(outcome: TaskOutcome) -> bytes:
    """The bytes of an outcome, as they travel in `AttemptReport.outcome`.

    Raises:
        LocalProtocolError: if it is no outcome, a field has a wrong type, or it is too large.
    """
    return _dump(_OUTCOME.pack, outcome, MAX_OUTCOME)


def unpack_outcome(data: bytes) -> TaskOutcome:
    """The inverse of `pack_outcome`.

    Raises:
        RemoteProtocolError: if the bytes are not exactly one outcome.
    """
    return cast("TaskOutcome", _load(_OUTCOME.unpack, data, MAX_OUTCOME))


def encode_to_sender(message: ToSender) -> bytes:
    """The bytes of what a receiver of bulk bytes says.

    Raises:
        LocalProtocolError: if it is nothing that it says, a field has a wrong type, or it is too large.
    """
    return _dump(_TO_SENDER.pack, message, MAX_HEADER)


def decode_to_sender(data: bytes) -> ToSender:
    """The inverse of `encode_to_sender`.

    Raises:
        RemoteProtocolError: if the bytes are not exactly one such message.
    """
    return cast("ToSender", _load(_TO_SENDER.unpack, data, MAX_HEADER))


def encode_to_receiver(message: ToReceiver) -> bytes:
    """The bytes of what a sender of bulk bytes says, without the data of a chunk.

    Raises:
        LocalProtocolError: as `encode_to_sender`.
    """
    return _dump(_TO_RECEIVER.pack, message, MAX_HEADER)


def decode_to_receiver(data: bytes) -> ToReceiver:
    """The inverse of `encode_to_receiver`.

    Raises:
        RemoteProtocolError: as `decode_to_sender`.
    """
    return cast("ToReceiver", _load(_TO_RECEIVER.unpack, data, MAX_HEADER))


def pack_task(task: RunTask) -> bytes:
    """One task by itself, as an executor hands it to a worker.

    Raises:
        LocalProtocolError: if a field has a wrong type.
    """
    return _dump(_TASK.pack, task, MAX_TO_EXECUTOR)


def unpack_task(data: bytes) -> RunTask:
    """The inverse of `pack_task`.

    Raises:
        RemoteProtocolError: if the bytes are not exactly one task.
    """
    return cast("RunTask", _load(_unpack_task, data, MAX_TO_EXECUTOR))


def pack_met(met: Met) -> bytes:
    """An answer to a task of a barrier stage, as an executor hands it to a worker.

    Raises:
        LocalProtocolError: if a field has a wrong type.
    """
    return _dump(_MET.pack, met, MAX_TO_EXECUTOR)


def unpack_met(data: bytes) -> Met:
    """The inverse of `pack_met`.

    Raises:
        RemoteProtocolError: if the bytes are not exactly one answer.
    """
    return cast("Met", _load(_unpack_met, data, MAX_TO_EXECUTOR))


def _unpack_task(row: Any) -> Any:
    if type(row) is not list:
        raise _Misfit("a task must be an array")
    return _TASK.unpack(row)


def _unpack_met(row: Any) -> Any:
    if type(row) is not list:
        raise _Misfit("an answer must be an array")
    return _MET.unpack(row)


def _dump(pack: Convert, value: Any, limit: int) -> bytes:
    try:
        # Text may hold lone surrogates (file names, messages of exceptions): they travel as they are.
        data: bytes = msgpack.packb(pack(value), unicode_errors="surrogatepass")
    except _Misfit as error:
        raise LocalProtocolError(str(error)) from None
    except (AttributeError, ValueError, OverflowError, TypeError) as error:
        raise LocalProtocolError(f"a {type(value).__name__} cannot be sent: {error}") from error
    if len(data) > limit:
        raise LocalProtocolError(f"a {type(value).__name__} of {len(data)} bytes is larger than {limit}")
    return data


def _load(unpack: Convert, data: bytes, limit: int) -> Any:
    if len(data) > limit:
        raise RemoteProtocolError(f"{len(data)} bytes are more than the {limit} that a message may have")
    try:
        return unpack(msgpack.unpackb(data, unicode_errors="surrogatepass"))
    except _Misfit as error:
        raise RemoteProtocolError(str(error)) from None
    except Exception as error:  # whatever msgpack makes of bytes from anywhere: they are no message
        raise RemoteProtocolError(f"not a message: {error!r:.200}") from error
