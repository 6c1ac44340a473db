"""Sketches of many records in little room: their quantiles, and those that are frequent. By Apache DataSketches.

The only importer of `datasketches`, which not everybody has. Between processes a sketch is a pair, its bytes and the
records that are in it: so records travel as all others do, and the bytes hold only their places in that list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from rddlite.errors import ExtraMissing

Packed = tuple[bytes, list[Any]]
_PLACE = 4
_SMALLEST_K, _LARGEST_K = 8, 65_535
_SMALLEST_MAP, _LARGEST_MAP = 3, 26
_SLACK = 10
"""The counts of frequent records are wrong by less than this part of what makes a record frequent."""


def library(method: str) -> Any:
    """The package.

    Raises:
        ExtraMissing: if it is not installed.
    """
    try:
        import datasketches
    except ImportError as error:
        raise ExtraMissing(
            f"{method} needs the package 'datasketches', which is not installed in this Python: "
            "pip install 'rddlite[sketches]' on every host"
        ) from error
    return datasketches


def size_for_ranks(error: float) -> int | None:
    """The smallest size (k) of a sketch of quantiles whose ranks are wrong by at most `error`; None if none is."""
    of = library("quantiles").kll_items_sketch.get_normalized_rank_error
    low, high = _SMALLEST_K, _LARGEST_K
    if of(high, False) > error:
        return None
    while low < high:
        middle = (low + high) // 2
        if of(middle, False) <= error:
            high = middle
        else:
            low = middle + 1
    return low


def size_for_support(support: float) -> int | None:
    """The same for frequent records: the logarithm of its size; None if none is good enough."""
    of = library("frequentItems").frequent_items_sketch.get_epsilon_for_lg_size
    sizes = range(_SMALLEST_MAP, _LARGEST_MAP + 1)
    return next((size for size in sizes if of(size) <= support / _SLACK), None)


def ranks_of(k: int, records: Iterable[Any]) -> list[Packed]:
    """A sketch of the quantiles of some records; None and NaN are left out."""
    sketch = library("quantiles").kll_items_sketch(k)
    update = sketch.update
    for record in records:
        if record is not None and record == record:
            update(record)
    return [_packed(sketch)]


def frequencies_of(size: int, records: Iterable[Any]) -> list[Packed]:
    """A sketch of how often there are records; None is left out, as the package does not take it."""
    sketch = library("frequentItems").frequent_items_sketch(size)
    update = sketch.update
    for record in records:
        if record is not None:
            update(record)
    return [_packed(sketch)]


def merged_ranks(one: Packed, other: Packed) -> Packed:
    """One sketch of the quantiles of all that two have seen."""
    return _merged(library("quantiles").kll_items_sketch.deserialize, one, other)


def merged_frequencies(one: Packed, other: Packed) -> Packed:
    """One sketch of how often there is what two have seen."""
    return _merged(library("frequentItems").frequent_items_sketch.deserialize, one, other)


def quantiles_in(packed: Packed, probabilities: list[float]) -> list[Any]:
    """The records at these ranks; none if the sketch has seen none."""
    sketch = _unpacked(library("quantiles").kll_items_sketch.deserialize, packed)
    if sketch.is_empty():
        return []
    # The ends are known exactly, and asked for by exact numbers.
    ends = {0.0: sketch.get_min_value(), 1.0: sketch.get_max_value()}
    found = sketch.get_quantiles(probabilities, True)
    return [ends.get(rank, record) for rank, record in zip(probabilities, found, strict=True)]


def frequent_in(packed: Packed, support: float) -> list[tuple[Any, int]]:
    """Records that may be at least this part of all, and about how many of them there are."""
    datasketches = library("frequentItems")
    sketch = _unpacked(datasketches.frequent_items_sketch.deserialize, packed)
    no_false_negatives = datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES
    more_than = max(0, math.ceil(support * sketch.total_weight) - 1)
    found = sketch.get_frequent_items(no_false_negatives, more_than)
    return [(record, count) for record, count, _, _ in found]


def _merged(deserialize: Callable[..., Any], one: Packed, other: Packed) -> Packed:
    sketch = _unpacked(deserialize, one)
    sketch.merge(_unpacked(deserialize, other))
    return _packed(sketch)


def _packed(sketch: Any) -> Packed:
    records: list[Any] = []
    return sketch.serialize(_places(records)), records


def _unpacked(deserialize: Callable[..., Any], packed: Packed) -> Any:
    data, records = packed
    return deserialize(data, _places(records))


def _places(records: list[Any]) -> Any:
    """What the package asks how a record is written: as its place in the list."""
    base: Any = library("a sketch").PyObjectSerDe

    class Places(base):  # type: ignore[misc]
        def get_size(self, item: Any) -> int:
            return _PLACE

        def to_bytes(self, item: Any) -> bytes:
            records.append(item)
            return (len(records) - 1).to_bytes(_PLACE, "little")

        def from_bytes(self, data: bytes, offset: int) -> tuple[Any, int]:
            return records[int.from_bytes(data[offset : offset + _PLACE], "little")], _PLACE

    return Places()
