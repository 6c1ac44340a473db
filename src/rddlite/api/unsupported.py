"""What PySpark has and rddlite has not: each raises one clear error that names the alternative."""

from __future__ import annotations

from typing import Any, NoReturn

from rddlite.api.handle import Handle, T_co
from rddlite.errors import NotInRddlite, Unsupported

_SAVE = (
    "needs Hadoop's classes, which rddlite does not have: use saveAsTextFile, saveAsPickleFile, or write files of any "
    "format in foreachPartition"
)
_READ = (
    "needs Hadoop's classes, which rddlite does not have: use textFile, binaryFiles, binaryRecords or pickleFile, or "
    "read files of any format in flatMap over a list of their paths"
)


_INNER = {
    "_defaultReducePartitions": "use getNumPartitions(), or name the number of partitions",
    "_is_pipelinable": "chains of operations are fused by themselves; explain() shows the stages",
    "_jrdd": "there is no JVM; use the public methods",
    "_jrdd_deserializer": "records are pickled as their kind wants it",
    "_memory_limit": "see the settings executor.memory and memory.operators",
    "_pickled": "records are pickled as their kind wants it; use the RDD itself",
    "_reserialize": "records are pickled as their kind wants it; use the RDD itself",
    "_prev_jrdd": "there is no JVM; use the public methods",
    "_to_java_object_rdd": "there is no JVM; use the public methods",
    "func": "toDebugString() and explain() show what an RDD is made by",
    "prev": "toDebugString() and explain() show what an RDD is made from",
}
"""Inner parts of PySpark's RDDs that some programs use, and what to do in their place."""


class NotThere(Handle[T_co]):
    """The mixin of `RDD` for methods that are not there."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        if name in _INNER:
            raise NotInRddlite(f"RDD.{name} is an inner part of PySpark: {_INNER[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def saveAsHadoopFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).saveAsHadoopFile("out", "OutputFormat")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: saveAsHadoopFile needs Hadoop's classes...
        """
        raise Unsupported(f"saveAsHadoopFile {_SAVE}")

    def saveAsHadoopDataset(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).saveAsHadoopDataset({})
        Traceback (most recent call last):
        rddlite.errors.Unsupported: saveAsHadoopDataset needs Hadoop's classes...
        """
        raise Unsupported(f"saveAsHadoopDataset {_SAVE}")

    def saveAsNewAPIHadoopFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).saveAsNewAPIHadoopFile("out", "OutputFormat")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: saveAsNewAPIHadoopFile needs Hadoop's classes...
        """
        raise Unsupported(f"saveAsNewAPIHadoopFile {_SAVE}")

    def saveAsNewAPIHadoopDataset(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).saveAsNewAPIHadoopDataset({})
        Traceback (most recent call last):
        rddlite.errors.Unsupported: saveAsNewAPIHadoopDataset needs Hadoop's classes...
        """
        raise Unsupported(f"saveAsNewAPIHadoopDataset {_SAVE}")

    def saveAsSequenceFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).saveAsSequenceFile("out")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: saveAsSequenceFile needs Hadoop's classes...
        """
        raise Unsupported(f"saveAsSequenceFile {_SAVE}")

    def toDF(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: rddlite has no SQL.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.range(3).toDF()
        Traceback (most recent call last):
        rddlite.errors.Unsupported: toDF needs Spark SQL...
        """
        raise Unsupported(
            "toDF needs Spark SQL, which rddlite does not have: stay with RDDs, or collect() into a data frame of "
            "pandas, polars or pyarrow"
        )


class HadoopSources:
    """The mixin of `Context` for methods that need a JVM."""

    def sequenceFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.sequenceFile("in")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: sequenceFile needs Hadoop's classes...
        """
        raise Unsupported(f"sequenceFile {_READ}")

    def hadoopFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.hadoopFile("in", "InputFormat", "Key", "Value")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: hadoopFile needs Hadoop's classes...
        """
        raise Unsupported(f"hadoopFile {_READ}")

    def hadoopRDD(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.hadoopRDD("InputFormat", "Key", "Value")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: hadoopRDD needs Hadoop's classes...
        """
        raise Unsupported(f"hadoopRDD {_READ}")

    def newAPIHadoopFile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.newAPIHadoopFile("in", "InputFormat", "Key", "Value")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: newAPIHadoopFile needs Hadoop's classes...
        """
        raise Unsupported(f"newAPIHadoopFile {_READ}")

    def newAPIHadoopRDD(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: it needs Hadoop's classes.

        Raises:
            Unsupported: always, naming what to use instead.

        >>> sc.newAPIHadoopRDD("InputFormat", "Key", "Value")
        Traceback (most recent call last):
        rddlite.errors.Unsupported: newAPIHadoopRDD needs Hadoop's classes...
        """
        raise Unsupported(f"newAPIHadoopRDD {_READ}")
