"""Output to files: written by tasks to a hidden place, published by the driver when all is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rddlite.api.arguments import integer, text
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.uninterrupted import uninterrupted
from rddlite.fs import commit
from rddlite.lineage.consumers import Consumer, SaveFrames, SaveLines


class Output(Handle[T_co]):
    """The mixin of `RDD` for output."""

    __slots__ = ()

    def saveAsTextFile(
        self: Handle[Any], path: str | os.PathLike[str], compressionCodecClass: str | None = None
    ) -> None:
        """Write each record as a line: strings as they are (UTF-8), bytes as they are, the rest as `str(x)`.

        Makes a directory with one file `part-00000` ... for each partition, empty ones too, and an empty `_SUCCESS`
        once all is there. If the job fails or is interrupted, nothing is left at `path`; Ctrl-C while the finished
        output is being published takes effect after it.

        Args:
            path: a directory or URL that does not exist yet.
            compressionCodecClass: the name of a codec of Hadoop's (`org.apache.hadoop.io.compress.GzipCodec`,
                `...BZip2Codec`, `...DefaultCodec`) or a short one (`gz`, `bz2`, `xz`, `zst`).

        Raises:
            OutputExists: if something is at `path`; no task runs then.
            UsageError: for a path that cannot be written to, or an unknown codec.
            JobFailed: if the job fails.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sc.parallelize(["one", 2], 1).saveAsTextFile(folder + "/out")
        ...     sorted((path.name, path.read_text()) for path in pathlib.Path(folder, "out").iterdir())
        [('_SUCCESS', ''), ('part-00000', 'one\\n2\\n')]
        """
        site = call_site("saveAsTextFile")
        url = text(os.fspath(path) if isinstance(path, os.PathLike) else path, site, "path")
        if compressionCodecClass is not None:
            text(compressionCodecClass, site, "compressionCodecClass")
        _save(self, url, compressionCodecClass, _lines, site)

    def saveAsPickleFile(self, path: str | os.PathLike[str], batchSize: int = 10) -> None:
        """Write all records, pickled, for `Context.pickleFile` to read back.

        Only rddlite reads these files: they are no sequence files of Hadoop's.

        Makes a directory like that of `saveAsTextFile`, with a file for each partition.

        Args:
            path: a directory or URL that does not exist yet.
            batchSize: accepted for PySpark's sake; how many records are pickled together is chosen by their size.

        Raises:
            OutputExists: if something is at `path`; no task runs then.
            UsageError: for a path that cannot be written to.
            JobFailed: if the job fails, for instance because a record cannot be pickled.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sc.parallelize([1, "two", (3, None)], 2).saveAsPickleFile(folder + "/out")
        ...     sc.pickleFile(folder + "/out").collect()
        [1, 'two', (3, None)]
        """
        site = call_site("saveAsPickleFile")
        url = text(os.fspath(path) if isinstance(path, os.PathLike) else path, site, "path")
        integer(batchSize, site, "batchSize")
        _save(self, url, None, _frames, site)


def _lines(staging: commit.Staging, options: str | None) -> Consumer:
    return SaveLines(staging.staging, staging.codec, options)


def _frames(staging: commit.Staging, options: str | None) -> Consumer:
    return SaveFrames(staging.staging, options)


def _save(
    handle: Handle[Any],
    url: str,
    codec: str | None,
    consumer: Callable[[commit.Staging, str | None], Consumer],
    site: CallSite,
) -> None:
    """Run the job that writes, and publish what it wrote."""
    context = handle._context
    handle._n_partitions()  # input that is missing is to be told of before anything is made
    options, token = context._storage_options, context._output_token()
    made: list[commit.Staging] = []
    try:
        uninterrupted(lambda: made.append(commit.prepare(url, token, codec, options, inline=context._is_inline)))
        staging = made[0]
        reports = handle._run(consumer(staging, context._storage_options_text), site)
    except BaseException:
        if made:
            uninterrupted(lambda: commit.abort(made[0], options))
        raise
    uninterrupted(lambda: commit.publish(staging, reports, options))
