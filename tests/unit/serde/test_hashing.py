"""Placement of keys within one process; agreement between processes is tests/local/test_hashing_processes.py."""

from __future__ import annotations

import dataclasses
import enum
import functools
import gc
import ipaddress
import math
import pickle
import sys
import uuid
from collections import namedtuple
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import UnhashableKey
from rddlite.serde import closures, hashing
from rddlite.serde.hashing import StableHasher, is_certain, place, stable_hash, stable_hashes

Point = namedtuple("Point", "x y")
NAN = float("nan")


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass(frozen=True)
class Place:
    name: str
    number: Any = None
    note: str = dataclasses.field(default="", compare=False)


class Town(Place):
    """Inherits the generated hash."""


class Plain:
    pass


class Own:
    def __init__(self, name: str, other: Any = None) -> None:
        self.name, self.other = name, other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and (self.name, self.other) == (other.name, other.other)

    def __hash__(self) -> int:
        return hash((type(self), self.name, self.other)) * 31


class Caching(Own):
    def __hash__(self) -> int:
        self.kept = hash((self.name, None))
        return self.kept


class Numeric(Own):
    def __hash__(self) -> int:
        return len(self.name)


class WithSuper(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


class Text(str):
    __slots__ = ()


def portable_hash(x: Any) -> int:
    """What PySpark documents, for values whose `hash` is the same in every process."""
    if x is None:
        return 0
    if isinstance(x, tuple):
        h = 0x345678
        for i in x:
            h = ((h ^ portable_hash(i)) * 1000003) & sys.maxsize
        h ^= len(x)
        return -2 if h == -1 else h
    return hash(x)


unseeded = st.one_of(
    st.none(),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.timedeltas(),
    st.uuids(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))),
)
keys_of_any_seed = st.recursive(unseeded, lambda inner: st.tuples(inner, inner) | st.lists(inner).map(tuple))


@given(keys_of_any_seed)
def test_equals_portable_hash(key: Any) -> None:
    assert stable_hash(key) == portable_hash(key)


@given(st.lists(keys_of_any_seed), st.integers(1, 1000))
def test_batches_are_placed_as_single_keys_are(keys: list[Any], n: int) -> None:
    assert place(keys, n) == [portable_hash(key) % n for key in keys]
    assert stable_hashes(keys) == [stable_hash(key) for key in keys]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [1, 2, True],
        ["a", "b", b"c"],
        [1.5, NAN],
        [1.5, math.inf, -math.inf],
        [1.5, 2],
        [None, None],
        [None, "a", 1],
        [("a", 1), ("b", None)],
        [("a", 1), ("b", NAN)],
        [("a",), ("b", 1)],
        [(), ()],
        [Point(1, "x"), (1, "x")],
        [Place("a"), Place("b", 2)],
        [Place("a"), "a"],
        [Colour.RED, Colour.GREEN],
        [frozenset({1, "a"}), frozenset()],
        [1 + 2j, complex(NAN, 1)],
        [Decimal("NaN"), Decimal(1)],
        [date(2020, 2, 3), datetime(2020, 2, 3, 4)],
        [((1, None), "a"), ((2, 3), "b")],
    ],
)
@pytest.mark.parametrize("seeded", [True, False])
def test_columns_equal_single_keys(keys: list[Any], seeded: bool) -> None:
    hasher = StableHasher(seeded=seeded)
    assert hasher.column(keys) == [hasher.portable(key) for key in keys]


def test_equal_keys_have_equal_hashes() -> None:
    assert len({stable_hash(one) for one in (1, 1.0, True, Decimal(1), Fraction(1), complex(1), Level.LOW)}) == 1
    assert len({stable_hash(one) for one in ("a", Text("a"), np.str_("a"))}) == 1
    assert stable_hash(Point(1, "x")) == stable_hash((1, "x"))
    assert stable_hash(datetime(2020, 1, 1, fold=1)) == stable_hash(datetime(2020, 1, 1))
    assert stable_hash(Place("a", 1, note="x")) == stable_hash(Place("a", 1, note="y"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        lambda: complex(float("nan"), 2),
        lambda: Decimal("NaN"),
        lambda: np.float64("nan"),
        lambda: np.float32("nan"),
        lambda: np.datetime64("NaT", "s"),
        lambda: (1, float("nan")),
        lambda: frozenset({float("nan")}),
        lambda: Place("a", float("nan")),
        lambda: Own("a", (float("nan"), None)),
        lambda: Place("a", Place("b", Decimal("NaN"))),
    ],
)
def test_nan_has_a_hash_that_is_no_address(make: Any) -> None:
    kept = [make() for _ in range(20)]
    assert len({stable_hash(one) for one in kept}) == 1


def test_none_has_the_hash_of_newer_pythons_everywhere() -> None:
    assert stable_hash(None) == 0
    assert stable_hash(frozenset({None})) == hash(frozenset({hashing._Fixed(0xFCA86420)}))
    if sys.version_info >= (3, 12):
        assert hash(None) == 0xFCA86420


@pytest.mark.parametrize("key", [range(0), range(5, 5), range(7, 8), range(1, 100, 7), range(10, 0, -3)])
def test_ranges(key: range) -> None:
    if len(key) > 1 or sys.version_info >= (3, 12):
        assert stable_hash(key) == hash(key)
    assert stable_hash(key) == stable_hash(range(key.start, key.stop, key.step))


class Meta:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (Plain(), "Plain"),
        (Plain, "type"),
        (len, "builtin_function_or_method"),
        (portable_hash, "function"),
        (lambda: 0, "function"),
        (Meta().method, "method"),
        ([].__len__, "method-wrapper"),
        (functools.partial(len), "functools.partial"),
        (object(), "object"),
        (..., "ellipsis"),
        (list[int], "GenericAlias"),
        ((1, Plain()), "Plain"),
        (frozenset({Plain()}), "Plain"),
        (Place("a", Plain()), "Plain"),
        (Own("a", Plain()), "Plain"),
    ],
)
@pytest.mark.parametrize("seeded", [True, False])
def test_keys_hashed_by_address_are_refused(key: Any, name: str, seeded: bool) -> None:
    with pytest.raises(UnhashableKey, match=name) as refused:
        StableHasher(seeded=seeded).portable(key)
    assert "address" in str(refused.value)
    with pytest.raises(UnhashableKey):
        StableHasher(seeded=seeded).column([key])
    with pytest.raises(UnhashableKey):
        place([1, key], 5)


@dataclasses.dataclass
class Mutable:
    x: int = 0


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ([1], "tuple"),
        ({"a": 1}, "tuple"),
        ({1}, "frozenset"),
        (bytearray(b"x"), "bytes"),
        ((1, [2]), "list"),
        (Mutable(), "frozen=True"),
        (np.zeros(2), "numpy.ndarray"),
        (Place("a", [1]), "list"),
        (Decimal("sNaN"), "Decimal"),
    ],
)
def test_unhashable_keys_are_refused_as_type_errors(key: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=advice) as refused:
        stable_hash(key)
    assert isinstance(refused.value, UnhashableKey)
    with pytest.raises(UnhashableKey):
        place([key], 3)


def test_the_users_own_hash_is_run_with_ours_unless_it_keeps_the_result() -> None:
    hasher = StableHasher(seeded=False)
    assert hasher.portable(Own("a")) == hasher.portable(Own("a"))
    assert hasher.portable(Own("a")) != hash(Own("a")) or hashing.seeded_for_placement()
    kept = Caching("a")
    assert hasher.portable(kept) == hash(kept) == kept.kept
    assert hasher.portable(Numeric("abc")) == 3
    assert hasher.portable(WithSuper("abc")) == hash("abc")


def test_a_users_hash_of_any_size_becomes_a_hash() -> None:
    # the product by 31 does not fit 64 bits: `hash` reduces what __hash__ gives
    assert abs(stable_hash(Own("a"))) <= sys.maxsize


@pytest.mark.parametrize(
    "key",
    [
        "a",
        ("a", None, b"b", 1.5),
        Colour.RED,
        Place("a", frozenset({"x", None})),
        Town("a"),
        date(2020, 1, 1),
        uuid.UUID(int=5),
        ipaddress.ip_address("10.0.0.1"),
        ipaddress.ip_address("fe80::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        np.int64(3),
        np.str_("a"),
    ],
)
def test_known_types_are_certain(key: Any) -> None:
    assert is_certain(key)


def test_own_hashes_are_certain_only_under_the_seed_of_executors() -> None:
    strict = StableHasher(seeded=False, strict=True)
    for key in (Own("a"), (1, Own("a")), frozenset({Caching("a")}), np.datetime64("2020-01-01"), Place("a", Own("b"))):
        with pytest.raises(hashing._Uncertain):
            strict.portable(key)
        assert is_certain(key) is hashing.seeded_for_placement()


def test_numpy_scalars_hash_as_python_numbers() -> None:
    assert stable_hash(np.int64(-1)) == stable_hash(-1)
    assert stable_hash(np.float32(0.5)) == stable_hash(0.5)
    assert stable_hash(np.bool_(True)) == stable_hash(True)


def test_aware_times_hash_by_their_moment() -> None:
    east = timezone(timedelta(hours=2))
    assert stable_hash(datetime(2020, 1, 1, 2, tzinfo=east)) == stable_hash(datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert stable_hash(time(2, tzinfo=east)) == stable_hash(time(0, tzinfo=timezone.utc))


def test_rules_do_not_keep_classes_alive() -> None:
    hasher = StableHasher(seeded=True)
    before = len(hasher._by_function)

    def use_once() -> None:
        made = dataclasses.make_dataclass("Made", ["x"], frozen=True)
        hasher.portable(made(1))

    use_once()
    gc.collect()
    assert len(hasher._by_function) == before


def test_functions_that_use_it_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(stable_hash)) == stable_hash
    first_of_pair = closures.loads(closures.dumps_function(lambda pair: stable_hash(pair[0]), "the function"))
    assert first_of_pair(("a", 1)) == stable_hash("a")
