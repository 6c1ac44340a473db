from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import CorruptInput, UsageError
from rddlite.fs.codecs import Counts, codec_for, codec_of
from rddlite.fs.lines import read_lines
from rddlite.fs.splits import FileSplit

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "deflate": zlib.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
codecs = pytest.mark.parametrize("codec", PACK)


def lines_of(packed: bytes, codec: str, counts: Counts | None = None) -> list[Any]:
    split = FileSplit("/data/f", 0, len(packed), codec)
    batches = read_lines(split, counts=counts, opener=lambda path: io.BytesIO(packed))
    return list(itertools.chain.from_iterable(batches))


@codecs
def test_lines_of_compressed_files(codec: str) -> None:
    want = [f"{i} é" for i in range(50_000)]
    packed = PACK[codec]("\n".join(want).encode())
    counts = Counts()
    assert lines_of(packed, codec, counts) == want
    assert counts.bytes_read == len(packed)


@codecs
def test_what_the_encoder_writes_the_decoder_reads(codec: str) -> None:
    encoder = codec_for(codec).encoder()
    packed = b"".join([encoder.compress(b"one\n"), encoder.compress(b"two\n" * 1000), encoder.flush()])
    assert lines_of(packed, codec) == ["one"] + ["two"] * 1000


@codecs
@given(members=st.lists(st.binary(max_size=50), max_size=4))
def test_members_that_follow_each_other_are_one_file(codec: str, members: list[bytes]) -> None:
    texts = [member.replace(b"\r", b"").replace(b"\xef", b"") for member in members]
    joined = b"".join(texts).decode("utf-8", "replace")
    want = joined.removesuffix("\n").split("\n") if joined else []
    assert lines_of(b"".join(map(PACK[codec], texts)), codec) == want


@codecs
def test_zeroes_may_fill_up_the_end(codec: str) -> None:
    packed = PACK[codec](b"a\n") + bytes(4096) + PACK[codec](b"b\n") + bytes(512)
    assert lines_of(packed, codec) == ["a", "b"]


@codecs
def test_an_empty_file_has_no_lines(codec: str) -> None:
    assert lines_of(PACK[codec](b""), codec) == []
    assert list(read_lines(FileSplit("/f", 0, None, codec), opener=lambda path: io.BytesIO(b""))) == []


@codecs
def test_a_truncated_file_is_named_with_its_length(codec: str) -> None:
    packed = PACK[codec](bytes(range(256)) * 400)
    for cut in (1, 5, len(packed) // 2, len(packed) - 1):
        with pytest.raises(CorruptInput, match=rf"/data/f ends at byte {cut} "):
            lines_of(packed[:cut], codec)


@codecs
def test_damage_is_named_with_its_place(codec: str) -> None:
    noise = bytes((i * i * 7919 >> 3) % 251 for i in range(300_000))
    packed = bytearray(PACK[codec](noise))
    at = len(packed) // 2
    packed[at : at + 64] = bytes(255 - b for b in packed[at : at + 64])
    with pytest.raises(CorruptInput, match=r"/data/f (is damaged: bad \w+ data near|ends at) byte \d+"):
        lines_of(bytes(packed), codec)


@codecs
def test_garbage_behind_the_end_is_damage(codec: str) -> None:
    with pytest.raises(CorruptInput, match="/data/f"):
        lines_of(PACK[codec](b"a\n") + b"garbage and more garbage", codec)


def test_damage_says_near_which_byte() -> None:
    good = gzip.compress(bytes(i % 253 for i in range(1_000_000)))
    with pytest.raises(CorruptInput, match=rf"near byte {len(good)}:"):
        lines_of(good + b"X" * 100, "gzip")


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [
        ("org.apache.hadoop.io.compress.GzipCodec", "gzip", ".gz"),
        ("org.apache.hadoop.io.compress.BZip2Codec", "bzip2", ".bz2"),
        ("org.apache.hadoop.io.compress.DefaultCodec", "deflate", ".deflate"),
        ("org.apache.hadoop.io.compress.DeflateCodec", "deflate", ".deflate"),
        ("org.apache.hadoop.io.compress.ZStandardCodec", "zstd", ".zst"),
        ("GZIP", "gzip", ".gz"),
        ("bz2", "bzip2", ".bz2"),
        ("xz", "xz", ".xz"),
        ("zst", "zstd", ".zst"),
    ],
)
def test_codecs_go_by_java_class_and_by_short_name(name: str, codec: str, suffix: str) -> None:
    found = codec_for(name)
    assert (found.name, found.suffix) == (codec, suffix)


def test_an_unknown_codec_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"SnappyCodec.*gzip.*BZip2Codec.*zstd"):
        codec_for("org.apache.hadoop.io.compress.SnappyCodec")


def test_suffixes() -> None:
    names = ["/a/b.txt", "/a.gz/b", "/a/b.gz", "/a/b.GZ", "b.bz2", "x.deflate", "x.tar.xz", "s3://b/k.zst", "gz"]
    assert [codec_of(name) for name in names] == [
        None, None, "gzip", "gzip", "bzip2", "deflate", "xz", "zstd", None,
    ]  # fmt: skip


def test_compressions_that_cannot_be_read_are_not_read_as_text() -> None:
    with pytest.raises(UsageError, match=r"b\.snappy"):
        codec_of("/a/b.snappy")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError, match=r"pip install 'rddlite\[zstd\]'"):
        lines_of(PACK["zstd"](b"a\n"), "zstd")
