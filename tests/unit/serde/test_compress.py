"""Codecs: ids and round trips, what is stored plain, and what is said about the missing and the damaged."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import ConfigError, CorruptBlock
from rddlite.serde import compress as codecs
from rddlite.serde.compress import available, codec_named, compress, decompress

PACKED = [name for name in available() if name != "none"]


def test_ids_on_disk_never_change() -> None:
    assert {codec.name: codec.id for codec in codecs._CODECS} == {"none": 0, "zlib": 1, "lz4": 2, "zstd": 3}


def test_what_needs_no_package_is_there() -> None:
    assert {"none", "zlib"} <= set(available())


@pytest.mark.parametrize("name", PACKED)
@given(data=st.binary(max_size=50).map(lambda seed: (seed + b"0") * 200))
def test_round_trip(name: str, data: bytes) -> None:
    packed = compress(name, data)
    assert packed is not None
    assert len(packed) < len(data)
    assert decompress(codec_named(name).id, memoryview(packed), len(data)) == data


def test_nothing_to_gain_is_stored_plain() -> None:
    noise = bytes((i * i * 7919 + i) % 251 for i in range(100))
    assert compress("none", b"a" * 10_000) is None
    for name in PACKED:
        assert compress(name, noise) is None
        assert compress(name, b"") is None
    assert decompress(0, b"abc", 3) == b"abc"


def test_data_that_does_not_shrink_enough_is_stored_plain() -> None:
    for name in PACKED:
        assert compress(name, random.Random(1).randbytes(10_000)) is None


def test_unknown_codec() -> None:
    with pytest.raises(ConfigError, match=r"no codec 'lz5'.*zlib"):
        compress("lz5", b"x" * 1000)
    with pytest.raises(CorruptBlock, match="unknown codec 77"):
        decompress(77, b"x", 1)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    codecs._coder.cache_clear()
    assert "lz4" not in available()
    with pytest.raises(ConfigError, match=r"pip install 'rddlite\[lz4\]'"):
        codec_named("lz4")
    with pytest.raises(ConfigError, match="'lz4'"):
        decompress(2, b"x", 1)


@pytest.mark.parametrize("name", PACKED)
def test_damaged_data(name: str) -> None:
    packed = compress(name, b"abc" * 1000)
    assert packed is not None
    for damaged, size in [(b"garbage", 3000), (packed[: len(packed) // 2], 3000), (packed, 2999), (packed, 3001)]:
        with pytest.raises(CorruptBlock):
            decompress(codec_named(name).id, damaged, size)


def test_lz4_leaves_alone_what_no_block_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    if "lz4" not in available():
        pytest.skip("lz4 is not installed")
    monkeypatch.setattr(codecs, "_LZ4_LIMIT", 1000)
    assert compress("lz4", b"a" * 2000) is None
