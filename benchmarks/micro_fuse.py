"""Nanoseconds a record of fused loops, as ratios to the best loop that one would write by hand for the same functions.

    PYTHONPATH=src python -m benchmarks.micro_fuse [--records 1000000] [--repeat 5] [case ...]

Both are run in turn in this process, with the garbage collector off, and the best CPU times are compared; answers are
compared before times. The hand-written loops never call what the fused ones have recognised if they would not have to.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from operator import add
from typing import Any, NamedTuple

from benchmarks.functions import double, is_wanted, pair, shift, words
from rddlite.base.callsite import CallSite
from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.executor import consume, fuse, gather, joins
from rddlite.executor.budget import Budget, Holder
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.consumers import Collect, Count, Reduce
from rddlite.lineage.ops import Filter, FlatMap, JoinPairs, Map, UserFunction

Batches = list[list[Any]]
BATCH = 4096


class Case(NamedTuple):
    """Two ways to the same answer, and over how many records. `in_order`: the order of records must be equal too."""

    fused: Callable[[], Any]
    by_hand: Callable[[], Any]
    records: int
    in_order: bool = True


def user(f: Callable[..., Any]) -> UserFunction:
    """A function as tasks get it."""
    return UserFunction(f, CallSite("map", __file__, 1))


def in_batches(records: list[Any], size: int = BATCH) -> Batches:
    """Records as a source gives them."""
    return [records[at : at + size] for at in range(0, len(records), size)]


def plain_pair(word: str) -> tuple[str, int]:
    """What `pair` does, but not recognisable."""
    one = 1
    return (word, one)


def roomy() -> Holder:
    """An operator with more memory than it needs."""
    return Budget(Settings({"memory.operators": 1 << 40}), None, "").holder("benchmark", TaskMetrics())


def combined(aggregator: Aggregator, ops: list[Any], batches: Batches) -> dict[Any, Any]:
    """The one table of a map-side combine that has room."""
    return next(consume.combined_tables(aggregator, ops, iter(batches), 0, roomy()))


ADD = Aggregator(None, user(add), user(add))


def word_count(records: int, make_pair: Callable[[str], tuple[str, int]]) -> Case:
    """Lines to words to pairs to sums."""
    vocabulary = ["".join(random.choices("abcdefgh", k=random.randint(2, 9))) for _ in range(5_000)]
    lines = in_batches([" ".join(random.choices(vocabulary, k=10)) for _ in range(records // 10)], BATCH // 10)
    ops = [FlatMap(user(words)), Map(user(make_pair))]

    def by_hand() -> dict[str, int]:
        counts: dict[str, int] = {}
        for batch in lines:
            for line in batch:
                for word in words(line):
                    key, value = make_pair(word)
                    if key in counts:
                        counts[key] += value
                    else:
                        counts[key] = value
        return counts

    return Case(lambda: combined(ADD, ops, lines), by_hand, records)


def int_pairs(records: int, distinct: int) -> Batches:
    """Pairs of a random key and a number."""
    return in_batches([(random.randrange(distinct), i) for i in range(records)])


def sums(records: int, distinct: int) -> Case:
    """Pairs to sums by key."""
    pairs = int_pairs(records, distinct)

    def by_hand() -> dict[int, int]:
        totals: dict[int, int] = {}
        for batch in pairs:
            for key, value in batch:
                if key in totals:
                    totals[key] += value
                else:
                    totals[key] = value
        return totals

    return Case(lambda: combined(ADD, [], pairs), by_hand, records)


def groups(records: int) -> Case:
    """Columns of keys and values to lists by key."""
    columns = [gather.split_pairs(batch) for batch in int_pairs(records, records // 10)]

    def by_hand() -> dict[int, list[int]]:
        lists: dict[int, list[int]] = {}
        for keys, values in columns:
            for key, value in zip(keys, values, strict=True):
                if key in lists:
                    lists[key].append(value)
                else:
                    lists[key] = [value]
        return lists

    def fused() -> dict[int, list[int]]:
        return dict(chain.from_iterable(gather.combined_batches(columns, GROUP, False, roomy())))

    return Case(fused, by_hand, records)


def combined_by_group(records: int) -> Case:
    """Pairs to lists by key, on the map side."""
    pairs = int_pairs(records, records // 10)

    def by_hand() -> dict[int, list[int]]:
        lists: dict[int, list[int]] = {}
        for batch in pairs:
            for key, value in batch:
                if key in lists:
                    lists[key].append(value)
                else:
                    lists[key] = [value]
        return lists

    return Case(lambda: combined(GROUP, [], pairs), by_hand, records)


CHAIN = [Map(user(shift)), Filter(user(is_wanted)), Map(user(double))]


def narrow_count(records: int) -> Case:
    """A chain of map, filter, map that is counted."""
    numbers = in_batches(list(range(records)))

    def by_hand() -> int:
        n = 0
        for batch in numbers:
            for number in batch:
                shifted = shift(number)
                if is_wanted(shifted):
                    double(shifted)
                    n += 1
        return n

    return Case(lambda: consume.run(Count(), CHAIN, iter(numbers), 0), by_hand, records)


def narrow_sum(records: int) -> Case:
    """A chain of map, filter, map that is added up."""
    numbers = in_batches(list(range(records)))

    def by_hand() -> list[int]:
        total = 0
        for batch in numbers:
            for number in batch:
                shifted = shift(number)
                if is_wanted(shifted):
                    total += double(shifted)
        return [total]

    return Case(lambda: consume.run(Reduce(user(add)), CHAIN, iter(numbers), 0), by_hand, records)


def narrow_batches(records: int) -> Case:
    """A chain of map, filter, map, batch by batch."""
    numbers = in_batches(list(range(records)))

    def by_hand() -> Iterator[list[int]]:
        for batch in numbers:
            yield [double(shifted) for number in batch if is_wanted(shifted := shift(number))]

    return Case(lambda: drained(fuse.emit(CHAIN, iter(numbers), 0)), lambda: drained(by_hand()), records)


def narrow_stream(records: int) -> Case:
    """A chain of map, filter, map, record by record."""
    numbers = in_batches(list(range(records)))

    def by_hand() -> Iterator[int]:
        for batch in numbers:
            for number in batch:
                shifted = shift(number)
                if is_wanted(shifted):
                    yield double(shifted)

    return Case(lambda: drained(fuse.stream(CHAIN, iter(numbers), 0)), lambda: drained(by_hand()), records)


def drained(iterator: Iterator[Any]) -> None:
    """Run it to its end and keep nothing."""
    deque(iterator, 0)


def two_sides(records: int) -> tuple[list[gather.Columns], list[gather.Columns]]:
    """Unique keys on the left; every other one twice on the right."""
    left = [gather.split_pairs(batch) for batch in in_batches([(i, i + 1) for i in range(records // 2)])]
    right = [gather.split_pairs(batch) for batch in in_batches([(i & -2, i) for i in range(records // 2)])]
    return left, right


def joined_by_hand(left: list[gather.Columns], right: list[gather.Columns]) -> list[Any]:
    """A table of the left side, and the right side past it."""
    table: dict[int, list[int]] = {}
    for keys, values in left:
        for key, value in zip(keys, values, strict=True):
            if key in table:
                table[key].append(value)
            else:
                table[key] = [value]
    find, joined = table.get, []
    for keys, values in right:
        pairs = zip(keys, values, strict=True)
        joined += [(key, (other, value)) for key, value in pairs for other in find(key, ())]
    return joined


def join(records: int) -> Case:
    """Both sides joined without a cogroup."""
    left, right = two_sides(records)
    fused = partial(consume.run, Collect(), [])
    return Case(
        lambda: fused(joins.joined_batches(left, right, "inner", roomy()), 0),
        lambda: joined_by_hand(left, right),
        records,
    )


def cogrouped_join(records: int) -> Case:
    """Both sides cogrouped, then joined."""
    left, right = two_sides(records)
    fused = partial(consume.run, Collect(), [JoinPairs("inner")])
    return Case(
        lambda: fused(joins.cogrouped_batches([left, right], roomy()), 0),
        lambda: joined_by_hand(left, right),
        records,
        in_order=False,
    )


CASES: dict[str, Callable[[int], Case]] = {
    "wordcount": partial(word_count, make_pair=pair),
    "wordcount, not recognised": partial(word_count, make_pair=plain_pair),
    "sums, 10 % distinct": lambda records: sums(records, records // 10),
    "sums, 1000 distinct": lambda records: sums(records, 1000),
    "groups, map side": combined_by_group,
    "groups, reduce side": groups,
    "narrow chain, counted": narrow_count,
    "narrow chain, summed": narrow_sum,
    "narrow chain, in batches": narrow_batches,
    "narrow chain, streamed": narrow_stream,
    "join": join,
    "cogroup and join": cogrouped_join,
}


def seconds(run: Callable[[], Any]) -> float:
    """CPU time of one run, without that of freeing its result."""
    start = time.process_time()
    result = run()
    taken = time.process_time() - start
    del result
    return taken


def measured(case: Case, repeat: int) -> tuple[float, float]:
    """Nanoseconds a record, fused and by hand."""
    answers = [case.fused(), case.by_hand()]
    if answers[0] != answers[1] and (case.in_order or sorted(answers[0]) != sorted(answers[1])):
        raise SystemExit("the answers differ")
    del answers
    fused: list[float] = []
    by_hand: list[float] = []
    for _ in range(repeat):
        # There and back: neither always runs in the memory that the other has just left.
        for times, run in ((fused, case.fused), (by_hand, case.by_hand), (by_hand, case.by_hand), (fused, case.fused)):
            times.append(seconds(run))
    return min(fused) / case.records * 1e9, min(by_hand) / case.records * 1e9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"some of: {'; '.join(CASES)}")
    options = parser.parse_args()
    gc.disable()
    random.seed(7)
    print(f"Python {sys.version.split()[0]}, {options.records} records")
    print(f"{'':28} {'fused':>9} {'by hand':>9} {'ratio':>7}")
    for name in options.cases or CASES:
        fused, by_hand = measured(CASES[name](options.records), options.repeat)
        print(f"{name:28} {fused:6.1f} ns {by_hand:6.1f} ns {fused / by_hand:7.2f}", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
