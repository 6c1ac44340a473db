"""Several directories in `local.dir`: large files are spread over them, and each may fail for itself."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from operator import add
from pathlib import Path

import pytest

from rddlite import Context
from tests.helpers.cluster import PATIENT, kill, wait_for_executors, wait_until

pytestmark = pytest.mark.local

N = 8
EXPECTED = Counter(dict.fromkeys(range(8), 500))


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    return places


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, which is as good as full."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr!r}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def conf(*places: Path) -> dict[str, str]:
    return {**PATIENT, "local.dir": ", ".join(map(str, places)), "speculation": "false"}


def count(sc: Context) -> dict[int, int]:
    return dict(sc.range(4000, numSlices=N).map(lambda x: (x % 8, 1)).reduceByKey(add, 3).collect())


def data_of(place: Path) -> list[Path]:
    """Map outputs that are there, not those that only have their names there."""
    return [path for path in place.glob("rddlite-*/app-*/**/*.data") if not path.is_symlink()]


def files_of(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.parametrize("master", ["inline", "local[2]", "local-cluster[2,1,256m]"])
def test_outputs_are_spread_and_removed(master: str, disks: list[Path]) -> None:
    with Context(master, conf=conf(*disks)) as sc:
        counts = sc.range(4000, numSlices=N).map(lambda x: (x % 8, 1)).reduceByKey(add, 3)
        assert dict(counts.collect()) == EXPECTED
        assert sum(len(data_of(place)) for place in disks) == N
        assert all(data_of(place) for place in disks)
        del counts
        if master != "inline":
            wait_until(lambda: not any(data_of(place) for place in disks), "outputs that nobody needs are removed")
    assert [files_of(place) for place in disks] == [[], []]


def test_what_a_failed_disk_had_is_computed_again(disks: list[Path]) -> None:
    with Context("local[2]", conf=conf(*disks)) as sc:
        counts = sc.range(4000, numSlices=N).map(lambda x: (x % 8, 1)).reduceByKey(add, 3)
        assert dict(counts.collect()) == EXPECTED
        lost = len(data_of(disks[1]))
        assert 0 < lost < N
        for path in data_of(disks[1]):
            path.unlink()
        assert dict(counts.collect()) == EXPECTED
        assert 0 < sc.jobs()[-1].stages[0].attempts <= lost


def test_a_disk_that_goes_while_others_work_is_left_out(disks: list[Path]) -> None:
    with Context("local[2]", conf=conf(*disks)) as sc:
        assert count(sc) == EXPECTED
        shutil.rmtree(disks[1])
        for _ in range(2):
            assert count(sc) == EXPECTED
        assert not disks[1].exists()


def test_what_is_written_for_lack_of_memory_is_spread(disks: list[Path]) -> None:
    with Context("local[2]", conf={**conf(*disks), "memory.operators": "20k"}) as sc:
        groups = sc.range(4000, numSlices=N).map(lambda x: (x % 500, str(x))).groupByKey(4)
        assert groups.mapValues(len).map(lambda pair: pair[1]).sum() == 4000
        assert sc.jobs()[-1].spill_runs > 0
        assert all(list(place.rglob("spill")) for place in disks)


@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_is_left_out_with_a_warning(
    disks: list[Path], small_disk: Path, caplog: pytest.LogCaptureFixture, *, first: bool
) -> None:
    places = [small_disk, disks[0]] if first else [disks[0], small_disk]
    with caplog.at_level(logging.WARNING), Context("local[2]", conf=conf(*places)) as sc:
        assert count(sc) == EXPECTED
        assert len(data_of(small_disk)) == 0
    assert f"{small_disk} of local.dir is left out: it is full" in caplog.text


def test_directories_that_cannot_be_made_are_left_out(
    disks: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with Context("local[2]", conf=conf(tmp_path / "file" / "below", disks[0])) as sc:
        assert count(sc) == EXPECTED
    assert "below of local.dir is left out: " in caplog.text


def test_an_executor_that_is_killed_leaves_nothing_on_any_disk(disks: list[Path]) -> None:
    with Context("local-cluster[2,1,256m]", conf=conf(*disks)) as sc:
        first = wait_for_executors(sc, 2)[0]
        counts = sc.range(4000, numSlices=N).map(lambda x: (x % 8, 1)).reduceByKey(add, 3)
        assert dict(counts.collect()) == EXPECTED
        kill(sc, first)
        pattern = f"rddlite-*/app-*/executor-{first}"
        wait_until(lambda: not any(list(place.glob(pattern)) for place in disks), "it is removed")
        assert dict(counts.collect()) == EXPECTED
