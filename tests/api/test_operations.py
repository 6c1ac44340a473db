"""Each operation against its oracle, inline and in worker processes, of one executor and of two."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rddlite import RDD, Context
from rddlite.api.unsupported import NotThere
from tests.api.operations import CASES, NOT_OF_RECORDS
from tests.api.oracle import ints, keys, pairs, parts_of, rdd_of

pytestmark = pytest.mark.local

MASTERS = ("inline", "local[2]", "local-cluster[2,1,512]")
MIXED = [None, True, 0.5, "a", "", b"x", (0, None), frozenset({1}), -3, float("inf")]

no_partitions = []
all_empty = [[], [], []]
sparse = [[], [("a", 3)], [], [], [(None, -3), ("a", 3)], [], []]
skewed = [[("hot", i % 7) for i in range(60)], [("hot", -1), ("b", 5)], [("hot", 2)] * 9, [("c", 4)]]
mixed = [[(key, i) for i, key in enumerate(MIXED)], [(key, -i) for i, key in enumerate(reversed(MIXED))], []]
drawn = parts_of(pairs | st.tuples(keys, ints), 5)


def ids():
    seen = Counter()
    for case in CASES:
        seen[case.method] += 1
        yield case.method + (f"-{seen[case.method]}" if seen[case.method] > 1 else "")


@pytest.fixture(scope="module", params=MASTERS)
def sc(request, tmp_path_factory):
    with Context(request.param, "operations") as context:
        context.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoints")))
        yield context


def outcome(call, *arguments):
    """What came of it, or the class of what it raised."""
    try:
        return call(*arguments)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("case", CASES, ids=ids())
@settings(max_examples=4)
@example(left=no_partitions, right=sparse)
@example(left=all_empty, right=all_empty)
@example(left=sparse, right=skewed)
@example(left=skewed, right=sparse)
@example(left=mixed, right=skewed)
@given(left=drawn, right=drawn)
def test_as_in_plain_python(sc, case, left, right):
    found = outcome(case.run, rdd_of(sc, left), rdd_of(sc, right))
    expected = outcome(case.oracle, left, right)
    if ValueError in (found, expected):
        assert found is expected
    else:
        assert case.same(found, expected), f"{case.method} gave {found}, not {expected}"


def test_no_operation_is_left_out():
    """A new method of RDD needs a case, or a place among those that say nothing of records."""
    public = {name for name in dir(RDD) if not name.startswith("_")} | {"__add__"}
    refused = {name for name in vars(NotThere) if not name.startswith("_")}
    assert public - refused - NOT_OF_RECORDS == {case.method for case in CASES}
