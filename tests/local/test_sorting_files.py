"""Sorting what is read from large files: how much of them is read to find the ranges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite import Context

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def sc() -> Iterator[Context]:
    with Context("local[2]", conf={"progress.show": False}) as context:
        yield context


def number(text: str) -> int:
    return int(text)


def test_of_a_large_file_little_is_read_to_find_the_ranges(sc: Context, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with open(path, "w") as file:
        for some in range(10):
            file.writelines(f"{(some * 60_000 + i) * 7_919 % 600_000:08d}{'x' * 112}\n" for i in range(60_000))
    ordered = sc.textFile(str(path), 2).map(lambda line: line[:8]).sortBy(number, numPartitions=4)
    assert sc.jobs()[-1].bytes_read < path.stat().st_size / 4
    sizes = ordered.mapPartitions(lambda part: [(part[0], len(part)) for part in [list(part)]]).collect()
    assert [first for first, _ in sizes] == sorted(first for first, _ in sizes)
    assert sum(n for _, n in sizes) == 600_000
    assert max(n for _, n in sizes) < 1.3 * min(n for _, n in sizes)
    assert ordered.filter(lambda text: False).sortBy(number, numPartitions=4).count() == 0


def test_of_a_large_file_all_is_read_where_few_records_are_left(sc: Context, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_text("".join(f"{i:08d}{'x' * 120}\n" for i in range(450_000)))
    few = sc.textFile(str(path), 2).filter(lambda line: line[4:8] == "0000").map(lambda line: line[:8])
    found = few.sortBy(number, ascending=False, numPartitions=3)
    assert sc.jobs()[-1].bytes_read > path.stat().st_size
    assert found.collect() == [f"{i:08d}" for i in range(440_000, -1, -10_000)]
