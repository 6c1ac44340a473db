"""File sizes to byte ranges: what one task reads.

Pure. The counts are those of PySpark's textFile (Hadoop's arithmetic): the goal is total size / minimum count, no range
is larger than the block size but for a tenth of slack in the last one of a file, and an empty file has no partition.
Ranges cut lines anywhere; `fs/lines.py` makes whole lines of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

BLOCK_BYTES = 128 << 20
_SLOP = 1.1


class FileInfo(NamedTuple):
    """A file to read: a local path or a URL, its size where the store knows it, its compression by suffix."""

    path: str
    size: int | None
    codec: str | None


@dataclass(frozen=True, slots=True)
class FileSplit:
    """One partition's share of a file: the lines that start at or after byte `start` and before byte `end`.

    `end` is None when the size of the file is not known. With a codec the range is always the whole file.
    """

    path: str
    start: int
    end: int | None
    codec: str | None


@dataclass(frozen=True, slots=True)
class FileGroup:
    """One partition's share of whole files: `(path, codec)` of each."""

    files: tuple[tuple[str, str | None], ...]


def plan_groups(files: Iterable[FileInfo], min_partitions: int) -> list[FileGroup]:
    """The files in their order, in at most `min_partitions` groups of about equal size (fewer for fewer files)."""
    files = list(files)
    goal = sum(file.size or 0 for file in files) / max(1, min_partitions)
    groups: list[list[tuple[str, str | None]]] = []
    size = 0
    for i, file in enumerate(files):
        is_due = size >= goal * len(groups) or len(files) - i <= min_partitions - len(groups)
        if not groups or (is_due and len(groups) < min_partitions):
            groups.append([])
        groups[-1].append((file.path, file.codec))
        size += file.size or 0
    return [FileGroup(tuple(group)) for group in groups]


def plan_splits(
    files: Iterable[tuple[str, int | None, str | None]], min_partitions: int, max_bytes: int = BLOCK_BYTES
) -> list[FileSplit]:
    """One split per partition, in the order of the files given as (path, size, codec).

    There are at least `min_partitions` of them where sizes allow. Compressed files, and those of unknown size, are
    never cut.
    """
    files = list(files)
    goal = sum(size or 0 for _, size, _ in files) // max(min_partitions, 1)
    step = max(1, min(goal, max_bytes))
    return [split for path, size, codec in files for split in _cut(path, size, codec, step)]


def _cut(path: str, size: int | None, codec: str | None, step: int) -> Iterator[FileSplit]:
    if size == 0:
        return
    start = 0
    if size is not None and codec is None:
        while (size - start) / step > _SLOP:
            yield FileSplit(path, start, start + step, None)
            start += step
    yield FileSplit(path, start, size, codec)
