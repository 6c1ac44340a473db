"""SparkSession, as far as RDD programs go through it: its context, and the lines of text files as rows.

Everything else of it is SQL, and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from rddlite.api.conf import Conf
from rddlite.api.rdd import RDD
from rddlite.api.session import Session
from rddlite.compat.pyspark.context import SPARK_VERSION, SparkConf, SparkContext
from rddlite.compat.pyspark.row import Row
from rddlite.errors import NotInRddlite, Unsupported

_ALTERNATIVE = (
    "rddlite runs RDD programs: take spark.sparkContext and its RDDs, use DuckDB, Polars or pandas inside "
    "mapPartitions, or keep this part in Spark"
)


class SparkSession:
    """A session whose `sparkContext` is the one of this process.

    >>> spark = SparkSession.builder.master("local[2]").appName("app").getOrCreate()  # doctest: +SKIP
    >>> lines = spark.read.text("README.md").rdd.map(lambda row: row[0])  # doctest: +SKIP
    """

    _lock = threading.Lock()

    class Builder:
        """Collects settings, and makes the session or gives the one that there is."""

        def __init__(self) -> None:
            self._conf = SparkConf(False)

        def master(self, master: str) -> SparkSession.Builder:
            """Set the master."""
            return self.config("spark.master", master)

        def appName(self, name: str) -> SparkSession.Builder:
            """Set the name of the application."""
            return self.config("spark.app.name", name)

        def config(
            self,
            key: str | None = None,
            value: Any = None,
            conf: Conf | None = None,
            *,
            map: Mapping[str, Any] | None = None,  # noqa: A002 - PySpark's name
        ) -> SparkSession.Builder:
            """Set one key, or all of a `SparkConf` or of a dictionary."""
            pairs = list(conf.getAll() if conf is not None else (map or {}).items())
            if key is not None:
                pairs.append((key, str(value).lower() if isinstance(value, bool) else value))
            self._conf.setAll(pairs)
            return self

        def enableHiveSupport(self) -> SparkSession.Builder:
            """Accepted; there is no SQL here that could use it."""
            return self

        def getOrCreate(self) -> SparkSession:
            """A session with the context of this process, which is made with these settings if there is none."""
            with SparkSession._lock:
                return SparkSession(SparkContext.getOrCreate(self._conf))

        def __getattr__(self, name: str) -> NoReturn:
            _refuse("SparkSession.builder", name)

    class _NewBuilder:
        def __get__(self, instance: object, owner: type[SparkSession]) -> SparkSession.Builder:
            return owner.Builder()

    builder = _NewBuilder()

    def __init__(self, sparkContext: Any) -> None:
        self._context = sparkContext

    @property
    def sparkContext(self) -> SparkContext:
        """The context of this process."""
        context: SparkContext = self._context
        return context

    @classmethod
    def getActiveSession(cls) -> SparkSession | None:
        """A session with the context of this process; None if there is none."""
        active = Session._active
        return None if active is None else cls(active)

    active = getActiveSession

    @property
    def version(self) -> str:
        """The version of Spark whose RDD programs are meant."""
        return SPARK_VERSION

    @property
    def conf(self) -> RuntimeConf:
        """The settings, to be read."""
        return RuntimeConf(self._context.getConf())

    @property
    def read(self) -> TextReader:
        """Reads text files."""
        return TextReader(self._context)

    def newSession(self) -> SparkSession:
        """Another session with the same context."""
        return SparkSession(self._context)

    def stop(self) -> None:
        """Stop the context."""
        self._context.stop()

    def __enter__(self) -> SparkSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __getattr__(self, name: str) -> NoReturn:
        _refuse("SparkSession", name)


class RuntimeConf:
    """The settings of a running context: to be read only."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf

    def get(self, key: str, default: str | None = None) -> str | None:
        """The text that was set for a key, or `default`."""
        return self._conf.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Refused for what matters here; what only SQL uses is accepted, as such programs run none.

        Raises:
            Unsupported: for a setting of rddlite: those are set before the context is made.
        """
        if not key.startswith("spark.sql."):
            raise Unsupported(
                f"spark.conf.set({key!r}, ...): settings are made before the context: builder.config(...)"
            )


class TextReader:
    """`spark.read`: text files, and nothing else."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def text(self, paths: str | list[str], wholetext: bool = False, lineSep: str | None = None) -> TextFrame:
        """The lines of files as rows with one field, `value`.

        Raises:
            Unsupported: for a separator of lines of one's own.
        """
        if lineSep is not None:
            raise Unsupported(
                "spark.read.text(lineSep=...): lines end at \\n, \\r\\n and \\r; split further with flatMap"
            )
        return TextFrame(self._context, paths if isinstance(paths, str) else ",".join(paths), wholetext)

    def __getattr__(self, name: str) -> NoReturn:
        _refuse("spark.read", name)


class TextFrame:
    """The lines of text files: their rows as an RDD are all that can be had of it."""

    def __init__(self, context: Any, paths: str, wholetext: bool) -> None:
        self._context = context
        self._paths = paths
        self._wholetext = wholetext

    @property
    def rdd(self) -> RDD[Row]:
        """The rows, `Row(value=line)`."""
        if self._wholetext:
            texts = self._context.wholeTextFiles(self._paths).values()
        else:
            texts = self._context.textFile(self._paths)
        rows: RDD[Row] = texts.map(_row_of_line)
        return rows

    def __getattr__(self, name: str) -> NoReturn:
        _refuse("DataFrame", name)


def _row_of_line(line: str) -> Row:
    return Row(value=line)


def _refuse(what: str, name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotInRddlite(f"{what}.{name} is SQL, which rddlite does not have. {_ALTERNATIVE}")
