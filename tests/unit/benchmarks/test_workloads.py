"""Sizes, memory and inputs of the workloads; every side has a program for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import functions, inputs, programs, side
from benchmarks.__main__ import arguments
from benchmarks.limit import programs as limit
from benchmarks.ratios import Run, medians
from benchmarks.workloads import N_WORKERS, TIMES_MEMORY, WORKLOADS, Files

if TYPE_CHECKING:
    from pathlib import Path


def test_every_workload_has_a_program_of_each_side() -> None:
    assert set(WORKLOADS) == set(programs.PROGRAMS) == set(limit.PROGRAMS)


def test_sizes_are_scaled_with_a_floor() -> None:
    assert WORKLOADS["join"].scaled(0.5) == 5_000_000
    assert WORKLOADS["join"].scaled(1e-9) == 1000


@pytest.mark.parametrize("name", ["groupByKey4x", "sort4x"])
def test_workers_have_a_quarter_of_what_they_would_fill(name: str) -> None:
    workload = WORKLOADS[name]
    memory = workload.worker_memory(workload.size)
    assert memory is not None
    assert memory * TIMES_MEMORY * N_WORKERS == pytest.approx(workload.size * workload.live_bytes, rel=1e-6)
    assert workload.worker_memory(1000) == 96 << 20


def test_workloads_that_fit_have_all_the_memory() -> None:
    assert WORKLOADS["sort"].worker_memory(1000) is None


def test_records_are_lines_of_a_hundred_bytes_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CACHE", tmp_path / "cache")
    path = inputs.records_file(10_000)
    lines = path.read_text().splitlines()
    assert len(lines) == 10_000
    assert {len(line) for line in lines} == {99}
    assert len({functions.sort_key(line) for line in lines}) == 10_000
    stamp = path.stat().st_mtime_ns
    assert inputs.records_file(10_000).stat().st_mtime_ns == stamp
    assert WORKLOADS["sort"].prepare(10_000, tmp_path) == Files(path, tmp_path / "sorted")


def test_text_has_the_size_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CACHE", tmp_path)
    assert 10_000 <= inputs.text_file(10_000).stat().st_size < 10_100


def test_digests_do_not_depend_on_the_order_of_a_list_but_on_that_of_lines(tmp_path: Path) -> None:
    assert side.digest([(1, 2), (0, 3)]) == side.digest([(0, 3), (1, 2)])
    assert side.digest((1, 2)) != side.digest((2, 1))
    digests = []
    for name, parts in {"two": ("a\n", "b\n"), "one": ("a\nb\n",), "other": ("b\n", "a\n")}.items():
        (tmp_path / name).mkdir()
        for number, part in enumerate(parts):
            (tmp_path / name / f"part-{number:05d}").write_text(part)
        (tmp_path / name / "_SUCCESS").touch()
        digests.append(side.digest(tmp_path / name))
    assert digests[0] == digests[1] != digests[2]


def test_medians_are_of_each_measure_by_itself() -> None:
    runs = [Run(1, 9, 5, 4, "x"), Run(3, 7, 6, 3, "x"), Run(2, 8, 7, 2, "x")]
    found = medians("join", "limit", 10, runs)
    assert (found.wall, found.cpu, found.peak, found.largest) == (2, 8, 6, 3)


def test_pages_link_to_pages_that_exist() -> None:
    edges = [functions.edge(100, i) for i in range(800)]
    assert all(0 <= source < 100 and 0 <= target < 100 for source, target in edges)
    assert len({source for source, _ in edges}) == 100


def test_the_hot_key_of_the_skewed_join_is_on_both_sides() -> None:
    hot = [i for i in range(1000) if functions.skewed_left(i)[0] == functions.HOT_KEY]
    assert len(hot) == 500
    others = [functions.skewed_right(i)[0] for i in range(125)]
    assert others.count(functions.HOT_KEY) == 1
    assert len(set(others)) == 125


def test_a_peer_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["scripts/bench", "--peer", "pysparc"])
    with pytest.raises(SystemExit):
        arguments()
    assert "'pysparc' (choose from" in capsys.readouterr().err
