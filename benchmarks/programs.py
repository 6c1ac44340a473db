"""The four workloads with rddlite. Each takes a context and its size (or file) and returns its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.functions import add, double, is_wanted, keyed, left, pair, right, score, shift, weigh, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rddlite import Context


def wordcount(sc: Context, path: Path) -> list[tuple[str, int]]:
    """Every word of the file with its count."""
    return sc.textFile(str(path)).flatMap(words).map(pair).reduceByKey(add).collect()


def reduce_by_key(sc: Context, size: int) -> int:
    """Sum of a function of each key and the sum of its values."""
    return sc.range(size).map(keyed).reduceByKey(add).map(weigh).sum()


def join(sc: Context, size: int) -> int:
    """Sum of a function of each joined record."""
    numbers = sc.range(size)
    return numbers.map(left).join(numbers.map(right)).map(score).sum()


def narrow(sc: Context, size: int) -> int:
    """Sum over a chain of map, filter and map."""
    return sc.range(size).map(shift).filter(is_wanted).map(double).sum()


PROGRAMS: dict[str, Callable[[Context, Any], Any]] = {
    "wordcount": wordcount,
    "reduceByKey": reduce_by_key,
    "join": join,
    "narrow": narrow,
}
