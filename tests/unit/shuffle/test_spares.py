"""Files of old map outputs that are written over: new outputs are as they should be, and who still reads notices."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rddlite.base.ids import ShuffleId
from rddlite.errors import DiskFull
from rddlite.shuffle import sections, spares
from rddlite.shuffle.format import read_index
from rddlite.shuffle.reader import BlockLost
from tests.unit.shuffle.outputs import SHUFFLE, buckets, keyed, read, target, write

SMALL, LARGE = [(i, str(i)) for i in range(200)], [(i, str(i) * 5) for i in range(900)]


@pytest.fixture(autouse=True)
def nothing_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "LEAST", 1)


def names(scratch: Path) -> list[str]:
    return sorted(str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file())


@pytest.mark.parametrize(("first", "second"), [(SMALL, LARGE), (LARGE, SMALL), (SMALL, SMALL)])
def test_an_output_is_written_over_an_old_one(tmp_path: Path, first: list, second: list) -> None:
    write(keyed(3), target(tmp_path), [first])
    inode = (tmp_path / "shuffle" / "shuffle-4-0-1.data").stat().st_ino
    assert spares.retire(str(tmp_path), SHUFFLE)
    assert names(tmp_path) == ["spare/shuffle-4-0-1.data"]
    status = write(keyed(3), target(tmp_path, attempt=2), [second])
    assert names(tmp_path) == ["shuffle/shuffle-4-0-2.data", "shuffle/shuffle-4-0-2.index"]
    found = (tmp_path / "shuffle" / "shuffle-4-0-2.data").stat()
    assert (found.st_ino, found.st_size) == (inode, status.total_bytes)
    assert sorted(record for bucket in buckets(tmp_path, 3, [2]) for record in bucket) == second


def test_in_sections_that_are_put_together(tmp_path: Path) -> None:
    write(keyed(3), target(tmp_path), [LARGE])
    spares.retire(str(tmp_path), SHUFFLE)
    batches = [LARGE[i : i + 100] for i in range(0, 900, 100)]
    write(keyed(3), target(tmp_path, attempt=2, buffer_bytes=1000), batches)
    assert names(tmp_path) == ["shuffle/shuffle-4-0-2.data", "shuffle/shuffle-4-0-2.index"]
    assert sorted(record for bucket in buckets(tmp_path, 3, [2]) for record in bucket) == LARGE


def test_an_output_that_fails_takes_it_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "publish", fail)
    (tmp_path / "spare").mkdir()
    (tmp_path / "spare" / "one").write_bytes(b"old")
    with pytest.raises(OSError, match="no name"):
        write(keyed(3), target(tmp_path), [SMALL])
    assert names(tmp_path) == []


def fail(*_: object) -> None:
    raise OSError("no name today")


def test_who_reads_while_it_is_written_over_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(keyed(1), target(tmp_path), [SMALL])
    preadv = os.preadv

    def slowly(fd: int, views: list[memoryview], offset: int) -> int:
        n = preadv(fd, views, offset)
        spares.retire(str(tmp_path), SHUFFLE)
        return n

    monkeypatch.setattr(os, "preadv", slowly)
    with pytest.raises(BlockLost):
        read(tmp_path, [1], 0)


def test_what_may_be_mapped_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(keyed(3), target(tmp_path), [LARGE])
    monkeypatch.setattr(spares, "LARGEST_READ", 1000)
    assert not spares.retire(str(tmp_path), SHUFFLE)
    assert names(tmp_path) == []


def test_what_is_small_or_damaged_or_of_a_full_disk_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(keyed(3), target(tmp_path), [SMALL])
    monkeypatch.setattr(spares, "LEAST", 1 << 20)
    assert not spares.retire(str(tmp_path), SHUFFLE)
    monkeypatch.setattr(spares, "LEAST", 1)
    monkeypatch.setattr(spares, "_SHARE_OF_FREE", 1 << 60)
    write(keyed(3), target(tmp_path), [SMALL])
    assert not spares.retire(str(tmp_path), SHUFFLE)
    monkeypatch.setattr(spares, "_SHARE_OF_FREE", 8)
    write(keyed(3), target(tmp_path), [SMALL])
    monkeypatch.setattr(spares, "LARGEST_READ", 10)  # larger files are looked into
    (tmp_path / "shuffle" / "shuffle-4-0-1.index").write_bytes(b"RDSX")
    assert not spares.retire(str(tmp_path), SHUFFLE)
    assert names(tmp_path) == []


def test_few_indexes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(spares, "read_index", lambda path: read.append(path) or read_index(path))
    for attempt in range(5):
        write(keyed(3), target(tmp_path, attempt=attempt), [SMALL])
    assert spares.retire(str(tmp_path), SHUFFLE)
    assert len(names(tmp_path)) == 5
    assert not read, "files in which nothing can be large are not looked into"
    monkeypatch.setattr(spares, "_INDEXES_READ", 2)
    largest = (tmp_path / names(tmp_path)[0]).stat().st_size - 1
    spares.drop(str(tmp_path))
    monkeypatch.setattr(spares, "LARGEST_READ", largest)
    for attempt in range(5):
        write(keyed(3), target(tmp_path, attempt=attempt), [SMALL])
    assert spares.retire(str(tmp_path), SHUFFLE)
    assert len(names(tmp_path)) == len(read) == 2


@pytest.mark.parametrize("call", ["writev", "copy_file_range"])
def test_a_full_disk_has_room_when_they_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    write(keyed(3), target(tmp_path), [LARGE])
    spares.retire(str(tmp_path), SHUFFLE)
    monkeypatch.setattr(spares, "LEAST", 1 << 20)  # nothing is written over it
    original, spare = getattr(os, call), tmp_path / "spare" / "shuffle-4-0-1.data"

    def on_full_disk(*args: object, **options: object) -> int:
        if spare.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args, **options)

    monkeypatch.setattr(os, call, on_full_disk)
    batches = [LARGE[i : i + 100] for i in range(0, 900, 100)]
    write(keyed(3), target(tmp_path, attempt=2, buffer_bytes=1000), batches)
    assert not spare.exists()
    assert sorted(record for bucket in buckets(tmp_path, 3, [2]) for record in bucket) == LARGE


def test_a_disk_that_is_full_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(keyed(3), target(tmp_path), [LARGE])
    spares.retire(str(tmp_path), SHUFFLE)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spares, "LEAST", 1 << 20)
    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(DiskFull):
        write(keyed(3), target(tmp_path, attempt=2), [SMALL])
    assert names(tmp_path) == []


def test_of_another_disk_it_stays_there(tmp_path: Path) -> None:
    own, other = tmp_path / "app" / "0", tmp_path / "more" / "0"
    own.mkdir(parents=True)
    (other / "shuffle").mkdir(parents=True)
    os.symlink(tmp_path / "more", tmp_path / "app" / "disk-1")
    for attempt in (1, 2):
        write(keyed(1), target(own, attempt=attempt), [SMALL])
    assert spares.retire(str(own), SHUFFLE)
    assert len(names(own)) == len(names(other)) == 1
    for attempt in (3, 4):
        write(keyed(1), target(own, attempt=attempt), [LARGE])
        assert read(own, [attempt], 0) == LARGE
    assert not [name for name in names(tmp_path) if "spare" in name]


def test_nobody_takes_it(tmp_path: Path) -> None:
    spares.drop(str(tmp_path))
    write(keyed(1), target(tmp_path), [SMALL])
    assert not spares.retire(str(tmp_path), ShuffleId(40))
    spares.retire(str(tmp_path), SHUFFLE)
    spares.drop(str(tmp_path))
    assert names(tmp_path) == []
    assert not spares.take(str(tmp_path / "shuffle"), str(tmp_path / "shuffle" / "any"))
