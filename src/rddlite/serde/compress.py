"""Codecs for the bodies of frames: none, zlib, and lz4 and zstd where their packages are installed.

Ids are written into files and never change their meaning. Adding a codec is one function and one entry of `_CODECS`.
Called by `records`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from rddlite.errors import ConfigError, CorruptBlock

Buffer = bytes | bytearray | memoryview
Coder = tuple[Callable[[Buffer], bytes], Callable[[Buffer, int], "bytes | bytearray"]]
"""`compress(data)` and `decompress(data, raw size)`."""

_WORTHWHILE = 0.9
"""Data that does not shrink below this part of its size is stored as it is: reading it plain is faster."""
_SMALLEST = 128
_LZ4_LIMIT = 0x7E000000


@dataclass(frozen=True)
class Codec:
    """A way to compress. `load` raises ImportError where the package is missing."""

    id: int
    name: str
    package: str | None
    load: Callable[[], Coder]


def _load_none() -> Coder:
    return bytes, lambda data, raw_size: bytes(data)


def _load_zlib() -> Coder:
    return lambda data: zlib.compress(data, 1), lambda data, raw_size: zlib.decompress(data, bufsize=max(raw_size, 1))


def _load_lz4() -> Coder:
    import lz4.block

    def compress_block(data: Buffer) -> bytes:
        if memoryview(data).nbytes > _LZ4_LIMIT:
            return bytes(data)  # beyond what a block can hold: never smaller, so stored plain
        packed: bytes = lz4.block.compress(data, store_size=False)
        return packed

    def decompress_block(data: Buffer, raw_size: int) -> bytearray:
        raw: bytearray = lz4.block.decompress(data, uncompressed_size=raw_size, return_bytearray=True)
        return raw

    return compress_block, decompress_block


def _load_zstd() -> Coder:
    import zstandard

    return (
        lambda data: zstandard.compress(data, 1),
        lambda data, raw_size: zstandard.decompress(data, max_output_size=raw_size),
    )


_CODECS = (
    Codec(0, "none", None, _load_none),
    Codec(1, "zlib", None, _load_zlib),
    Codec(2, "lz4", "lz4", _load_lz4),
    Codec(3, "zstd", "zstandard", _load_zstd),
)
_BY_NAME = {codec.name: codec for codec in _CODECS}
_BY_ID = {codec.id: codec for codec in _CODECS}


@cache
def _coder(codec: Codec) -> Coder:
    try:
        return codec.load()
    except ImportError as error:
        raise ConfigError(
            f"the codec {codec.name!r} needs the package {codec.package!r}, which is not installed in this Python: "
            f"pip install 'rddlite[{codec.name}]' on every host, or choose one of {', '.join(available())}"
        ) from error


def codec_named(name: str) -> Codec:
    """The codec of that name, ready for use.

    Raises:
        ConfigError: if there is none, or its package is not installed.
    """
    codec = _BY_NAME.get(name)
    if codec is None:
        raise ConfigError(f"there is no codec {name!r}: choose one of {', '.join(_BY_NAME)}")
    _coder(codec)
    return codec


def available() -> list[str]:
    """Names of the codecs that work in this process."""
    return [codec.name for codec in _CODECS if _is_installed(codec)]


def _is_installed(codec: Codec) -> bool:
    try:
        codec.load()
    except ImportError:
        return False
    return True


def compress(name: str, data: Buffer) -> bytes | None:
    """`data` compressed, or None where it is better stored as it is (too small, or does not shrink enough).

    Raises:
        ConfigError: as `codec_named`.
    """
    codec = codec_named(name)
    size = memoryview(data).nbytes
    if codec.id == 0 or size < _SMALLEST:
        return None
    packed = _coder(codec)[0](data)
    return packed if len(packed) <= size * _WORTHWHILE else None


def decompress(codec_id: int, data: Buffer, raw_size: int) -> bytes | bytearray:
    """What `compress` was given.

    Raises:
        CorruptBlock: if the codec is unknown, or the data is not `raw_size` bytes compressed by it.
        ConfigError: if the codec's package is not installed here.
    """
    codec = _BY_ID.get(codec_id)
    if codec is None:
        raise CorruptBlock(f"unknown codec {codec_id}: damaged, or written by a newer version of rddlite")
    expand = _coder(codec)[1]
    try:
        raw = expand(data, raw_size)
    except Exception as error:  # each codec has exceptions of its own
        raise CorruptBlock(f"{codec.name} data cannot be decompressed: {error}") from error
    if len(raw) != raw_size:
        raise CorruptBlock(f"{codec.name} data has {len(raw)} bytes instead of {raw_size}")
    return raw
