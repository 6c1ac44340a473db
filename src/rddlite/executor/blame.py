"""Which operation failed on which record: read from the traceback, so that it costs nothing while nothing fails.

The source of a fused loop has one line for each thing that can fail, and a table (`Spot`) that says for each such line
which operation it belongs to and which local variables hold the record in hand. `explain` turns what Python says about
a line of generated code into what it means to the user; `blame` answers for any exception that left a task's loops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from opcode import opmap
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

from rddlite.errors import StopIterationInTask, UnhashableKey
from rddlite.lineage.ops import UserFunction, describe, named
from rddlite.serde.shortrepr import short_repr, type_name
from rddlite.shuffle.writer import BucketWriter

FUSED = "<rddlite fused "
"""File names of generated loops begin with this."""

Deed = Literal["read", "call", "call and unpack", "iterate", "item", "unpack", "hash", "count"]

_UNPACK = opmap.get("UNPACK_SEQUENCE")

CURRENT = "@"
"""As the name of a record: the item at which the list iterator `it` over the list `part` stands."""

_CONSTANTS = {"1": 1, "None": None}
_UNKNOWN = object()
_NO_LOCALS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Spot:
    """What one line of a fused loop does.

    `position` counts the operations of the piece; the one after the last is its consumer. `record` names the local
    that holds the record in hand, or the two that hold its key and value. `operand` names what the line works on:
    the iterable of `iterate`, the pair of `item` and `unpack`, the key of `hash`, the iterable of keys of `count`.
    A line that reads what the loop is given, before the first operation, has the position -1.
    """

    position: int
    deed: Deed
    record: tuple[str, ...] = ()
    operand: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Operations that became one loop, as the loop carries them for the case that it fails.

    `start` is the place of `ops[0]` in the whole chain. `origin` is the operation whose iterator the loop reads, where
    that is the user's own. `consumer` is what takes the records, if this loop ends in it.
    """

    ops: tuple[Any, ...] = ()
    start: int = 0
    origin: Any = None
    consumer: Any = None


@dataclass(frozen=True, slots=True)
class Blame:
    """The operation that failed, its place in the chain, and the record that it had in hand (as short text).

    What fails while records are written for a shuffle belongs to the shuffle, whose place is -1.
    """

    op: Any
    position: int
    record: str | None

    @property
    def operation(self) -> str:
        """For messages: `map(parse) at job.py:12`."""
        return name_of(self.op)

    @property
    def call_site(self) -> str | None:
        """`file:line` of the user's call that made the operation."""
        site = getattr(_function(self.op) or self.op, "site", None)
        return f"{site.file}:{site.line}" if site is not None else None


def _function(op: Any) -> UserFunction | None:
    """The user's function of an operation, a consumer or an aggregator."""
    for field in ("f", "merge_value", "create", "merge_combiners"):
        function = getattr(op, field, None)
        if isinstance(function, UserFunction):
            return function
    return None


def name_of(op: Any) -> str:
    """An operation, a consumer or an aggregator for messages."""
    function = _function(op)
    if function is not None:
        return named(function)
    if hasattr(op, "label"):
        return describe(op)
    return "groupByKey" if getattr(op, "grouping", False) else type(op).__name__


def explain(error: Exception) -> None:
    """Raise what `error` means where generated code raised it; return where the user's own code did.

    Called by the frame that caught it, for it only.

    Raises:
        StopIterationInTask: for a StopIteration, which would otherwise end the data silently.
        TypeError, ValueError, IndexError: with a better text, for what is not iterable or no pair.
        UnhashableKey: for a key without a hash.
    """
    if isinstance(error, StopIteration):
        raise StopIterationInTask("Caught StopIteration thrown from user's code; failing the task") from error
    step = error.__traceback__
    if step is not None and step.tb_next is not None and step.tb_next.tb_frame.f_code.co_name == "<listcomp>":
        step = step.tb_next
    if step is None or step.tb_next is not None:
        return
    spot, scope = _spot(step)
    if spot is None:
        return
    if spot.deed == "call and unpack" and step.tb_frame.f_code.co_code[step.tb_lasti] != _UNPACK:
        return
    better = _in_plain_words(error, spot, scope)
    if better is not None:
        raise better.with_traceback(error.__traceback__) from None


def _in_plain_words(error: Exception, spot: Spot, scope: Mapping[str, Any]) -> Exception | None:
    name = name_of(_op(scope["piece"], spot.position))
    operand = _value(spot.operand, scope) if spot.operand else _UNKNOWN
    match spot.deed:
        case "iterate" | "count" if isinstance(error, TypeError) and not _is_iterable(operand):
            record = _record(spot, scope)
            given = f" for the record {record}" if record is not None else ""
            return TypeError(f"{name} must return an iterable, but returned {_shown(operand)}{given}")
        case "call and unpack":
            consumer = name_of(scope["piece"].consumer)
            return type(error)(
                f"{consumer} needs pairs (key, value), but {name} returned none for the record {_record(spot, scope)}: "
                f"{error}"
            )
        case "item" | "unpack" if operand is not _UNKNOWN:
            return type(error)(f"{name} needs pairs (key, value), but a record is {_shown(operand)}")
        case "item" | "unpack":
            return type(error)(f"{name} needs pairs (key, value): {error}")
        case "hash" | "count" if isinstance(error, TypeError):
            keys = [operand] if spot.deed == "hash" else operand
            return unhashable_key(name_of(scope["piece"].consumer), keys, error)
    return None


def unhashable_key(name: str, keys: Any, error: TypeError) -> UnhashableKey:
    """What it means when one of these keys has no hash; `name` is the operation that needs it."""
    return UnhashableKey(f"{name} cannot use {_unhashable(keys)} as a key: {error}")


def _is_iterable(value: Any) -> bool:
    return hasattr(type(value), "__iter__") or hasattr(type(value), "__getitem__")


def _shown(value: Any) -> str:
    return f"{short_repr(value)} ({type_name(type(value))})"


def _unhashable(keys: Any) -> str:
    """The first of some keys that has no hash, if they can be looked at once more."""
    for key in keys if type(keys) is list else []:
        try:
            hash(key)
        except TypeError:
            return _shown(key)
    return "a record"


def blame(error: BaseException) -> Blame | None:
    """Which operation raised `error`, as far as its traceback shows; None for what no operation did.

    Call it while the frames of the traceback still hold their locals.
    """
    if isinstance(error, StopIterationInTask) and error.__cause__ is not None:
        error = error.__cause__
    found: Blame | None = None
    step = error.__traceback__
    while step is not None:
        found = _blame_of(step) or found
        step = step.tb_next
    return found


def _blame_of(step: TracebackType) -> Blame | None:
    if step.tb_frame.f_code in _WRITERS:
        return Blame(step.tb_frame.f_locals["self"].dep, -1, None)
    if step.tb_frame.f_code in _CALLERS:
        arguments = step.tb_frame.f_locals
        return Blame(arguments["op"], arguments["position"], None)
    spot, scope = _spot(step)
    if spot is None:
        return None
    piece: Piece = scope["piece"]
    if spot.position < 0 and piece.origin is not None:
        return Blame(piece.origin, piece.start - 1, None)
    if spot.deed == "read":
        return None
    position = spot.position if spot.position >= 0 else len(piece.ops)
    return Blame(_op(piece, position), piece.start + position, _record(spot, scope))


_WRITERS = tuple(
    method.__code__
    for method in (BucketWriter.add, BucketWriter.add_columns, BucketWriter.add_groups, BucketWriter.commit)
)
_CALLERS: set[CodeType] = set()


def calls_once_per_partition(code: CodeType) -> None:
    """Make `blame` know a function that calls the user's, with the locals `op` and `position`."""
    _CALLERS.add(code)


def _spot(step: TracebackType) -> tuple[Spot | None, Mapping[str, Any]]:
    frame: FrameType | None = step.tb_frame
    if frame is None or not frame.f_code.co_filename.startswith(FUSED):
        return None, _NO_LOCALS
    spot: Spot | None = frame.f_globals["SPOTS"].get(step.tb_lineno)
    if frame.f_code.co_name == "<listcomp>":  # a frame of its own before 3.12
        frame = frame.f_back
    return (spot, frame.f_locals) if frame is not None else (None, _NO_LOCALS)


def _op(piece: Piece, position: int) -> Any:
    return piece.ops[position] if 0 <= position < len(piece.ops) else piece.consumer


def _record(spot: Spot, scope: Mapping[str, Any]) -> str | None:
    values = [_value(name, scope) for name in spot.record]
    if not values or any(value is _UNKNOWN for value in values):
        return None
    return short_repr(values[0] if len(values) == 1 else tuple(values))


def _value(name: str, scope: Mapping[str, Any]) -> Any:
    if name != CURRENT:
        return scope.get(name, _CONSTANTS.get(name, _UNKNOWN))
    part, it = scope.get("part"), scope.get("it")
    if not isinstance(part, (list, range)) or it is None:
        return _UNKNOWN
    index = len(part) - it.__length_hint__() - 1
    return part[index] if 0 <= index < len(part) else _UNKNOWN
