"""Frames that are mapped to be written to, and the limit that is raised for them."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from rddlite.storage.frames import Frames, FrameWriter


@pytest.fixture
def shifts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(Frames, "shift_limit", staticmethod(told.append))
    return told


def written(path: Path) -> Frames:
    with FrameWriter(str(path)) as writer:
        writer.add([1, 2, 3])
        return writer.finish()


def test_the_limit_is_raised_for_as_long_as_frames_are_mapped(tmp_path: Path, shifts: list[int]) -> None:
    frames = written(tmp_path / "frames")
    batches = frames.batches()
    assert shifts == [frames.size]
    assert list(batches) == [[1, 2, 3]]
    del batches
    gc.collect()
    assert shifts == [frames.size, -frames.size]


def test_it_is_lowered_again_where_they_cannot_be_mapped(
    tmp_path: Path, shifts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = written(tmp_path / "frames")

    def no_memory(*args: Any, **kwargs: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", no_memory)
    with pytest.raises(OSError, match="Cannot allocate"):
        frames.batches()
    assert shifts == [frames.size, -frames.size]


def test_it_is_not_raised_for_another_file(tmp_path: Path, shifts: list[int]) -> None:
    frames = Frames.at(written(tmp_path / "frames").path)
    other = Frames.at(frames.path, inode=os.stat(frames.path).st_ino)
    (tmp_path / "new").write_bytes(b"x" * frames.size)
    os.rename(tmp_path / "new", frames.path)
    with pytest.raises(FileNotFoundError):
        other.batches()
    assert shifts == []


def test_an_unfinished_file_may_be_gone_when_it_is_abandoned(tmp_path: Path) -> None:
    writer = FrameWriter(str(tmp_path / "frames"))
    writer.add([1])
    (unfinished,) = tmp_path.iterdir()
    unfinished.unlink()
    writer.abandon()
    writer.abandon()
    assert not list(tmp_path.iterdir())
