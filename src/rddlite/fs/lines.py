r"""Lines of one byte range of a text file, in batches.

A line ends at \n, \r\n or a lone \r and nowhere else, and belongs to the range in which its first byte lies: whoever
owns it reads on past the end of the range, everybody else skips it. So any cut of a file gives each line exactly once.
Text is decoded as UTF-8 with U+FFFD for what is not UTF-8; a byte order mark at the start of a file is dropped.

It is fast because everything happens per block: one read into a buffer that is used again, one decode, one split.
Blocks are cut at line ends before they are decoded, so no character is ever torn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from rddlite.errors import CorruptInput
from rddlite.fs.codecs import ByteCount, Counts, InflatedFile, codec_for
from rddlite.fs.local import LocalFiles
from rddlite.fs.paths import Options, Place, locate
from rddlite.fs.splits import FileSplit

_FIRST_BLOCK = 64 << 10  # small, so that `first()` and `take()` cost little
_INFLATED_BLOCK = 256 << 10
_GROWTH = 4
_OVERHANG = 16 << 10  # read together with the end of a range, as its last line rarely ends there
_PORTION = 8 << 10
_LEAST_STRIDE = 4 * (_PORTION + _OVERHANG)  # between portions: or reading everything costs little more
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(
    split: FileSplit,
    use_unicode: bool = True,
    counts: ByteCount | None = None,
    options: Options | None = None,
    opener: Callable[[str], BinaryIO] | None = None,
) -> Iterator[list[Any]]:
    """Batches of the lines of a split, without their ends: `str`, or `bytes` when not `use_unicode`.

    `counts.bytes_read` grows by what is read from storage while the batches are taken. Closing the iterator closes the
    file. `opener` stands in for opening the path.

    Raises:
        PathNotFound, PathUnreadable: if the file cannot be opened.
        CorruptInput: if compressed data is damaged or truncated, or the file is shorter than when it was listed.
    """
    counts = Counts() if counts is None else counts
    place = locate(split.path, options)
    block_bytes = place.store.block_bytes
    lines_of = _text_lines if use_unicode else _byte_lines
    with opener(split.path) if opener else place.store.open_read(place.path) as file:
        if split.codec is None:
            window = _Window(file, split, block_bytes, counts)
        else:
            inflated = InflatedFile(file, codec_for(split.codec), split.path, block_bytes, counts)
            whole = FileSplit(split.path, 0, None, None)
            window = _Window(inflated, whole, _INFLATED_BLOCK, Counts())
        if window.find_first_line():
            yield from window.batches(lines_of)


def read_portions(
    split: FileSplit,
    n: int,
    use_unicode: bool = True,
    counts: ByteCount | None = None,
    options: Options | None = None,
) -> tuple[Iterator[list[Any]], float] | None:
    """Batches of the lines of `n` short portions, evenly spread over a split, and how many times as large it is.

    None where that would hardly save anything: files of which only the whole can be read, small splits, and stores in
    which reading somewhere else takes a request.

    Raises:
        PathNotFound, PathUnreadable, CorruptInput: while the batches are taken, as `read_lines`.
    """
    place = locate(split.path, options)
    if not isinstance(place.store, LocalFiles) or split.codec is not None or split.end is None:
        return None
    stride = (split.end - split.start) // n
    if stride < _LEAST_STRIDE:
        return None
    starts = range(split.start + (stride - _PORTION) // 2, split.end - _PORTION + 1, stride)
    portions = [FileSplit(split.path, start, start + _PORTION, None) for start in starts]
    counts = Counts() if counts is None else counts
    batches = _portions(place, portions, use_unicode, counts)
    return batches, (split.end - split.start) / (len(portions) * _PORTION)


def _portions(place: Place, portions: list[FileSplit], use_unicode: bool, counts: ByteCount) -> Iterator[list[Any]]:
    with place.store.open_read(place.path) as file:
        for portion in portions:
            window = _Window(file, portion, place.store.block_bytes, counts)
            if window.find_first_line():
                yield from window.batches(_text_lines if use_unicode else _byte_lines)


class _Window:
    """A buffer that slides over the file. Owned by one iterator.

    `_buffer[:_filled]` are the bytes before file position `_position`. The bytes before `_scanned` hold no line end.
    """

    def __init__(self, file: Any, split: FileSplit, largest: int, counts: ByteCount) -> None:
        self._file, self._path, self._start, self._end = file, split.path, split.start, split.end
        self._largest, self._counts = largest, counts
        self._block = _FIRST_BLOCK
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._scanned = 0
        self._position = 0

    def find_first_line(self) -> bool:
        """Bring the first line of the range to the front of the buffer; False if no line starts in the range."""
        if self._end is not None and self._start >= self._end:
            return False
        if self._start > 0:
            # A line starts at `_start` only if the byte before it ends one.
            self._position = self._start - 1
            self._file.seek(self._position)
            return self._skip_line()
        while self._filled < len(_BYTE_ORDER_MARK) and self._read_more():
            pass
        if self._buffer.startswith(_BYTE_ORDER_MARK) and self._filled >= len(_BYTE_ORDER_MARK):
            self._drop(len(_BYTE_ORDER_MARK))
        return True

    def batches(self, lines_of: Callable[[memoryview, bool], list[Any]]) -> Iterator[list[Any]]:
        """The lines from the front of the buffer to the last one that starts in the range."""
        while not self._has_reached_end():
            has_return = self._buffer.find(b"\r", self._scanned, self._filled) >= 0
            stop = self._end_of_complete_lines(has_return)
            if stop:
                yield lines_of(self._view[:stop], has_return)
            self._drop(stop)
            self._scanned = max(self._filled - 1, 0)  # all but a last byte that may be a held back \r
            if not self._read_more():
                break
        stop = self._end_of_last_line()
        if stop:
            yield lines_of(self._view[:stop], self._buffer.find(b"\r", 0, stop) >= 0)

    def _skip_line(self) -> bool:
        while self._read_more():
            at = self._next_line_end(0)
            if at >= 0:
                if self._buffer[at] == _RETURN and self._has_at(at + 1) and self._buffer[at + 1] == _NEWLINE:
                    at += 1
                self._drop(at + 1)
                return self._end is None or self._position - self._filled < self._end
            if self._has_reached_end():
                break
            self._drop(self._filled)
        return False

    def _has_at(self, index: int) -> bool:
        return index < self._filled or self._read_more()

    def _has_reached_end(self) -> bool:
        return self._end is not None and self._position >= self._end

    def _end_of_complete_lines(self, has_return: bool) -> int:
        """The index behind the last line end in the buffer; a \\r at its very end may yet become \\r\\n."""
        last = self._buffer.rfind(b"\n", self._scanned, self._filled)
        if has_return:
            last = max(last, self._buffer.rfind(b"\r", self._scanned, self._filled - 1))
        return last + 1

    def _end_of_last_line(self) -> int:
        """The index behind the line end that closes the line in which the range ends, or behind the last byte."""
        if self._end is None:
            return self._filled
        at = max(self._filled - (self._position - self._end) - 1, 0)
        while True:
            found = self._next_line_end(at)
            if found >= 0:
                return found + 1
            at = self._filled
            if not self._read_more():
                return self._filled

    def _next_line_end(self, at: int) -> int:
        newline = self._buffer.find(b"\n", at, self._filled)
        lone = self._buffer.find(b"\r", at, self._filled if newline < 0 else newline)
        return lone if lone >= 0 else newline

    def _drop(self, n: int) -> None:
        rest = self._filled - n
        if n:
            self._buffer[:rest] = self._buffer[n : self._filled]
        self._filled = rest
        self._scanned = 0

    def _read_more(self) -> bool:
        """Append a block to the buffer; False at the end of the file."""
        want = self._block
        self._block = min(self._block * _GROWTH, self._largest)
        if self._end is not None and self._position < self._end:
            want = min(want, self._end - self._position + _OVERHANG)
        if len(self._buffer) - self._filled < want:
            self._grow(self._filled + want)
        n: int = self._file.readinto(self._view[self._filled : self._filled + want])
        self._filled += n
        self._position += n
        self._counts.bytes_read += n
        if n == 0 and self._end is not None and self._position < self._end:
            raise CorruptInput(
                f"{self._path} ends at byte {self._position} and had at least {self._end} when it was listed: "
                f"it was changed while it was read"
            )
        return n > 0

    def _grow(self, size: int) -> None:
        # Room for a started line beside the next block, so that the usual file settles on one buffer.
        buffer = bytearray(max(size + _OVERHANG, len(self._buffer) * 2 if self._filled else 0))
        buffer[: self._filled] = self._view[: self._filled]
        self._buffer, self._view = buffer, memoryview(buffer)


_NEWLINE, _RETURN = b"\n\r"


def _text_lines(data: memoryview, has_return: bool) -> list[str]:
    if has_return:
        text = io.IncrementalNewlineDecoder(None, True).decode(str(data, "utf-8", "replace"), True)
    else:
        text = str(data, "utf-8", "replace")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _byte_lines(data: memoryview, has_return: bool) -> list[bytes]:
    whole = bytes(data)
    if has_return:
        whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
