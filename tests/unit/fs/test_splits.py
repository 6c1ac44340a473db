from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.fs.splits import FileSplit, plan_splits

MIB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "minimum", "count"),
    [
        ([100], 1, 1),
        ([100], 2, 2),
        ([101], 2, 2),  # a tenth of slack: 50 and 51
        ([100], 3, 3),
        ([10], 20, 10),
        ([1], 2, 1),
        ([0], 2, 0),
        ([0, 10, 0], 1, 1),
        ([10, 10, 10], 2, 3),
        ([100, 1], 2, 3),
        ([300 * MIB], 2, 3),
        ([128 * MIB], 1, 1),
        ([140 * MIB], 1, 1),
        ([141 * MIB], 1, 2),
    ],
)
def test_counts_are_those_of_hadoop(sizes: list[int], minimum: int, count: int) -> None:
    assert len(plan_splits([("f", size, None) for size in sizes], minimum)) == count


def test_blocks_bound_a_range_but_for_the_slack_of_the_last_one() -> None:
    splits = plan_splits([("f", 105, None)], 1, max_bytes=50)
    assert [(s.start, s.end) for s in splits] == [(0, 50), (50, 105)]


def test_compressed_files_and_files_of_unknown_size_are_whole() -> None:
    files = [("a.gz", 1000, "gzip"), ("b", None, None), ("c", 1000, None)]
    assert plan_splits(files, 4, max_bytes=600) == [
        FileSplit("a.gz", 0, 1000, "gzip"),
        FileSplit("b", 0, None, None),
        FileSplit("c", 0, 500, None),
        FileSplit("c", 500, 1000, None),
    ]


@given(
    st.lists(st.integers(0, 10_000), max_size=8),
    st.integers(0, 40),
    st.integers(1, 5_000),
)
def test_ranges_cover_each_file_once(sizes: list[int], minimum: int, max_bytes: int) -> None:
    files = [(f"f{i}", size, None) for i, size in enumerate(sizes)]
    splits = plan_splits(files, minimum, max_bytes)
    for path, size, _ in files:
        ranges = [(s.start, s.end) for s in splits if s.path == path]
        bounds = [start for start, _ in ranges] + ([size] if size else [])
        assert ranges == list(itertools.pairwise(bounds))
        assert ranges == [] if size == 0 else bounds[0] == 0
    assert all(s.start < s.end <= s.start + 1.1 * max_bytes for s in splits if s.end is not None)
    assert [s.path for s in splits] == sorted((s.path for s in splits), key=lambda path: int(path[1:]))
