"""Where RDDs come from: collections of the driver, ranges of integers, text files, and other RDDs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rddlite.api.arguments import integer, partitions, text
from rddlite.api.rdd import RDD
from rddlite.api.session import Session
from rddlite.api.unions import PendingUnion
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage.graph import Node
from rddlite.lineage.sources import FileText, Parallelized, Range
from rddlite.serde.records import encode_records

if TYPE_CHECKING:
    from rddlite.api.context import Context

T = TypeVar("T")

_LARGEST_BATCH = 1024


class Sources(Session):
    """The mixin of `Context` for making RDDs."""

    def parallelize(self, c: Iterable[T], numSlices: int | None = None) -> RDD[T]:
        """An RDD of the items of a collection, which is copied at the call.

        Args:
            c: any iterable; a generator is consumed.
            numSlices: number of partitions; by default `defaultParallelism`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            NotPicklable: if an item cannot be pickled.

        >>> sc.parallelize([0, 2, 3, 4, 6], 5).glom().collect()
        [[0], [2], [3], [4], [6]]
        """
        site = call_site("parallelize")
        self._check_usable()
        n = self.defaultParallelism if numSlices is None else partitions(numSlices, site, "numSlices")
        if isinstance(c, range):
            return self._made(Range(site, c, n))
        if isinstance(c, RDD) or not isinstance(c, Iterable):
            raise TypeError(f"parallelize: c must be a collection, not {type(c).__qualname__}")
        return self._made(Parallelized(site, _slices(c if isinstance(c, (list, tuple)) else list(c), n)))

    def range(self, start: int, end: int | None = None, step: int = 1, numSlices: int | None = None) -> RDD[int]:
        """An RDD of the integers from `start` up to and without `end`, which are never all in memory.

        Args:
            start: the first integer; if it is the only one given, the end, and counting starts at 0.
            end: where to stop.
            step: the distance between two integers, positive or negative.
            numSlices: number of partitions; by default `defaultParallelism`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sc.range(5).collect(), sc.range(2, 10, 3).collect()
        ([0, 1, 2, 3, 4], [2, 5, 8])
        """
        site = call_site("range")
        self._check_usable()
        first, last = (0, start) if end is None else (start, end)
        first, last = integer(first, site, "start"), integer(last, site, "start" if end is None else "end")
        if integer(step, site, "step") == 0:
            raise ValueError("range: step must not be 0")
        n = self.defaultParallelism if numSlices is None else partitions(numSlices, site, "numSlices")
        return self._made(Range(site, range(first, last, int(step)), n))

    def textFile(
        self, name: str | os.PathLike[str], minPartitions: int | None = None, use_unicode: bool = True
    ) -> RDD[str]:
        r"""An RDD of the lines of text files, without their ends.

        Nothing is read at the call: a missing path is an error when the partitions are first needed. Lines end at
        `\n`, `\r\n` or a lone `\r`. Files that end in .gz, .bz2, .xz or .zst are unpacked, and each of them is one
        partition; others are split.

        Args:
            name: a path or URL, a directory (read without its subdirectories), a glob (`*`, `?`, `[a-z]`, `{a,b}`), or
                several of them separated by commas. Names that begin with `_` or `.` are left out.
            minPartitions: at least so many partitions where the sizes allow; by default `defaultMinPartitions`.
            use_unicode: False to get bytes instead of strings. Invalid UTF-8 becomes U+FFFD in strings.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.txt").write_text("one\ntwo\n")
        ...     sc.textFile(folder + "/*.txt").map(len).collect()
        [3, 3]
        """
        site = call_site("textFile")
        self._check_usable()
        url = text(os.fspath(name) if isinstance(name, os.PathLike) else name, site, "name")
        least = self.defaultMinPartitions if minPartitions is None else partitions(minPartitions, site, "minPartitions")
        node = FileText(site, url, least, bool(use_unicode))
        node.name = url
        return self._made(node)

    def emptyRDD(self) -> RDD[Any]:
        """An RDD without partitions or records.

        >>> sc.emptyRDD().getNumPartitions(), sc.emptyRDD().collect()
        (0, [])
        """
        site = call_site("emptyRDD")
        self._check_usable()
        return self._made(Parallelized(site, []))

    def union(self, rdds: Iterable[RDD[T]]) -> RDD[T]:
        """The records of all these RDDs, one after another.

        Raises:
            TypeError: if one of them is no RDD.
            ValueError: if there are none.

        >>> sc.union([sc.range(2), sc.range(3)]).collect()
        [0, 1, 0, 1, 2]
        """
        site = call_site("union")
        self._check_usable()
        if isinstance(rdds, RDD) or not isinstance(rdds, Iterable):
            raise TypeError(f"union: rdds must be a list of RDDs, not {type(rdds).__qualname__}")
        parts = list(rdds)
        if not parts:
            raise ValueError("union: needs at least one RDD; emptyRDD() makes an empty one")
        for part in parts:
            self._own(part, site)
        return RDD(cast("Context", self), PendingUnion(site, parts))

    @property
    def defaultParallelism(self) -> int:
        """How many partitions `parallelize` makes by itself: `default.parallelism`, else the number of workers.

        >>> sc.defaultParallelism >= 1
        True
        """
        return self._set_parallelism() or self._live_driver().default_parallelism

    @property
    def defaultMinPartitions(self) -> int:
        """How many partitions `textFile` asks for by itself: at most 2.

        >>> sc.defaultMinPartitions <= 2
        True
        """
        return min(self.defaultParallelism, 2)

    def _made(self, node: Node) -> RDD[Any]:
        return RDD(cast("Context", self), node)

    def _own(self, rdd: Any, site: CallSite) -> RDD[Any]:
        """Check that an argument is an RDD of this context."""
        if not isinstance(rdd, RDD):
            raise TypeError(f"{site.method}: needs RDDs, not {type(rdd).__qualname__}")
        if rdd._context is not self:
            raise ValueError(f"{site.method}: {rdd!r} belongs to another context: it cannot be used here")
        return rdd


def _slices(items: Sequence[Any], n: int) -> list[bytes]:
    """The items as frames for each of `n` partitions.

    As in PySpark, batches are spread and not items, so 11 items in 3 partitions fall 3, 3, 5.
    """
    batch = max(1, min(len(items) // n, _LARGEST_BATCH))
    frames = [b"".join(encode_records(items[start : start + batch])) for start in range(0, len(items), batch)]
    return [b"".join(frames[i * len(frames) // n : (i + 1) * len(frames) // n]) for i in range(n)]
