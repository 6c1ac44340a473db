"""A fingerprint tells other records from the same ones in another order, and costs no hash per record."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.shuffle.fingerprint import SIZE, SMALL, Fingerprint
from tests.unit.shuffle.outputs import SHUFFLE, by_function, keyed, target, unkeyed, write, write_groups, write_table

keys = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), st.tuples(st.none(), st.booleans()))
MANY = 3 * SMALL


@pytest.fixture
def fingerprint(tmp_path):
    attempts = iter(range(1, 100))

    def of(dep, *batches, map_index=0, **options):
        where = target(tmp_path, map_index=map_index, attempt=next(attempts), **options)
        return write(dep, where, [list(batch) for batch in batches]).fingerprints

    return of


def by_range(n: int) -> ShuffleDependency:
    bounds = [MANY * (i + 1) // n for i in range(n - 1)]
    return ShuffleDependency(None, RangePartitioner(n, bounds, True, None), shuffle_id=SHUFFLE)


KEYED = {"hash": keyed, "range": by_range, "function": lambda n: by_function(n, abs)}
each_way = pytest.mark.parametrize("dep_of", KEYED.values(), ids=KEYED)


@given(st.lists(keys, min_size=1, max_size=60), st.integers(1, 7), st.randoms(use_true_random=False))
def test_order_and_batches_do_not_matter(tmp_path_factory, some, n, order):
    scratch = tmp_path_factory.mktemp("s")
    first = write(keyed(n), target(scratch, attempt=1), [[(key, 0) for key in some]])
    order.shuffle(some)
    second = write(keyed(n), target(scratch, attempt=2), [[(key, 1)] for key in some])
    assert first.fingerprints == second.fingerprints
    assert len(first.fingerprints) == SIZE


@each_way
@pytest.mark.parametrize("count", [50, MANY])
def test_order_does_not_matter_however_records_are_placed(fingerprint, dep_of, count):
    records = [(i, str(i)) for i in range(count)]
    assert fingerprint(dep_of(5), records) == fingerprint(dep_of(5), records[::-1][:7], records[::-1][7:])


@each_way
def test_one_other_key_in_a_small_output_is_seen(fingerprint, dep_of):
    first = [(i, 0) for i in range(50)]
    for other in (105, 5_000_005, -55):
        assert fingerprint(dep_of(5), first) != fingerprint(dep_of(5), [*first[:-1], (other, 0)])


@each_way
def test_other_keys_in_a_large_output_are_seen(fingerprint, dep_of):
    numbers = random.Random(1)
    first, second = ([(numbers.randrange(MANY), 0) for _ in range(MANY)] for _ in range(2))
    assert fingerprint(dep_of(5), first) != fingerprint(dep_of(5), second)


@each_way
def test_a_record_more_or_less_is_seen(fingerprint, dep_of):
    first = [(i, 0) for i in range(MANY)]
    assert fingerprint(dep_of(5), first) != fingerprint(dep_of(5), first[1:])


def test_a_few_other_keys_in_a_large_output_are_mostly_seen(fingerprint):
    """All counts are equal here; what is left are the marks, of which there are about 256."""
    numbers = random.Random(2)
    first = [(f"k{i}", 0) for i in range(SMALL + 1)]
    known = fingerprint(keyed(1), first)
    others = [fingerprint(keyed(1), [*first[1:], (str(numbers.random()), 0)]) for _ in range(30)]
    assert sum(each == known for each in others) <= 2


def test_the_same_keys_placed_otherwise_are_seen(fingerprint):
    records = [(i, 0) for i in range(20)]
    assert fingerprint(by_function(5, abs), records) != fingerprint(by_function(5, lambda key: key // 5), records)


def test_values_are_not_looked_at(fingerprint):
    assert fingerprint(keyed(3), [(1, "a")]) == fingerprint(keyed(3), [(1, "b")])


def test_equal_keys_that_are_pickled_differently_are_the_same(fingerprint):
    twice = "".join(["a", "bc"])
    shared, apart = [(twice, 0), (twice, 0)], [("".join(["ab", "c"]), 0), ("".join(["a", "bc"]), 0)]
    assert shared[0][0] is shared[1][0]
    assert apart[0][0] is not apart[1][0]
    assert fingerprint(keyed(1), shared) == fingerprint(keyed(1), apart)


def test_spilling_changes_nothing(fingerprint):
    records = [(f"k{i}", i) for i in range(MANY)]
    assert fingerprint(keyed(3), records) == fingerprint(keyed(3), records, buffer_bytes=20_000)


def test_a_combined_table_has_the_fingerprint_of_its_pairs(fingerprint, tmp_path):
    table = {f"k{i}": i for i in range(100)}
    expected = fingerprint(keyed(4), table.items())
    assert write_table(dict(table), keyed(4), target(tmp_path, attempt=200)).fingerprints == expected


@pytest.mark.parametrize("dep", [keyed(4), by_function(4, lambda key: hash(key) % 4)], ids=["hash", "function"])
@pytest.mark.parametrize("count", [60, MANY])
def test_groups_have_the_fingerprint_of_their_pairs(fingerprint, tmp_path, dep, count):
    """However many were grouped: that depends on memory."""
    pairs = [(i % 20, i) for i in range(count)]
    expected = fingerprint(dep, pairs)
    for attempt, n_grouped in enumerate((count, count // 2, count // 3)):
        written = write_groups(pairs[:n_grouped], pairs[n_grouped:], dep, target(tmp_path, attempt=200 + attempt))
        assert written.fingerprints == expected
        assert written.records == count


def test_without_keys_the_order_of_records_counts(fingerprint):
    records = [f"r{i}" for i in range(100)]
    assert fingerprint(unkeyed(3), records) == fingerprint(unkeyed(3), list(records))
    assert fingerprint(unkeyed(3), records) != fingerprint(
        unkeyed(3), [records[3], *records[1:3], records[0], *records[4:]]
    )
    assert fingerprint(unkeyed(3), records) != fingerprint(unkeyed(3), ["other", *records[1:]])


def test_without_keys_records_need_no_hash(fingerprint):
    assert fingerprint(unkeyed(2), [[1], [2]]) != fingerprint(unkeyed(2), [[2], [1]])


class Grumpy:
    """Can be placed by a function, and by that alone."""

    def __hash__(self) -> int:
        raise RuntimeError("never")

    def __abs__(self) -> int:
        return 3


def test_keys_without_a_usable_hash_are_counted(fingerprint):
    dep = by_function(5, abs)
    first = fingerprint(dep, [(Grumpy(), 0), (7, 0)])
    assert first == fingerprint(dep, [(7, 0), (Grumpy(), 0)])
    assert first != fingerprint(dep, [(7, 0), (8, 0)])


def test_only_every_eighth_bucket_is_sampled_where_no_hash_is_at_hand():
    for partitioner, expected in ((by_range(16).partitioner, [5, 13]), (keyed(16).partitioner, [])):
        fingerprint = Fingerprint(partitioner, map_index=3)
        assert [bucket for bucket in range(16) if fingerprint.samples(bucket)] == expected
