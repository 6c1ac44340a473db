"""The users' functions: the same for every way of running a workload.

Sums and ranks are whole numbers, so that no answer depends on the order in which partitions were added up.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BATCH_SIZE", "CENTRES", "CLUSTER_ROUNDS", "FIRST_STATS", "HOT_KEY", "LINKS_A_PAGE", "RANK_ROUNDS", "SAMPLED",
    "SAMPLE_SEED", "TABLE_SIZE", "Counts", "Holds", "Pair", "Point", "Stats", "Total", "add", "add_totals", "assign",
    "contributions", "damp", "described", "double", "edge", "enrich", "first_rank", "halves", "is_near", "is_wanted",
    "jumping", "keyed", "kind", "largest", "left", "lookup_table", "merge_stats", "middle", "moved", "note", "observe",
    "pair", "placed", "point", "right", "scattered", "score", "score_groups", "shift", "skewed_left", "skewed_right",
    "sort_key", "third", "weigh", "weigh_text", "words",
]  # fmt: skip

Pair = tuple[int, int]


# Word count.


def words(line: str) -> list[str]:
    """The words of a line."""
    return line.split()


def pair(word: str) -> tuple[str, int]:
    """One occurrence."""
    return (word, 1)


# Sum of integers by key, and groups of them.

N_KEYS = 100_003


def keyed(i: int) -> Pair:
    """A key that jumps about, and a value."""
    return (i * 7_919 % N_KEYS, i)


def weigh(summed: Pair) -> int:
    """What is summed up over the keys."""
    key, value = summed
    return key ^ value


def middle(values: Iterable[int]) -> int:
    """The median of a group: it takes the whole group to find it."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def described(i: int) -> tuple[int, str]:
    """A key that jumps about, and 64 characters."""
    return (i * 7_919 % N_KEYS, f"{i:064d}")


def largest(values: Iterable[str]) -> str:
    """The last of a group of texts."""
    return max(values)


def weigh_text(found: tuple[int, str]) -> int:
    """What is summed up over the groups of texts."""
    key, text = found
    return key ^ int(text)


# Sort of lines of 100 bytes, their ends included.


def sort_key(line: str) -> str:
    """The first ten characters."""
    return line[:10]


# Join: every left key once; every other one meets two records of the right side.


def left(i: int) -> Pair:
    """A record of the left side."""
    return (i, i + 1)


def right(i: int) -> Pair:
    """A record of the right side: even keys, each twice."""
    return (i & -2, i)


def score(joined: tuple[int, Pair]) -> int:
    """What is summed up over the joined records."""
    key, (a, b) = joined
    return key ^ a ^ b


# Skewed join: every other record of the left side has the same key, which the right side has once.

HOT_KEY = 1


def skewed_left(i: int) -> Pair:
    """Odd numbers have the hot key; of the even ones, which have keys of their own, every fourth finds a match."""
    return (HOT_KEY if i & 1 else i, i)


def skewed_right(i: int) -> Pair:
    """The hot key, and multiples of eight. Goes with eight times as many records of the left side."""
    return (i * 8 if i else HOT_KEY, i)


# A chain without a shuffle.


def shift(i: int) -> int:
    """First step of the chain."""
    return i * 3 + 1


def is_wanted(i: int) -> bool:
    """Second step: half of the records."""
    return i & 1 == 0


def double(i: int) -> int:
    """Third step."""
    return i * 2


# Broadcast join: a table that every worker has.

TABLE_SIZE = 500_000


class Holds(Protocol):
    """What a broadcast is to the user: something with a value."""

    @property
    def value(self) -> Mapping[int, int]: ...


def lookup_table() -> dict[int, int]:
    """What is broadcast: half of the keys that are looked up."""
    return {key * 2: key ^ 0x5555 for key in range(TABLE_SIZE)}


def enrich(table: Holds, record: Pair) -> int:
    """Look a record up in the table."""
    key, value = record
    found = table.value.get(key % (4 * TABLE_SIZE))
    return value if found is None else value ^ found


# PageRank in whole numbers: a rank of one is a million.

RANK_ROUNDS = 8
LINKS_A_PAGE = 8


def edge(n_pages: int, i: int) -> Pair:
    """From each page to eight others, of which those with small numbers are the popular ones."""
    drawn = i * 2_654_435_761 & 0xFFFF_FFFF
    return (i * 7_919 % n_pages, drawn * drawn * n_pages >> 64)


def first_rank(_: object) -> int:
    """What every page starts with."""
    return 1_000_000


def contributions(linked: tuple[int, tuple[Any, int]]) -> list[Pair]:
    """What a page gives to those that it links to."""
    _, (targets, rank) = linked
    given = rank // len(targets)
    return [(target, given) for target in targets]


def damp(total: int) -> int:
    """The rank of a page that was given so much."""
    return 150_000 + total * 85 // 100


# k-means in whole numbers.

Point = tuple[int, int]
Total = tuple[int, int, int]
CLUSTER_ROUNDS = 10
CENTRES: list[Point] = [(i * 37_411 % 100_000, i * 71_993 % 100_000) for i in range(1, 9)]


def point(i: int) -> Point:
    """Points in a square, thicker towards one corner."""
    x, y = i * 2_654_435_761 & 0xFFFF, i * 40_503 & 0xFFFF
    return (x * x // 42_950, y)


def assign(centres: Sequence[Point], where: Point) -> tuple[int, Total]:
    """The nearest centre, and the point as a sum of one."""
    x, y = where
    best, least = 0, 1 << 62
    for number, (centre_x, centre_y) in enumerate(centres):
        distance = (x - centre_x) ** 2 + (y - centre_y) ** 2
        if distance < least:
            best, least = number, distance
    return (best, (x, y, 1))


def add_totals(a: Total, b: Total) -> Total:
    """Sums of coordinates, and how many points."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def moved(centres: Sequence[Point], totals: Mapping[int, Total]) -> list[Point]:
    """The centres after a round; one that no point is near stays."""
    found = list(centres)
    for number, (x, y, n_points) in totals.items():
        found[number] = (x // n_points, y // n_points)
    return found


# A sample, numbers in order, batches, an accumulator.

SAMPLED = 0.1
SAMPLE_SEED = 2_024
BATCH_SIZE = 1_000


def placed(numbered: tuple[Pair, int]) -> int:
    """What is summed up over the records and their numbers."""
    (key, value), number = numbered
    return key ^ value ^ number


def halves(batch: list[int]) -> list[int]:
    """Of a batch, what its larger numbers exceed its mean by."""
    mean = sum(batch) // len(batch)
    return [number - mean for number in batch if number > mean]


class Counts(Protocol):
    """What an accumulator is to a function."""

    def add(self, term: int, /) -> None: ...


def note(seen: Counts, i: int) -> None:
    """Add something up on the side."""
    seen.add(i & 7)


MANY_VALUES = 1_000_003


def jumping(i: int) -> int:
    """One of a million values."""
    return i * 7_919 % MANY_VALUES


def is_near(estimate: float, size: int) -> bool:
    """Whether it is within 30 % of how many values `jumping` has."""
    return abs(estimate / min(size, MANY_VALUES) - 1) < 0.3


# Mix: distinct, countByKey, treeAggregate, cogroup.

Stats = tuple[int, int, int]
FIRST_STATS: Stats = (0, 0, 0)


def scattered(i: int) -> int:
    """Each of its values comes twice, far apart."""
    return (i >> 1) * 7_919 % 1_000_003 if i & 2 else i >> 3


def kind(i: int) -> Pair:
    """One of a thousand keys."""
    return (i * i % 1_009, i)


def observe(stats: Stats, i: int) -> Stats:
    """Add a number to the statistics: how many, their sum, the largest of a scrambled form."""
    n_seen, total, top = stats
    scrambled = i * 7_919 & 0xFFFFF
    return (n_seen + 1, total + i, scrambled if scrambled > top else top)


def merge_stats(a: Stats, b: Stats) -> Stats:
    """Statistics of both."""
    return (a[0] + b[0], a[1] + b[1], max(a[2], b[2]))


def third(i: int) -> Pair:
    """A record whose key two others share."""
    return (i // 3, i)


def score_groups(grouped: tuple[int, tuple[Any, Any]]) -> int:
    """What is summed up over the cogrouped records."""
    key, (ours, theirs) = grouped
    return key ^ (sum(ours) + len(theirs))
