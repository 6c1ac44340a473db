"""Nodes without parents: their partitions are described as data, and reading is asked of `Inputs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.checkpoint import SavedPart
from rddlite.lineage.graph import Batch, Inputs, Node

_RANGE_BATCH = 8192


@dataclass(frozen=True, slots=True)
class TextSplit:
    """A partition of text files: `split` is a `fs.splits.FileSplit`."""

    split: Any
    use_unicode: bool


@dataclass(frozen=True, slots=True)
class ObjectsSplit:
    """A partition of files that are not lines, in the form of `FileObjects`."""

    split: Any
    form: str
    length: int


class Parallelized(Node):
    """A collection of the driver, cut into slices and pickled when it was handed over."""

    __slots__ = ("_slices",)
    label = "ParallelCollection"

    def __init__(self, site: CallSite, slices: Sequence[bytes]) -> None:
        super().__init__(site, n_partitions=len(slices))
        self._slices = slices

    def payload(self, index: int) -> bytes:
        """Frames of pickled records, as they are: it is pickled and unpickled for each task."""
        return self._slices[index]

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return inputs.source(payload)


class Range(Node):
    """The integers of `range(start, stop, step)` in `n` partitions, never materialised on the driver."""

    __slots__ = ("_range",)
    label = "Range"

    def __init__(self, site: CallSite, numbers: range, n: int) -> None:
        super().__init__(site, n_partitions=n)
        self._range = numbers

    def payload(self, index: int) -> range:
        size, n = len(self._range), self.n_partitions or 1
        return self._range[index * size // n : (index + 1) * size // n]

    def sizes(self) -> list[int]:
        """How many numbers each partition has."""
        return [len(self.payload(index)) for index in range(self.n_partitions or 1)]

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Any]:
        # Pieces of the range themselves: a loop makes the numbers one by one, while the cache has each.
        return (payload[start : start + _RANGE_BATCH] for start in range(0, len(payload), _RANGE_BATCH))


class FileText(Node):
    """Lines of text files. The listing is settled in the thread of the first caller that needs it."""

    __slots__ = ("_splits", "min_partitions", "url", "use_unicode")
    label = "TextFile"

    def __init__(self, site: CallSite, url: str, min_partitions: int, use_unicode: bool) -> None:
        super().__init__(site)
        self.url, self.min_partitions, self.use_unicode = url, min_partitions, use_unicode
        self._splits: Sequence[Any] = ()

    def list_with(self, splits: Sequence[Any]) -> None:
        """Take the result of the listing: one file split per partition."""
        self._splits = splits
        self.n_partitions = len(splits)

    def payload(self, index: int) -> TextSplit:
        return TextSplit(self._splits[index], self.use_unicode)

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return inputs.source(payload)


class FileObjects(FileText):
    """Files that are not lines. `form`: `files` (whole ones, as bytes), `unpacked` (decompressed), `text`, `records`
    (of `length` bytes), or `frames` (what saveAsPickleFile wrote, a file for each partition).
    """

    __slots__ = ("form", "length")
    label = "Files"

    def __init__(self, site: CallSite, url: str, min_partitions: int, form: str, length: int = 0) -> None:
        super().__init__(site, url, min_partitions, form == "text")
        self.form, self.length = form, length

    def payload(self, index: int) -> Any:
        split = self._splits[index]
        return SavedPart(split) if self.form == "frames" else ObjectsSplit(split, self.form, self.length)
