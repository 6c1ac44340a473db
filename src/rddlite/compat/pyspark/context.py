"""SparkContext and SparkConf: Context and Conf with the constructors that PySpark's have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rddlite.api.conf import Conf
from rddlite.api.context import Context
from rddlite.api.origins import defaults

SPARK_VERSION = "4.0.0"
"""The version whose RDD programs are meant, for those that look."""


class SparkConf(Conf):
    """Settings, with what `rddlite submit` and the environment say as a beginning.

    >>> SparkConf().setMaster("local[2]").setAppName("app").get("spark.master")
    'local[2]'
    """

    __slots__ = ()

    def __init__(
        self,
        loadDefaults: bool | Mapping[str, Any] | Iterable[tuple[str, Any]] = True,
        _jvm: Any = None,
        _jconf: Any = None,
    ) -> None:
        given = () if isinstance(loadDefaults, bool) else loadDefaults
        super().__init__(given)
        if loadDefaults is True:
            for key, origin in defaults().items():
                self.set(key, origin.value)


class SparkContext(Context):
    """The entry to rddlite under its PySpark name. What concerns a JVM is accepted, and changes nothing.

    Args:
        master, appName, conf: as for `Context`; `conf` may be a `SparkConf`, a `Conf` or a dictionary.
        sparkHome, gateway, jsc, batchSize, serializer, udf_profiler_cls, memory_profiler_cls: mean nothing here:
            records are pickled in batches whose size follows from theirs.
        pyFiles: paths for `addPyFile`.
        environment: environment variables of the executors.
        profiler_cls: what profiles tasks when `spark.python.profile` is set.
    """

    def __init__(
        self,
        master: str | None = None,
        appName: str | None = None,
        sparkHome: str | None = None,
        pyFiles: Iterable[str] | None = None,
        environment: Mapping[str, Any] | None = None,
        batchSize: int = 0,
        serializer: Any = None,
        conf: Conf | Mapping[str, Any] | None = None,
        gateway: Any = None,
        jsc: Any = None,
        profiler_cls: Any = None,
        udf_profiler_cls: Any = None,
        memory_profiler_cls: Any = None,
    ) -> None:
        super().__init__(
            master, appName, conf, sparkHome=sparkHome, pyFiles=pyFiles, environment=environment, serializer=serializer
        )
