"""The index of a map output, and what is removed by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, ShuffleData, ShuffleId
from rddlite.base.sizes import encode_size
from rddlite.errors import CorruptBlock
from rddlite.shuffle.format import (
    BucketIndex,
    data_path,
    index_path,
    parse_index,
    read_index,
    remove_attempt,
    remove_shuffle,
    remove_unfinished,
    temporary_path,
)

lengths_and_counts = st.lists(st.tuples(st.integers(0, 1 << 45), st.integers(0, 1 << 45)), max_size=40)


@given(lengths_and_counts)
def test_an_index_is_read_as_it_was_written(rows):
    lengths, counts = [length for length, _ in rows], [count for _, count in rows]
    index = BucketIndex.of(lengths, counts)
    read = parse_index(index.to_bytes(), "x.index")
    assert read == index
    assert read.n_buckets == len(rows)
    assert read.data_length == sum(lengths)
    assert [read.offsets[i + 1] - read.offsets[i] for i in range(len(rows))] == lengths
    assert list(read.counts) == counts


@given(st.data(), st.integers(1, 5), st.integers(1, 5))
def test_a_bucket_is_where_its_bytes_are_in_each_section(data, n_buckets, n_sections):
    lengths = [
        data.draw(st.lists(st.integers(0, 9), min_size=n_buckets, max_size=n_buckets)) for _ in range(n_sections)
    ]
    index = BucketIndex.of([length for section in lengths for length in section], [1] * n_buckets)
    index = parse_index(index.to_bytes(), "x.index")
    assert (index.n_buckets, index.n_sections) == (n_buckets, n_sections)
    content = bytes(bucket for section in lengths for bucket, length in enumerate(section) for _ in range(length))
    for bucket in range(n_buckets):
        extents = index.extents(bucket)
        assert b"".join(content[start : start + length] for start, length in extents) == bytes(
            [bucket] * sum(section[bucket] for section in lengths)
        )
        assert index.length(bucket) == sum(length for _, length in extents)
        ends = [start + length for start, length in extents]
        assert all(length for _, length in extents)
        assert not {start for start, _ in extents} & set(ends), "what is not apart is one extent"
    assert index.sizes() == bytes(encode_size(index.length(i)) for i in range(n_buckets))


@given(lengths_and_counts, st.data())
def test_every_flipped_bit_of_an_index_is_found(rows, data):
    content = bytearray(BucketIndex.of([length for length, _ in rows], [count for _, count in rows]).to_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptBlock):
        parse_index(bytes(content), "x.index")


def test_every_shortened_or_lengthened_index_is_found():
    content = BucketIndex.of([10, 0, 7], [1, 0, 2]).to_bytes()
    for length in range(len(content)):
        with pytest.raises(CorruptBlock, match=r"x\.index"):
            parse_index(content[:length], "x.index")
    with pytest.raises(CorruptBlock):
        parse_index(content + b"\0", "x.index")


def test_an_index_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr("rddlite.shuffle.format._VERSION", 1)
    content = BucketIndex.of([1], [1]).to_bytes()
    monkeypatch.undo()
    with pytest.raises(CorruptBlock, match="version"):
        parse_index(content, "x.index")


def test_an_index_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_index(str(tmp_path / "none.index"))


def test_sizes_of_an_index():
    assert BucketIndex.of([0, 1, 5000], [0, 1, 9]).sizes() == bytes([0, 1, encode_size(5000)])


def _touch(scratch: Path, block: ShuffleData) -> list[Path]:
    names = [data_path(str(scratch), block), index_path(str(scratch), block)]
    names += [temporary_path(str(scratch), block, part) for part in ("data", "run-0")]
    for name in names:
        Path(name).touch()
    return [Path(name) for name in names]


def test_removal_takes_all_files_of_an_attempt_or_shuffle_and_no_others(tmp_path):
    (tmp_path / "shuffle").mkdir()
    one = _touch(tmp_path, ShuffleData(ShuffleId(1), 2, AttemptId(3)))
    alike = _touch(tmp_path, ShuffleData(ShuffleId(1), 2, AttemptId(31)))
    other = _touch(tmp_path, ShuffleData(ShuffleId(11), 2, AttemptId(4)))
    remove_attempt(str(tmp_path), ShuffleData(ShuffleId(1), 2, AttemptId(3)))
    assert [path.exists() for path in (*one, *alike, *other)] == [False] * 4 + [True] * 8
    remove_shuffle(str(tmp_path), ShuffleId(1))
    assert [path.exists() for path in (*alike, *other)] == [False] * 4 + [True] * 4


def test_what_attempts_left_unfinished_goes_and_nothing_else(tmp_path):
    (tmp_path / "shuffle").mkdir()
    stay = ["shuffle-1-7-17.data.tmp", "shuffle-1-17-1.data.tmp", "shuffle-1-0-7.data", "shuffle-1-0-7.index"]
    for name in [*stay, "shuffle-1-2-7.data.tmp", "shuffle-9-0-8.whole.tmp"]:
        (tmp_path / "shuffle" / name).touch()
    remove_unfinished(str(tmp_path), {7, 8})
    assert {path.name for path in (tmp_path / "shuffle").iterdir()} == {*stay}
    remove_unfinished(str(tmp_path / "missing"), {7})


@pytest.mark.parametrize("n_sections", [0, 1, 3])
@pytest.mark.parametrize("n_parts", [1, 4])
@pytest.mark.parametrize("n_buckets", [0, 1, 5])
def test_an_outline_tells_how_large_buckets_are(n_buckets: int, n_parts: int, n_sections: int) -> None:
    n = n_buckets * n_parts
    index = BucketIndex.of([i * i % 97 for i in range(n * n_sections)], [1] * n, n_parts)
    outline = index.outline()
    assert (outline.n_parts, list(outline.lengths)) == (n_parts, [index.length(i) for i in range(n_buckets)])


def test_nothing_to_remove_is_fine(tmp_path):
    remove_shuffle(str(tmp_path), ShuffleId(1))
    remove_attempt(str(tmp_path), ShuffleData(ShuffleId(1), 2, AttemptId(3)))
