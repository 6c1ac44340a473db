"""SparkContext and SparkConf: Context and Conf with the constructors that PySpark's have."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from rddlite.api.conf import Conf, name_in_spark
from rddlite.api.context import Context
from rddlite.api.origins import defaults
from rddlite.api.session import Session
from rddlite.compat.pyspark.serializers import AutoBatchedSerializer, CPickleSerializer
from rddlite.errors import NotInRddlite
from rddlite.shared.files import SparkFiles

SPARK_VERSION = "4.0.0"
"""The version whose RDD programs are meant, for those that look."""


class SparkConf(Conf):
    """Settings, with what `rddlite submit` and the environment say as a beginning; told by their names in Spark.

    Keys of the program's own are kept for it.

    >>> SparkConf(False).setMaster("local[2]").setAppName("app").getAll()
    [('spark.master', 'local[2]'), ('spark.app.name', 'app')]
    """

    __slots__ = ()

    _keeps_all: ClassVar[bool] = True

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
            for key, value in Context._system_properties.items():
                if key.startswith("spark."):
                    self.set(key, value)

    def getAll(self) -> list[tuple[str, str]]:
        """All pairs that were set, by their names in Spark where they have one."""
        return [(name_in_spark(key), value) for key, value in super().getAll()]

    def toDebugString(self) -> str:
        """One line `key=value` for each pair, sorted."""
        return "\n".join(f"{key}={value}" for key, value in sorted(self.getAll()))

    def copy(self) -> SparkConf:
        """Another SparkConf with the same pairs."""
        return SparkConf(self._values)


_INNER = {
    "_batchSize": "the size of batches follows from that of the records",
    "_gateway": "there is no JVM; use the public methods",
    "_jsc": "there is no JVM; give Hadoop's options as settings (spark.hadoop.fs.s3a.endpoint) or in storage.options",
    "_jvm": "there is no JVM; use the public methods",
    "_next_accum_id": "accumulators get their ids by themselves; use sc.accumulator",
    "_unbatched_serializer": "records are pickled as their kind wants it",
}
"""Inner parts of PySpark's context that some programs use, and what to do in their place."""


class _Active:
    """The attribute that is the active context, on the class and on what it makes."""

    def __get__(self, instance: object, owner: type[SparkContext]) -> Session | None:
        return Session._active


class SparkContext(Context):
    """The entry to rddlite under its PySpark name. What concerns a JVM is accepted, and changes nothing.

    Args:
        master, appName, conf: as for `Context`; `conf` may be a `SparkConf`, a `Conf` or a dictionary.
        sparkHome, gateway, jsc, batchSize, serializer, udf_profiler_cls: mean nothing here: records are pickled in
            batches whose size follows from theirs.
        pyFiles: paths for `addPyFile`.
        environment: variables for the environment of executors, as by `SparkConf.setExecutorEnv`.
        profiler_cls, memory_profiler_cls: as for `Context`.
    """

    _active_spark_context = _Active()

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
        self.serializer = serializer or AutoBatchedSerializer(CPickleSerializer())
        if not isinstance(conf, SparkConf):
            conf = SparkConf(conf.getAll() if isinstance(conf, Conf) else conf or ())
        super().__init__(
            master,
            appName,
            conf,
            sparkHome=sparkHome,
            pyFiles=pyFiles,
            environment=environment,
            serializer=serializer,
            profiler_cls=profiler_cls,
            memory_profiler_cls=memory_profiler_cls,
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name in _INNER:
            raise NotInRddlite(f"SparkContext.{name} is an inner part of PySpark: {_INNER[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def _temp_dir(self) -> str:
        """A directory of this program's, which is removed with its files."""
        return SparkFiles.getRootDirectory()

    @property
    def _python_includes(self) -> list[str]:
        """The packages that `addPyFile` gave."""
        return [name for name in self.listFiles if name.endswith((".zip", ".egg", ".jar"))]

    @property
    def version(self) -> str:
        """The version of Spark whose RDD programs are meant."""
        return SPARK_VERSION

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        rows = (("Version", self.version), ("Master", self.master), ("AppName", self.appName))
        return "".join(f"<p><b>{name}</b> <code>{html.escape(text)}</code></p>" for name, text in rows)
