from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.errors import DiskFull, PathNotFound, UsageError
from rddlite.fs.local import LocalFiles
from rddlite.fs.writers import ATTEMPTS, AttemptFile, WrittenPart, encode_lines, save_lines, write_lines


class Text(str):
    """Says something else of itself than what it holds."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    (tmp_path / ATTEMPTS).mkdir()
    return tmp_path


def staged(staging: Path) -> list[str]:
    return sorted(path.name for path in (staging / ATTEMPTS).iterdir())


def test_lines_are_written_and_reported(staging: Path) -> None:
    part = write_lines(iter([["a", "b"], ["é"]]), AttemptFile(str(staging), 3, 17))
    path = staging / ATTEMPTS / "part-00003-17"
    assert part == WrittenPart(3, 17, str(path), 7, 3)
    assert path.read_bytes() == "a\nb\né\n".encode()


@pytest.mark.parametrize(
    ("batch", "written"),
    [
        ([], b""),
        (["a", ""], b"a\n\n"),
        ([1, 2.5, None, (1, "x")], b"1\n2.5\nNone\n(1, 'x')\n"),
        ([b"\xff", b""], b"\xff\n\n"),
        ([b"\xff", "é", 1], b"\xff\n\xc3\xa9\n1\n"),
        ([bytearray(b"a")], b"bytearray(b'a')\n"),
        ([Text("as is"), "b"], b"as is\nb\n"),
        ([Text("as is"), 1], b"as is\n1\n"),
        ([Text("as is"), b"raw", 1], b"as is\nraw\n1\n"),
        (["two\nlines"], b"two\nlines\n"),
    ],
)
def test_text_as_it_is_bytes_raw_anything_else_as_str(batch: list[Any], written: bytes) -> None:
    assert encode_lines(batch) == written


@given(st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.builds(Text, st.text())), min_size=1))
def test_batches_are_encoded_as_their_records_are(batch: list[Any]) -> None:
    want = b"".join(encode_lines([record]) for record in batch)
    assert encode_lines(batch) == want


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "org.apache.hadoop.io.compress.GzipCodec": gzip.decompress,
    "org.apache.hadoop.io.compress.BZip2Codec": bz2.decompress,
    "deflate": zlib.decompress,
    "xz": lzma.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("codec", UNPACK)
def test_codecs(staging: Path, codec: str) -> None:
    part = write_lines(iter([["a"] * 1000, ["b"]]), AttemptFile(str(staging), 0, 1, codec))
    packed = Path(part.path).read_bytes()
    assert UNPACK[codec](packed) == b"a\n" * 1000 + b"b\n"
    assert part.bytes == len(packed) < 1000
    assert staged(staging)[0].startswith("part-00000-1.")


def test_an_empty_partition_has_an_empty_file(staging: Path) -> None:
    assert write_lines(iter([]), AttemptFile(str(staging), 0, 1)).bytes == 0
    assert staged(staging) == ["part-00000-1"]


def test_what_was_written_is_counted(staging: Path) -> None:
    @dataclass
    class Consumer:
        staging: str
        codec: str | None = None

    metrics = TaskMetrics()
    part = save_lines(iter([["ab", "c"]]), Consumer(str(staging)), 2, 5, metrics)
    assert (part.partition, part.attempt) == (2, 5)
    assert (metrics.records_written, metrics.bytes_written) == (2, 5)


def failing() -> Iterator[list[str]]:
    yield ["a"] * 1_000_000
    raise KeyboardInterrupt


def test_a_failed_attempt_leaves_no_file(staging: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_lines(failing(), AttemptFile(str(staging), 0, 1))
    with pytest.raises(UnicodeEncodeError):
        write_lines(iter([["\ud800"]]), AttemptFile(str(staging), 0, 2))
    assert staged(staging) == []


def test_an_attempt_never_writes_into_another_ones_file(staging: Path) -> None:
    write_lines(iter([["first"]]), AttemptFile(str(staging), 0, 1))
    with pytest.raises(FileExistsError):
        write_lines(iter([["second"]]), AttemptFile(str(staging), 0, 1))
    assert (staging / ATTEMPTS / "part-00000-1").read_bytes() == b"first\n"


def test_an_attempt_after_the_end_of_the_job_fails(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound):
        write_lines(iter([["late"]]), AttemptFile(str(tmp_path / "gone"), 0, 1))


def test_an_unknown_codec_is_refused(staging: Path) -> None:
    with pytest.raises(UsageError, match="lzo"):
        write_lines(iter([["a"]]), AttemptFile(str(staging), 0, 1, "lzo"))


class FullDisk:
    """A file on a disk without room."""

    def __init__(self, file: BinaryIO, when: str) -> None:
        self.file, self.when = file, when

    def write(self, data: bytes) -> int:
        if self.when == "write":
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def close(self) -> None:
        self.file.close()
        if self.when == "close":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.mark.parametrize("when", ["write", "close"])
def test_a_full_disk_is_named_and_left_clean(staging: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    create = LocalFiles.create
    monkeypatch.setattr(LocalFiles, "create", lambda self, path: FullDisk(create(self, path), when))
    with pytest.raises(DiskFull, match=r"no space left for .*part-00000-1: free some"):
        write_lines(iter([["a"]]), AttemptFile(str(staging), 0, 1))
    assert staged(staging) == []


def test_the_users_own_full_disk_is_not_ours(staging: Path) -> None:
    def records() -> Iterator[list[str]]:
        yield ["a"]
        raise OSError(errno.ENOSPC, "in the user's function")

    with pytest.raises(OSError, match="in the user's function") as caught:
        write_lines(records(), AttemptFile(str(staging), 0, 1))
    assert not isinstance(caught.value, DiskFull)
