"""Sorting in real workers: with hardly any memory, in both directions, records of every kind, text in and text out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from rddlite import Context

pytestmark = pytest.mark.local

N = 20_000
LINES = [f"{Random(i).randrange(5_000):08d} line {i} {'x' * 70}" for i in range(N)]
"""Of 100 characters, with keys that come several times."""


@pytest.fixture(scope="module", params=["100k", None], ids=["spilling", "in memory"])
def sc(request: pytest.FixtureRequest) -> Iterator[Context]:
    conf = {"progress.show": False} | ({"memory.operators": request.param} if request.param else {})
    with Context("local[2]", conf=conf) as context:
        context.spills = request.param is not None
        yield context


def key(line: str) -> str:
    return line[:8]


def number(text: str) -> int:
    return int(text)


def check_spilled(sc: Context, method: str) -> None:
    job = sc.jobs()[-1]
    assert (job.spilled > 0) is sc.spills
    if sc.spills:
        assert f"{method} at {os.path.basename(__file__)}:" in job.spilled_by


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("ascending", [True, False])
def test_records_by_a_function(sc: Context, n: int, ascending: bool) -> None:
    found = sc.parallelize(LINES, 4).sortBy(key, ascending, n).collect()
    assert found == sorted(LINES, key=key, reverse=not ascending)
    check_spilled(sc, "sortBy")


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("ascending", [True, False])
def test_records_by_themselves(sc: Context, n: int, ascending: bool) -> None:
    found = sc.parallelize(LINES, 4).sortBy(lambda line: line, ascending, n).collect()
    assert found == sorted(LINES, reverse=not ascending)
    check_spilled(sc, "sortBy")


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("keyfunc", [None, number])
def test_pairs_by_key(sc: Context, n: int, keyfunc: object) -> None:
    pairs = sc.parallelize(LINES, 4).keyBy(key)
    found = (pairs.sortByKey(numPartitions=n, keyfunc=keyfunc) if keyfunc else pairs.sortByKey(True, n)).collect()
    assert found == sorted([(key(line), line) for line in LINES], key=lambda pair: pair[0])
    check_spilled(sc, "sortByKey")


def test_values_in_the_order_of_their_keys(sc: Context) -> None:
    found = sc.parallelize(LINES, 4).keyBy(key).sortByKey(False, 3).values().collect()
    assert found == sorted(LINES, key=key, reverse=True)


def test_text_in_and_text_out(sc: Context, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(LINES) + "\n")
    sc.textFile(str(tmp_path / "in.txt"), 3).sortBy(key).saveAsTextFile(str(tmp_path / "out"))
    parts = sorted((tmp_path / "out").glob("part-*"))
    written = "".join(part.read_text() for part in parts)
    assert written == "\n".join(sorted(LINES, key=key)) + "\n"
    sizes = [part.stat().st_size for part in parts]
    assert max(sizes) < 1.2 * sum(sizes) / len(sizes)


def test_objects_that_only_compare(sc: Context) -> None:
    """Fractions are no type of which an order is known."""
    values = [Fraction(Random(i).randrange(300), 7) for i in range(3_000)]
    assert sc.parallelize(values, 3).sortBy(lambda x: x, numPartitions=2).collect() == sorted(values)
