"""Where a key belongs: a hash that is equal on every process, host and run.

It equals PySpark's `portable_hash` under PYTHONHASHSEED=0 (None is 0, tuples by a formula of their own, the rest
`hash`), except where `hash` is an address: there it is stable too, or the key is refused. Executors run with that
seed, so `hash` itself serves there; the driver has a seed of its own, so there the same hash is computed.

Rules are looked up by the `__hash__` that a type has, so subclasses of built-in types need no rule of their own. A
`__hash__` written in Python is run with `hash` bound to ours: dataclasses, enums, ipaddress, most users' classes.
Called by partitioners, shuffle writers and `lookup`. Holds no state but caches.
"""

from __future__ import annotations

import math
import operator
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from rddlite.errors import UnhashableKey
from rddlite.serde import rehash, siphash

Rule = Callable[[Any], int]

_NONE_HASH = 0xFCA86420
"""What `hash(None)` is from Python 3.12 on; an address before."""
_NAN_HASH = 0
"""What `hash(nan)` was before Python 3.10; an address since."""
_TUPLE_SEED, _TUPLE_FACTOR = 0x345678, 1000003

_NUMBER_MODULES = frozenset({"uuid", "fractions"})
"""Standard modules whose `__hash__` methods depend on integers alone, so that no seed enters."""
_VALUE_MODULES = frozenset({"enum", "ipaddress"})
"""Standard modules whose `__hash__` methods depend on nothing but the value."""


class _Uncertain(Exception):
    """A strict hasher met a `__hash__` of which nothing is known."""


class _Fixed:
    """An object with a given hash: puts computed hashes through the interpreter's own tuple and set formulas."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return self.value


class StableHasher:
    """The rules for one kind of process.

    `seeded`: `hash` of text is the one of PYTHONHASHSEED=0 here. `strict`: raise instead of trusting a `__hash__` that
    may depend on the seed of this process.
    """

    def __init__(self, *, seeded: bool, strict: bool = False) -> None:
        self._strict = strict
        plain = (int, bool, timedelta, str, bytes, date, datetime, time) if seeded else (int, bool, timedelta)
        self._plain: frozenset[type] = frozenset(plain)
        self._plain_unless_nan: frozenset[type] = self._plain | {float, complex}
        self._by_slot: dict[object, Rule] = {
            None: _refuse_unhashable,
            int.__hash__: hash,
            timedelta.__hash__: hash,
            float.__hash__: _float_hash,
            complex.__hash__: _complex_hash,
            tuple.__hash__: self._tuple,
            frozenset.__hash__: self._frozenset,
            range.__hash__: self._range,
        }
        self._by_slot.update(dict.fromkeys(_ADDRESS_SLOTS, _refuse_address))
        self._by_slot.update(self._text_rules(seeded))
        self._by_function: WeakKeyDictionary[types.FunctionType, Rule] = WeakKeyDictionary()
        self._rebound_globals = rehash.globals_with(self._part)

    def __reduce__(self) -> tuple[Callable[[], StableHasher], tuple[()]]:
        # Users' functions call `portable_hash`. Rules hold for one kind of process; elsewhere, those of that one serve.
        return _hasher_here, ()

    def _text_rules(self, seeded: bool) -> dict[object, Rule]:
        slots: dict[object, Rule] = {
            str.__hash__: siphash.str_hash,
            bytes.__hash__: siphash.bytes_hash,
            date.__hash__: _date_hash,
            datetime.__hash__: _datetime_hash,
            time.__hash__: _time_hash,
        }
        if seeded:
            return dict.fromkeys(slots, hash)
        return slots if siphash.COMPUTABLE else dict.fromkeys(slots, self._foreign)

    def portable(self, key: Any) -> int:
        """The placement hash of a key.

        Raises:
            UnhashableKey: if the key, or a part of it, has no hash or is hashed by its address.
        """
        if type(key) in self._plain:
            return hash(key)
        if key is None:
            return 0
        if not isinstance(key, tuple):
            return self.builtin(key)
        value = _TUPLE_SEED
        for item in key:
            value = ((value ^ self.portable(item)) * _TUPLE_FACTOR) & sys.maxsize
        return value ^ len(key)

    def builtin(self, key: Any) -> int:
        """What `hash(key)` is under PYTHONHASHSEED=0, made stable where that is an address."""
        if key is None:
            return _NONE_HASH
        return self._rule(type(key))(key)

    def column(self, keys: Sequence[Any]) -> list[int]:
        """`portable` of many keys at once: types are looked at per batch, not per key."""
        kinds = set(map(type, keys))
        if kinds <= self._plain or self._is_plain_without_nan(kinds, keys):
            return list(map(hash, keys))
        if type(None) in kinds:
            rest = iter(self.column([key for key in keys if key is not None]))
            return [0 if key is None else next(rest) for key in keys]
        if all(issubclass(kind, tuple) for kind in kinds):
            return self._tuple_column(keys)
        if len(kinds) == 1:
            return list(map(self._rule(kinds.pop()), keys))
        return [self.portable(key) for key in keys]

    def _tuple_column(self, keys: Sequence[tuple[Any, ...]]) -> list[int]:
        lengths = set(map(len, keys))
        if len(lengths) > 1:
            return [self.portable(key) for key in keys]
        length = lengths.pop()
        columns = [self.column(items) for items in zip(*keys, strict=True)]
        maximum = sys.maxsize
        if length == 2:
            return [
                ((((_TUPLE_SEED ^ first) * _TUPLE_FACTOR & maximum) ^ second) * _TUPLE_FACTOR & maximum) ^ 2
                for first, second in zip(*columns, strict=True)
            ]
        values = [_TUPLE_SEED] * len(keys)
        for hashes in columns:
            values = [((value ^ item) * _TUPLE_FACTOR) & maximum for value, item in zip(values, hashes, strict=True)]
        return [value ^ length for value in values]

    def _is_plain_without_nan(self, kinds: set[type], keys: Sequence[Any]) -> bool:
        if kinds == {float} and not math.isnan(sum(keys)):
            return True
        return kinds <= self._plain_unless_nan and not any(map(operator.ne, keys, keys))

    def _rule(self, kind: type) -> Rule:
        slot: object = kind.__hash__
        rule = self._by_slot.get(slot)
        if rule is not None:
            return rule
        if isinstance(slot, types.FunctionType):
            rule = self._by_function.get(slot)
            if rule is None:
                rule = self._by_function[slot] = self._function_rule(kind, slot)
            return rule
        if kind.__module__ == "numpy":
            return self._numpy_scalar
        if getattr(getattr(slot, "__objclass__", None), "__module__", None) == "decimal":
            return _decimal_hash
        return self._foreign

    def _function_rule(self, kind: type, function: types.FunctionType) -> Rule:
        if function.__module__ in _NUMBER_MODULES:
            return hash
        known = function.__module__ in _VALUE_MODULES or rehash.reads_only_fields(kind, function)
        if self._strict and not known:
            return self._foreign
        if rehash.can_rebind(function):
            rebound = rehash.rebind(function, self._rebound_globals)
            return rebound if known else lambda key: hash(_Fixed(rebound(key)))  # any integer may come back
        return hash if known else self._foreign

    def _part(self, key: Any) -> int:
        """`hash` as a `__hash__` written in Python sees it: the idiom `hash((type(self), ...))` works too."""
        if isinstance(key, type):
            return self.builtin(f"{key.__module__}.{key.__qualname__}")
        if type(key) is not tuple:
            return self.builtin(key)
        if self._plain.issuperset(map(type, key)):
            return hash(key)
        return hash(tuple([_Fixed(self._part(item)) for item in key]))

    def _tuple(self, key: tuple[Any, ...]) -> int:
        if self._plain.issuperset(map(type, key)):
            return hash(key)
        return hash(tuple(self._fixed(key)))

    def _frozenset(self, key: frozenset[Any]) -> int:
        if self._plain.issuperset(map(type, key)):
            return hash(key)
        return hash(frozenset(self._fixed(key)))

    def _fixed(self, items: Iterable[Any]) -> list[_Fixed]:
        return [_Fixed(self.builtin(item)) for item in items]

    def _range(self, key: range) -> int:
        if not key:
            return self._tuple((0, None, None))
        count = (key[-1] - key[0]) // key.step + 1
        return self._tuple((count, key.start, key.step if count > 1 else None))

    def _numpy_scalar(self, key: Any) -> int:
        value = key.item()
        if type(value) in (int, float, bool, complex, str, bytes):
            return self.builtin(value)
        return _NAN_HASH if key != key else self._foreign(key)

    def _foreign(self, key: Any) -> int:
        """Trust a `__hash__` of which nothing is known."""
        if self._strict:
            raise _Uncertain
        try:
            return hash(key)
        except TypeError as error:
            raise UnhashableKey(f"a key of type {_name(type(key))} cannot be hashed: {error}") from error


def _float_hash(key: float) -> int:
    return hash(key) if key == key else _NAN_HASH


def _complex_hash(key: complex) -> int:
    if key == key:
        return hash(key)
    return hash(complex(0.0 if math.isnan(key.real) else key.real, 0.0 if math.isnan(key.imag) else key.imag))


def _decimal_hash(key: Any) -> int:
    if key.is_snan():
        raise UnhashableKey("a signaling NaN (Decimal) cannot be a key: it has no hash")
    return _NAN_HASH if key.is_nan() else hash(key)


def _date_hash(key: date) -> int:
    return siphash.bytes_hash(bytes((key.year >> 8, key.year & 0xFF, key.month, key.day)))


def _time_hash(key: time) -> int:
    if key.tzinfo is not None and key.replace(fold=0).utcoffset() is not None:
        return hash(key)  # the hash of a timedelta, which no seed enters
    return siphash.bytes_hash(bytes((key.hour, key.minute, key.second)) + key.microsecond.to_bytes(3, "big"))


def _datetime_hash(key: datetime) -> int:
    if key.tzinfo is not None and key.replace(fold=0).utcoffset() is not None:
        return hash(key)
    day = bytes((key.year >> 8, key.year & 0xFF, key.month, key.day, key.hour, key.minute, key.second))
    return siphash.bytes_hash(day + key.microsecond.to_bytes(3, "big"))


_ADDRESS_SLOTS = (
    object.__hash__,
    types.MethodType.__hash__,
    types.BuiltinFunctionType.__hash__,
    types.MethodWrapperType.__hash__,
    types.GenericAlias.__hash__,
    types.UnionType.__hash__,
)


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _refuse_address(key: Any) -> int:
    raise UnhashableKey(
        f"a key of type {_name(type(key))} cannot be placed: its hash is its address in memory, so equal keys of "
        "different processes would land in different partitions. Give the class __eq__ and __hash__ (a dataclass with "
        "frozen=True has them), or use one of its values as the key."
    )


_ADVICE: dict[type, str] = {
    list: "tuple(key)",
    dict: "tuple(sorted(key.items()))",
    set: "frozenset(key)",
    bytearray: "bytes(key)",
}


def _refuse_unhashable(key: Any) -> int:
    kind = type(key)
    if kind in _ADVICE:
        advice = f"Use {_ADVICE[kind]} instead."
    elif hasattr(kind, "__dataclass_fields__"):
        advice = "Declare the dataclass with frozen=True."
    else:
        advice = "Give its class a __hash__, or use an immutable value of it as the key."
    raise UnhashableKey(f"a key of type {_name(kind)} cannot be placed: it is unhashable. {advice}")


def seeded_for_placement() -> bool:
    """Whether this process hashes text as PYTHONHASHSEED=0 does, found out by hashing."""
    probe = "rddlite"
    return siphash.COMPUTABLE and hash(probe) == siphash.str_hash(probe)


def _hasher_here() -> StableHasher:
    return _HASHER


_HASHER = StableHasher(seeded=seeded_for_placement())
_STRICT = _HASHER if seeded_for_placement() else StableHasher(seeded=False, strict=True)
_PLAIN = _HASHER._plain

stable_hash: Callable[[Any], int] = _HASHER.portable
"""The hash that places a key; see `StableHasher.portable`."""
stable_hashes: Callable[[Sequence[Any]], list[int]] = _HASHER.column
"""`stable_hash` of each key of a batch."""


def is_certain(key: Any) -> bool:
    """Whether `stable_hash(key)`, computed in this process, is what executors compute.

    False where the key holds an object of a class with a `__hash__` of its own and this process has a random seed:
    whoever looks for such a key must look in every partition.
    """
    try:
        _STRICT.portable(key)
    except _Uncertain:
        return False
    return True


def place(keys: Sequence[Any], n: int) -> list[int]:
    """The partition of each key, of `n`.

    Raises:
        UnhashableKey: as `stable_hash`.
    """
    if _PLAIN.issuperset(map(type, keys)):
        return [hash(key) % n for key in keys]
    return [value % n for value in _HASHER.column(keys)]
