"""Conf: settings under construction, with the methods of PySpark's SparkConf.

Keys are those of `base/config.py`; those of Spark that mean the same here are accepted under their own names. Other
`spark.` keys are kept for whoever asks for them, and change nothing. A misspelt key of ours is refused at once.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rddlite.base.config import SETTINGS, Settings
from rddlite.base.log import logger

_SAME_HERE = {
    "spark.master": "master",
    "spark.app.name": "app.name",
    "spark.default.parallelism": "default.parallelism",
    "spark.driver.maxResultSize": "driver.maxResultSize",
    "spark.executor.memory": "executor.memory",
    "spark.local.dir": "local.dir",
    "spark.task.maxFailures": "task.maxFailures",
    "spark.stage.maxConsecutiveAttempts": "stage.maxAttempts",
    "spark.files.maxPartitionBytes": "files.maxPartitionBytes",
    "spark.ui.showConsoleProgress": "progress.show",
    "spark.excludeOnFailure.enabled": "exclude.enabled",
    "spark.executor.heartbeatInterval": "executor.heartbeat",
    "spark.locality.wait": "locality.wait",
    "spark.memory.fraction": "memory.fraction",
    "spark.network.timeout": "executor.silence",
    "spark.python.worker.memory": "memory.operators",
    "spark.python.profile": "profile",
    "spark.python.profile.dump": "profile.dump",
    "spark.python.profile.memory": "profile.memory",
    "spark.reducer.maxSizeInFlight": "shuffle.window",
    "spark.scheduler.mode": "scheduler.mode",
    "spark.barrier.sync.timeout": "barrier.sync.timeout",
    "spark.archives": "submit.archives",
    "spark.files": "submit.files",
    "spark.speculation": "speculation",
    "spark.submit.pyFiles": "submit.pyFiles",
    "spark.speculation.minTaskRuntime": "speculation.minimum",
    "spark.speculation.multiplier": "speculation.multiplier",
    "spark.speculation.quantile": "speculation.quantile",
}
_IN_SPARK = {ours: theirs for theirs, ours in _SAME_HERE.items()}

_MILLISECONDS = {"spark.executor.heartbeatInterval", "spark.locality.wait", "spark.speculation.minTaskRuntime"}
"""Whose bare numbers Spark reads as milliseconds; rddlite reads seconds."""

_MEBIBYTES = {"spark.executor.memory", "spark.python.worker.memory", "spark.reducer.maxSizeInFlight"}
"""Whose bare numbers Spark reads as MiB; rddlite reads bytes."""

_VARIABLE = "spark.executorEnv."
"""Before the name of a variable for the environment of executors."""

_S3A = {
    "spark.hadoop.fs.s3a.access.key": "key",
    "spark.hadoop.fs.s3a.endpoint": "endpoint_url",
    "spark.hadoop.fs.s3a.secret.key": "secret",
    "spark.hadoop.fs.s3a.session.token": "token",
}
"""How Spark's programs reach an object store, and the options of s3fs that say the same."""


class Conf:
    """Settings for a `Context`. Setters return the object itself, so that they can be chained.

    >>> conf = Conf().setMaster("inline").setAppName("demo").set("driver.maxResultSize", "2g")
    >>> conf.get("master"), conf.get("app.name"), conf.contains("local.dir")
    ('inline', 'demo', False)

    The context takes a copy: what is set later changes nothing.
    """

    __slots__ = ("_values",)

    _keeps_all: ClassVar[bool] = False
    """Whether keys that are neither ours nor Spark's are the program's own, and kept."""

    def __init__(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        """Start with these settings.

        Raises:
            ConfigError: for an unknown key or a value that cannot be read.
            TypeError: for what holds no settings.
        """
        given: Any = pairs
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"settings must be a Conf, a dictionary or (key, value) pairs, not {given!r}")
        self._values: dict[str, str] = {}
        self.setAll(pairs.items() if isinstance(pairs, Mapping) else pairs)

    def set(self, key: str, value: Any) -> Conf:
        """Set one key; numbers and booleans are stored as text.

        >>> Conf().set("default.parallelism", 4).get("default.parallelism")
        '4'

        Raises:
            ConfigError: for an unknown key (with the nearest known one) or a value that cannot be read.
        """
        self._put(key, value, keeps_all=self._keeps_all)
        return self

    def _put(self, key: str, value: Any, *, keeps_all: bool) -> None:
        if not isinstance(key, str):
            raise TypeError(f"set: key must be a str, not {type(key).__qualname__}")
        if value is None:
            raise TypeError(f"set: the value of {key!r} must not be None; leave a key out to get its default")
        text = _with_unit(key, str(value))
        key = _SAME_HERE.get(key, key)
        if key in SETTINGS or not (keeps_all or key.startswith("spark.")):
            Settings({key: text})
        self._values[key] = text

    def setIfMissing(self, key: str, value: Any) -> Conf:
        """Set a key that is not set yet.

        >>> Conf().setMaster("inline").setIfMissing("master", "local").get("master")
        'inline'
        """
        return self if self.contains(key) else self.set(key, value)

    def setMaster(self, value: str) -> Conf:
        """Set the master: `inline`, `local`, `local[n]`, `local[*]`, `local[n,F]`,
        `local-cluster[executors,cores,memory]` or `rdd://host:port`.

        >>> Conf().setMaster("local[2]").get("master")
        'local[2]'
        """
        return self.set("master", value)

    def setAppName(self, value: str) -> Conf:
        """Set the name of the application.

        >>> Conf().setAppName("nightly").get("app.name")
        'nightly'
        """
        return self.set("app.name", value)

    def setSparkHome(self, value: str) -> Conf:
        """Say where Spark is installed, as PySpark can. It is not needed.

        >>> Conf().setSparkHome("/opt/spark").get("spark.home")
        '/opt/spark'
        """
        return self.set("spark.home", value)

    def setExecutorEnv(
        self, key: str | None = None, value: str | None = None, pairs: Iterable[tuple[str, str]] | None = None
    ) -> Conf:
        """Set variables for the environment of executors, as `spark.executorEnv.<name>`: one, or several pairs.

        Beside these, executors of this host have the environment of the driver, and elsewhere that of whoever started
        them. With the master `inline` tasks run in the driver's process, and see its environment as it is.

        Raises:
            ValueError: if both are given, or neither.

        >>> Conf().setExecutorEnv("A", "1").get("spark.executorEnv.A")
        '1'
        """
        if (key is None) == (pairs is None):
            raise ValueError("setExecutorEnv: give either key and value, or pairs")
        for name, text in [(key, value)] if pairs is None else pairs:
            self.set(f"{_VARIABLE}{name}", text)
        return self

    def setAll(self, pairs: Iterable[tuple[str, Any]]) -> Conf:
        """Set several keys.

        >>> Conf().setAll([("master", "inline"), ("app.name", "demo")]).getAll()
        [('master', 'inline'), ('app.name', 'demo')]
        """
        for key, value in pairs:
            self.set(key, value)
        return self

    def get(self, key: str, defaultValue: str | None = None) -> str | None:
        """The text that was set, or `defaultValue`.

        >>> Conf().get("app.name", "unnamed")
        'unnamed'
        """
        return self._values.get(_SAME_HERE.get(key, key), defaultValue)

    def getAll(self) -> list[tuple[str, str]]:
        """All pairs that were set, in the order of their first setting.

        >>> Conf({"master": "inline"}).getAll()
        [('master', 'inline')]
        """
        return list(self._values.items())

    def contains(self, key: str) -> bool:
        """Whether the key was set.

        >>> Conf().setMaster("inline").contains("spark.master")
        True
        """
        return _SAME_HERE.get(key, key) in self._values

    def toDebugString(self) -> str:
        """One line `key=value` for each pair, sorted.

        >>> print(Conf({"master": "inline", "app.name": "demo"}).toDebugString())
        app.name=demo
        master=inline
        """
        return "\n".join(f"{key}={value}" for key, value in sorted(self._values.items()))

    def copy(self) -> Conf:
        """Another Conf with the same pairs.

        >>> Conf({"master": "inline"}).copy().get("master")
        'inline'
        """
        twin = Conf()
        twin._values.update(self._values)
        return twin

    def settings(self) -> Settings:
        """The parsed, immutable form that all processes share; `spark.` keys without a meaning here are left out.

        >>> Conf({"driver.maxResultSize": "1k"}).settings()["driver.maxResultSize"]
        1024
        """
        foreign = {key for key in self._values if key not in SETTINGS}
        known = {key: value for key, value in self._values.items() if key not in foreign}
        variables = {key[len(_VARIABLE) :]: self._values[key] for key in foreign if key.startswith(_VARIABLE)}
        if variables:
            both = {**(Settings(known)["executor.env"] or {}), **variables}
            known["executor.env"] = json.dumps(both, sort_keys=True)
        store = {option: self._values[key] for key, option in _S3A.items() if key in foreign}
        if store:
            known.setdefault("storage.options", json.dumps({"s3": store, "s3a": store}))
        _list_once({key for key in foreign if key not in _S3A and not key.startswith(_VARIABLE)})
        return Settings(known)

    def __repr__(self) -> str:
        return f"Conf({self._values!r})"


def set_from_outside(conf: Conf, key: str, value: str) -> None:
    """Set what flags, files and variables say. A key that is neither ours nor Spark's is the program's own there.

    >>> conf = Conf()
    >>> set_from_outside(conf, "myapp.limit", "3")
    >>> conf.get("myapp.limit")
    '3'

    Raises:
        ConfigError: for a value that cannot be read.
    """
    conf._put(key, value, keeps_all=True)


def is_slip(key: str) -> bool:
    """Whether a key is no setting, but nearly one of ours or Spark's.

    >>> is_slip("executor.memry"), is_slip("executor.memory"), is_slip("myapp.limit")
    (True, False, False)
    """
    return key not in SETTINGS and key not in _SAME_HERE and not key.startswith("spark.") and bool(_near(key))


def name_in_spark(key: str) -> str:
    """What Spark calls the setting; its own name if Spark has none like it.

    >>> name_in_spark("executor.memory"), name_in_spark("memory.operators"), name_in_spark("cut.lineage")
    ('spark.executor.memory', 'spark.python.worker.memory', 'cut.lineage')
    """
    return _IN_SPARK.get(key, key)


_MUCH_ALIKE = 0.93
_listed: set[str] = set()


def _list_once(keys: set[str]) -> None:
    """Tell which settings change nothing, each of them once in a process."""
    new = {key: _near(key) for key in sorted(keys - _listed)}
    _listed.update(new)
    # A program's own keys are its own business, unless they look like a slip.
    told = [f"{key}{hint}" for key, hint in new.items() if hint or key.startswith("spark.")]
    if told:
        logger("conf").warning("settings that mean nothing to rddlite: %s", ", ".join(told))


def _near(key: str) -> str:
    near = difflib.get_close_matches(key, [*SETTINGS, *_SAME_HERE], n=1, cutoff=_MUCH_ALIKE)
    return f" (did you mean {near[0]}?)" if near else ""


def _with_unit(key: str, text: str) -> str:
    if not text.strip().isdecimal():
        return text
    return text + ("ms" if key in _MILLISECONDS else "m" if key in _MEBIBYTES else "")
