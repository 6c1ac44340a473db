"""Compressed files: which codec a name or a suffix means, reading and writing streams of it.

One entry in `_CODECS` is all that a codec needs. `InflatedFile` never returns part of a damaged file as if it were
all: damage and truncation are `CorruptInput` with the place. Codec modules are loaded when first needed.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from rddlite.errors import CorruptInput, UsageError


class Decoder(Protocol):
    """The decompressing objects of zlib, bz2, lzma and zstandard."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: Any, /) -> bytes: ...


class Encoder(Protocol):
    """The compressing objects of zlib, bz2, lzma and zstandard."""

    def compress(self, data: Any, /) -> bytes: ...
    def flush(self) -> bytes: ...


class ByteCount(Protocol):
    """Whoever counts what is read from storage; a `TaskMetrics` does."""

    bytes_read: int


@dataclass(slots=True)
class Counts:
    """A `ByteCount` of its own."""

    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class Codec:
    """One compression.

    `piece` is how many compressed bytes are decoded at once: small enough that what comes out stays small, too, for
    data that shrinks well. `damage` gives the exceptions by which the decoder says that its input is damaged.
    """

    name: str
    suffix: str
    aliases: tuple[str, ...]
    piece: int
    decoder: Callable[[], Decoder]
    encoder: Callable[[], Encoder]
    damage: Callable[[], tuple[type[Exception], ...]]


def _bz2() -> Any:
    import bz2

    return bz2


def _lzma() -> Any:
    import lzma

    return lzma


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise UsageError(".zst files need a package: pip install 'rddlite[zstd]' (zstandard)") from error
    return zstandard


_HADOOP = "org.apache.hadoop.io.compress."
_ZSTD_WINDOW = 1 << 31
_CODECS = (
    Codec(
        "gzip", ".gz", ("gz", _HADOOP + "GzipCodec"), 16 << 10,
        lambda: zlib.decompressobj(31), lambda: zlib.compressobj(wbits=31), lambda: (zlib.error,),
    ),
    Codec(
        "deflate", ".deflate", ("zlib", _HADOOP + "DeflateCodec", _HADOOP + "DefaultCodec"), 16 << 10,
        lambda: zlib.decompressobj(15), lambda: zlib.compressobj(wbits=15), lambda: (zlib.error,),
    ),
    Codec(
        "bzip2", ".bz2", ("bz2", _HADOOP + "BZip2Codec"), 2 << 10,
        lambda: _bz2().BZ2Decompressor(), lambda: _bz2().BZ2Compressor(), lambda: (OSError, ValueError),
    ),
    Codec(
        "xz", ".xz", ("lzma",), 4 << 10,
        lambda: _lzma().LZMADecompressor(), lambda: _lzma().LZMACompressor(), lambda: (_lzma().LZMAError,),
    ),
    Codec(
        "zstd", ".zst", ("zst", _HADOOP + "ZStandardCodec"), 8 << 10,
        lambda: _zstd().ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj(),
        lambda: _zstd().ZstdCompressor(write_checksum=True).compressobj(),
        lambda: (_zstd().ZstdError,),
    ),
)  # fmt: skip
_BY_NAME = {name.lower(): codec for codec in _CODECS for name in (codec.name, *codec.aliases)}
_BY_SUFFIX = {codec.suffix: codec for codec in _CODECS}
_UNREADABLE = (".snappy", ".lz4", ".lzo")


def codec_for(name: str) -> Codec:
    """The codec of a Java class name (`org.apache.hadoop.io.compress.GzipCodec`) or a short name (`gzip`, `bz2`).

    Raises:
        UsageError: for any other name; the text lists the known ones.
    """
    codec = _BY_NAME.get(name.lower())
    if codec is None:
        known = ", ".join(alias for each in _CODECS for alias in (each.name, *each.aliases))
        raise UsageError(f"unknown compression codec {name!r}; known are: {known}")
    return codec


def codec_of(path: str) -> str | None:
    """The name of the codec that the suffix of a path means; None for plain files.

    Raises:
        UsageError: for a suffix of a compression that Hadoop reads and rddlite does not.
    """
    _, dot, suffix = path[path.rfind("/") + 1 :].lower().rpartition(".")
    codec = _BY_SUFFIX.get(dot + suffix)
    if codec is None and dot + suffix in _UNREADABLE:
        raise UsageError(f"cannot read {path}: known compressions are {', '.join(_BY_SUFFIX)}")
    return codec.name if codec else None


class InflatedFile(io.RawIOBase):
    """A compressed file, read as what it holds. Members (streams) that follow each other are one file.

    What is read from `raw` is added to `counts.bytes_read`. Does not own `raw`.
    """

    def __init__(self, raw: BinaryIO, codec: Codec, path: str, block_bytes: int, counts: ByteCount) -> None:
        super().__init__()
        self._raw, self._codec, self._path, self._counts = raw, codec, path, counts
        self._damage = codec.damage()
        self._block_bytes = block_bytes
        self._block = memoryview(b"")
        self._used = 0
        self._position = 0  # of the end of the block in the file
        self._decoder: Decoder | None = None  # None between members
        self._members = 0
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as one step of decoding goes; 0 at the end of the file only.

        Raises:
            CorruptInput: if the file is damaged, or ends inside a member.
        """
        while not self._ready:
            piece = self._next_piece()
            if not piece:
                return 0
            self._ready = memoryview(self._decode(piece))
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n

    def _next_piece(self) -> memoryview:
        if self._used == len(self._block):
            block = self._raw.read(self._block_bytes)
            self._counts.bytes_read += len(block)
            if not block and self._decoder is not None:
                raise CorruptInput(
                    f"{self._path} ends at byte {self._position} inside its {self._codec.name} data: it is truncated"
                )
            self._position += len(block)
            self._block, self._used = memoryview(block), 0
        return self._block[self._used : self._used + self._codec.piece]

    def _decode(self, piece: memoryview) -> bytes:
        if self._decoder is None:
            padding = len(piece) - len(bytes(piece).lstrip(b"\0")) if self._members else 0
            self._used += padding
            if padding == len(piece):
                return b""
            piece = piece[padding:]
            self._decoder = self._codec.decoder()
        try:
            data = self._decoder.decompress(piece)
        except self._damage as error:
            at = self._position - len(self._block) + self._used
            raise CorruptInput(
                f"{self._path} is damaged: bad {self._codec.name} data near byte {at}: {error}"
            ) from error
        self._used += len(piece)
        if self._decoder.eof:
            self._used -= len(self._decoder.unused_data)
            self._decoder = None
            self._members += 1
        return data
