"""What an executor serves: its own blocks by name, and whatever it is asked for, nothing else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.cached import Wanted
from rddlite.base.ids import AttemptId
from rddlite.executor.env import result_path
from rddlite.executor.served import ServedFiles
from rddlite.net.transfer import INDEX, WHOLE, ByteRange, NoSuchBlock
from rddlite.shuffle.format import read_index
from rddlite.storage.blocks import FOLDER, write_frames
from tests.unit.shuffle.outputs import keyed, target, write

RECORDS = [(i, i) for i in range(500)]


@pytest.fixture
def scratch(tmp_path):
    write(keyed(3), target(tmp_path, 2, attempt=7), [RECORDS])
    (tmp_path / "results").mkdir()
    with open(result_path(str(tmp_path), AttemptId(9)), "wb") as file:
        file.write(b"result")
    return tmp_path


@pytest.fixture
def files(scratch):
    return ServedFiles(str(scratch))


def test_buckets(scratch, files):
    index = read_index(str(scratch / "shuffle" / "shuffle-4-2-7.index"))
    data = str(scratch / "shuffle" / "shuffle-4-2-7.data")
    for part in range(3):
        length = index.offsets[part + 1] - index.offsets[part]
        assert files.resolve("shuffle-4-2-7", part) == ByteRange(data, index.offsets[part], length, index.counts[part])


def test_a_bucket_in_several_places(tmp_path, monkeypatch):
    monkeypatch.setattr("rddlite.shuffle.sections._LEAST_EXTENT", 0)
    batches = [[(i, i)] for i in range(40)]
    write(keyed(2), target(tmp_path, buffer_bytes=1), batches)
    index = read_index(str(tmp_path / "shuffle" / "shuffle-4-0-1.index"))
    content = (tmp_path / "shuffle" / "shuffle-4-0-1.data").read_bytes()
    for part in range(2):
        place = ServedFiles(str(tmp_path)).resolve("shuffle-4-0-1", part)
        expected = b"".join(content[start : start + length] for start, length in index.extents(part))
        assert (len(index.extents(part)), place.length, place.count) == (20, len(expected), 20)
        for offset in range(0, place.length, 37):
            for size in (1, 50, place.length - offset):
                pieces = place.pieces(offset, min(size, place.length - offset))
                found = b"".join(content[start : start + length] for start, length in pieces)
                assert found == expected[offset : offset + size]


def test_whole_files(scratch, files):
    data, index = (scratch / "shuffle" / f"shuffle-4-2-7.{name}" for name in ("data", "index"))
    assert files.resolve("shuffle-4-2-7", WHOLE) == ByteRange(str(data), 0, data.stat().st_size, 500)
    assert files.resolve("shuffle-4-2-7", INDEX) == ByteRange(str(index), 0, index.stat().st_size, 0)


def test_results(scratch, files):
    assert files.resolve("result-9", WHOLE) == ByteRange(str(scratch / "results" / "result-9"), 0, 6, 0)


def test_pieces_of_broadcasts(scratch, files):
    path = scratch / "broadcast" / "broadcast-5"
    path.parent.mkdir()
    path.write_bytes(b"value")
    assert files.resolve("broadcast-5", 0) == ByteRange(str(path), 0, 5, 0)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("shuffle-4-2-7", 3),
        ("shuffle-4-2-7", -3),
        ("shuffle-4-2-7", 1 << 63),
        ("shuffle-4-2-8", 0),
        ("result-9", 0),
        ("result-9", INDEX),
        ("broadcast-5", INDEX),
        ("broadcast-5", WHOLE),
        ("", 0),
        ("../../etc/passwd", WHOLE),
        ("shuffle-4-2-7.data", WHOLE),
        ("shuffle-4-2-07", WHOLE),
        ("shuffle-4-2--7", WHOLE),
        ("shuffle-4-2-\N{ARABIC-INDIC DIGIT SEVEN}", WHOLE),
        ("x" * 1_000_000, WHOLE),
        ("shuffle-1-1-" + "9" * 5000, 0),
    ],
)
def test_what_is_not_served(files, block, part):
    with pytest.raises(NoSuchBlock) as caught:
        files.resolve(block, part)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("part", [INDEX, WHOLE, 0])
def test_an_output_that_is_gone(scratch, files, part):
    for path in (scratch / "shuffle").iterdir():
        path.unlink()
    with pytest.raises((NoSuchBlock, FileNotFoundError)):
        files.resolve("shuffle-4-2-7", part)


def test_a_damaged_index_is_no_answer(scratch, files):
    path = scratch / "shuffle" / "shuffle-4-2-7.index"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="checksum"):
        files.resolve("shuffle-4-2-7", 0)


def test_frames_in_memory_are_served_while_they_are_there(tmp_path):
    (tmp_path / FOLDER).mkdir()
    frames = write_frames(iter([[1, 2, 3]]), None)
    path = f"/proc/{os.getpid()}/fd/{frames.fd}"
    where = {(1, 2): Wanted(1, 2, path, inode=frames.inode)}
    served = ServedFiles(str(tmp_path), lambda block: where.get(block, Wanted(*block)))
    found = served.resolve("cached-1-2", WHOLE)
    assert (found.path, found.length, found.inode) == (path, frames.size, frames.inode)
    assert found.path != str(tmp_path / FOLDER / "cached-1-2")
    with pytest.raises(NoSuchBlock):
        served.resolve("cached-1-3", WHOLE)
    where[1, 2] = Wanted(1, 2, path, inode=frames.inode + 1)
    with pytest.raises(NoSuchBlock):
        served.resolve("cached-1-2", WHOLE)
    write_frames(iter([[4]]), str(tmp_path / FOLDER / "cached-1-2"))
    assert served.resolve("cached-1-2", WHOLE).path == str(tmp_path / FOLDER / "cached-1-2")


NAMES = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"(shuffle|result|broadcast)(-[0-9./]{1,4}){0,4}", fullmatch=True),
)


@given(NAMES, st.integers(-4, 5))
def test_no_name_leads_anywhere_else(tmp_path_factory, block, part):
    scratch = str(tmp_path_factory.getbasetemp())
    try:
        found = ServedFiles(scratch).resolve(block, part)
    except (NoSuchBlock, OSError):
        return
    assert os.path.dirname(found.path) in (f"{scratch}/{name}" for name in ("shuffle", "results", "broadcast"))
