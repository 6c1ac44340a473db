"""Runs: written, read back from anywhere, and gone with whoever holds them."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from rddlite.errors import DiskFull, NotPicklable
from rddlite.shuffle.spillfile import SpillFile


def test_frames_are_read_back_from_anywhere_and_again(tmp_path: Path) -> None:
    run = SpillFile(str(tmp_path))
    first = run.add_pairs(["a", "b"], [1, None])
    second = run.add_records([(1, 2), 3])
    assert run.read(second).records() == [(1, 2), 3]
    third = run.add_records(["later"])
    assert [frame.records() for frame in run.frames([third, first, second, first])] == [
        ["later"], [("a", 1), ("b", None)], [(1, 2), 3], [("a", 1), ("b", None)],
    ]  # fmt: skip
    assert [span.n_records for span in (first, second, third)] == [2, 2, 1]
    assert run.length == sum(span.length for span in (first, second, third))


@pytest.mark.parametrize("codec", ["none", "zlib"])
def test_arrays_come_back_writable_and_each_time_anew(tmp_path: Path, codec: str) -> None:
    run = SpillFile(str(tmp_path), codec)
    span = run.add_pairs([1], [np.arange(100_000)])
    for _ in range(2):
        (array,) = run.read(span).columns()[1]
        assert array.sum() == 4999950000
        array[:] = 0


def test_the_file_has_no_name_and_goes_with_its_owner(tmp_path: Path) -> None:
    run = SpillFile(str(tmp_path))
    run.add_records([1])
    fd = run.fd
    assert list(tmp_path.iterdir()) == []
    assert os.fstat(fd).st_nlink == 0
    del run
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_closing_twice(tmp_path: Path) -> None:
    run = SpillFile(str(tmp_path))
    run.close()
    run.close()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = SpillFile(str(tmp_path))
    run.add_records([1])
    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(DiskFull, match=r"local\.dir"):
        _ = run.fd
    assert list(tmp_path.iterdir()) == []


def test_damage_is_an_error_of_the_disk_not_of_the_user(tmp_path: Path) -> None:
    run = SpillFile(str(tmp_path))
    span = run.add_records(list(range(100)))
    os.pwrite(run.fd, b"\xff", span.length // 2)
    with pytest.raises(OSError, match="read back damaged") as caught:
        run.read(span)
    assert caught.value.errno == errno.EIO
    os.ftruncate(run.fd, 10)
    with pytest.raises(OSError, match="bytes early"):
        run.read(span)


def test_what_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPicklable, match="generator"):
        SpillFile(str(tmp_path)).add_pairs(["key"], [(x for x in ())])
