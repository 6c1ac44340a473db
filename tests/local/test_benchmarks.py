"""Every workload gives the same answer with rddlite as by hand, at a size that takes no time."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import inputs
from benchmarks.contexts import ready_context
from benchmarks.programs import PROGRAMS
from benchmarks.ratios import SideFailed, compare, measure
from benchmarks.side import digest
from benchmarks.workloads import WORKLOADS
from tests.helpers.cluster import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rddlite import Context

pytestmark = pytest.mark.local
SIZE = 3_000
FOR_EVER = 10**13


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Inputs are made in a directory of the test's own, also by processes that it starts."""
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "CACHE", folder)
        patch.setenv("RDDLITE_BENCH_CACHE", str(folder))
        yield


@pytest.fixture(scope="module")
def context(cache: None) -> Iterator[Context]:
    with ready_context("local[2]") as sc:
        yield sc


@pytest.mark.parametrize("name", WORKLOADS)
def test_equal_answers(name: str, context: Context, tmp_path: Path) -> None:
    by_hand = measure("limit", name, SIZE)
    assert min(by_hand.peak, by_hand.largest) > 1 << 20
    answer = PROGRAMS[name](context, WORKLOADS[name].prepare(SIZE, tmp_path))
    assert digest(answer) == by_hand.answer


def test_a_comparison_of_two_sides_that_both_end() -> None:
    compared = compare(WORKLOADS["reduceByKey"], SIZE / WORKLOADS["reduceByKey"].size, ["limit", "local[2]"], runs=1)
    assert compared.failures == []
    assert [(result.side, result.size) for result in compared.results] == [("limit", SIZE), ("local[2]", SIZE)]


def test_a_side_that_fails_is_told_and_the_others_are_measured(capfd: pytest.CaptureFixture[str]) -> None:
    compared = compare(WORKLOADS["narrow"], 1e-9, ["limit", "no-such-master"], runs=2)
    assert [result.side for result in compared.results] == ["limit"]
    assert compared.failures == ["narrow on no-such-master did not start"]
    assert "no-such-master" in capfd.readouterr().err


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(SideFailed, match="no answer after 0 s"):
        measure("limit", "narrow", FOR_EVER, longest=0.01)
    wait_until(lambda: not running(str(FOR_EVER)), "its processes end")
    assert list(tmp_path.iterdir()) == []


def running(argument: str) -> list[str]:
    """Command lines of processes with such an argument."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((entry / "cmdline").read_text(errors="replace"))
    return [each for each in found if argument in each.split("\0")]
