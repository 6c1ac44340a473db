"""Large updates wait in files, which go with them."""

from __future__ import annotations

import gc
from pathlib import Path

from rddlite.driver.kept import SMALL, StoredUpdate, UpdateFiles, read_update

LARGE = bytes(SMALL + 1)


def left(scratch: Path) -> list[Path]:
    return sorted(path for path in scratch.rglob("*") if path.is_file())


def test_small_ones_stay_in_memory(tmp_path: Path) -> None:
    assert UpdateFiles(str(tmp_path)).keep(b"small") == b"small"
    assert UpdateFiles("").keep(LARGE) == LARGE
    assert left(tmp_path) == []


def test_large_ones_are_read_once(tmp_path: Path) -> None:
    files = UpdateFiles(str(tmp_path))
    kept = [files.keep(LARGE + str(n).encode()) for n in range(3)]
    assert all(isinstance(each, StoredUpdate) for each in kept)
    assert len(left(tmp_path)) == 3
    assert [read_update(each)[-1:] for each in kept] == [b"0", b"1", b"2"]
    assert left(tmp_path) == []


def test_what_nobody_reads_goes_too(tmp_path: Path) -> None:
    kept = UpdateFiles(str(tmp_path)).keep(LARGE)
    assert len(left(tmp_path)) == 1
    del kept
    gc.collect()
    assert left(tmp_path) == []


def test_without_room_they_stay_in_memory(tmp_path: Path) -> None:
    (tmp_path / "updates").write_text("in the way")
    assert UpdateFiles(str(tmp_path)).keep(LARGE) == LARGE
