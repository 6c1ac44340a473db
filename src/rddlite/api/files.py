"""RDDs of files that are not lines: whole files, records of a fixed length, and what saveAsPickleFile wrote.

As with `textFile`, nothing is read at the call: a missing path is an error when the partitions are first needed.
"""

from __future__ import annotations

import os
from typing import Any

from rddlite.api.arguments import count, partitions, text
from rddlite.api.rdd import RDD
from rddlite.api.sources import Sources
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage.sources import FileObjects

Path = str | os.PathLike[str]


class FileSources(Sources):
    """The mixin of `Context` for files that are not lines."""

    def wholeTextFiles(self, path: Path, minPartitions: int | None = None, use_unicode: bool = True) -> RDD[Any]:
        """An RDD of `(path, content)` of each text file, for many small ones. Compressed files are unpacked.

        Args:
            path: as for `textFile`.
            minPartitions: spread them over so many partitions; by default `defaultMinPartitions`.
            use_unicode: False to get bytes instead of strings. Invalid UTF-8 becomes U+FFFD in strings.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.txt").write_text("one, two")
        ...     sc.wholeTextFiles(folder).collect()
        [('file:/...a.txt', 'one, two')]
        """
        site = call_site("wholeTextFiles")
        return self._files(path, minPartitions, "text" if use_unicode else "unpacked", site)

    def binaryFiles(self, path: Path, minPartitions: int | None = None) -> RDD[tuple[str, bytes]]:
        """An RDD of `(path, bytes)` of each file, as they are.

        Args:
            path: as for `textFile`.
            minPartitions: spread them over so many partitions; by default `defaultMinPartitions`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.bin").write_bytes(bytes([0, 255]))
        ...     sc.binaryFiles(folder).values().collect()
        [b'\\x00\\xff']
        """
        return self._files(path, minPartitions, "files", call_site("binaryFiles"))

    def binaryRecords(self, path: Path, recordLength: int) -> RDD[bytes]:
        """An RDD of the records, `recordLength` bytes each, of files that hold nothing else.

        Args:
            path: as for `textFile`.
            recordLength: bytes of a record. A file that ends within one fails the job.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.bin").write_bytes(b"abcdef")
        ...     sc.binaryRecords(folder, 2).collect()
        [b'ab', b'cd', b'ef']
        """
        site = call_site("binaryRecords")
        return self._files(path, None, "records", site, count(recordLength, site, "recordLength", 1))

    def pickleFile(self, name: Path, minPartitions: int | None = None) -> RDD[Any]:
        """An RDD of the records that `saveAsPickleFile` wrote: a partition for each of its own.

        Unpickling can run any code: read only files of which you know who wrote them.

        Args:
            name: as for `textFile`.
            minPartitions: accepted for PySpark's sake.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sc.range(4, numSlices=2).saveAsPickleFile(folder + "/out")
        ...     sc.pickleFile(folder + "/out").glom().collect()
        [[0, 1], [2, 3]]
        """
        return self._files(name, minPartitions, "frames", call_site("pickleFile"))

    def _files(self, path: Path, least: int | None, form: str, site: CallSite, length: int = 0) -> RDD[Any]:
        self._check_usable()
        parameter = "name" if form == "frames" else "path"
        url = text(os.fspath(path) if isinstance(path, os.PathLike) else path, site, parameter)
        n = self.defaultMinPartitions if least is None else partitions(least, site, "minPartitions")
        node = FileObjects(site, url, n, form, length)
        node.name = url
        return self._made(node)
