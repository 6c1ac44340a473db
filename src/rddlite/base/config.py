"""Every setting, declared once: key, type, default, and one line of documentation.

`Settings` is the immutable result: it knows every key, holds parsed values, and is what all processes pass around.
Unknown keys are errors, so that a misspelt setting never goes unnoticed. `docs/reference/configuration.md` is
generated from `SETTINGS`.
"""

# ruff: noqa: E501 - one setting a line, to be read as a table

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rddlite.base.units import parse_bytes, parse_seconds
from rddlite.errors import ConfigError


def _boolean(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    if value.lower() in {"true", "1", "yes", "on"}:
        return True
    if value.lower() in {"false", "0", "no", "off"}:
        return False
    raise ValueError(f"not true or false: {value!r}")


def _positive(value: str | int) -> int:
    if int(value) < 1:
        raise ValueError(f"must be 1 or more, not {value}")
    return int(value)


def _at_least(least: float) -> Callable[[str | float], float]:
    def parse(value: str | float) -> float:
        if not float(value) >= least:
            raise ValueError(f"must be {least:g} or more, not {value}")
        return float(value)

    return parse


def _share(value: str | float) -> float:
    if not 0.0 < float(value) <= 1.0:
        raise ValueError(f"must be above 0 and at most 1, not {value}")
    return float(value)


def _some_seconds(value: str | float) -> float:
    if not parse_seconds(value) > 0.0:
        raise ValueError(f"must be more than no time, not {value}")
    return parse_seconds(value)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}")
        return value.upper()

    return parse


def _auto_or(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_or_none(value: Any) -> Any:
        return None if value is None or value in ("", "auto") else parse(value)

    return parse_or_none


def _directory(value: object) -> str:
    if "://" in str(value):
        raise ValueError("must be a directory of this host, not a URL")
    return str(value)


def _variables(value: Any) -> dict[str, str]:
    pairs = json.loads(value) if isinstance(value, str) else value
    if not isinstance(pairs, Mapping):
        raise ValueError("must be an object: names of variables and their values")
    variables = {str(name): str(text) for name, text in pairs.items()}
    for name, text in variables.items():
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(f"no variable can have the name {name!r}, or it has a NUL in it")
    return variables


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `parse` turns text (or an already typed value) into the value that the program sees."""

    key: str
    parse: Callable[[Any], Any]
    default: Any
    kind: str
    doc: str
    is_secret: bool = False
    """Whether it may hold what nobody else should see: its value is written nowhere."""


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in (
        Setting("master", str, "local[*]", "text", "Where tasks run: inline, local, local[n], local[n,F], local[*], local-cluster[executors,cores,memory], rdd://host:port."),
        Setting("app.name", str, "rddlite", "text", "Name of the application, for people."),
        Setting("auth.keyFile", _auto_or(str), None, "path", "Where a driver that listens (rdd://host:port) puts the keys with which executors join; auto: a file in its scratch directory."),
        Setting("cluster.maxExecutors", _positive, 1000, "count", "Executors that may join a driver that listens."),
        Setting("default.parallelism", _auto_or(_positive), None, "count", "Partitions of shuffles and of parallelize when none are given; auto: parents' counts, and the number of slots."),
        Setting("driver.maxResultSize", parse_bytes, 1 << 30, "bytes", "Most bytes that the results of one job may have; 0 means no limit."),
        Setting("executor.memory", _auto_or(parse_bytes), None, "bytes", "Memory of all workers of an executor together; auto: 80 % of what this process may use."),
        Setting("executor.env", _auto_or(_variables), None, "JSON", 'Variables for the environment of executors: {"NAME": "value"}; the same as spark.executorEnv.NAME. With inline there are none.', is_secret=True),
        Setting("local.dir", _auto_or(str), None, "path", "Where scratch directories are made; auto: the system's temporary directory. Of several, with commas between, those that work share what is large."),
        Setting("task.maxFailures", _auto_or(_positive), None, "count", "Attempts that user code gets before its job fails; auto: 1 on local masters (F on local[n,F]), 4 elsewhere."),
        Setting("task.maxDeaths", _positive, 4, "count", "Attempts that a task gets when its worker process dies."),
        Setting("task.failFast", _boolean, True, "boolean", "Fail at once when the same exception comes from the same line and record twice."),
        Setting("task.killGrace", parse_seconds, 2.0, "seconds", "How long a cancelled task may take to stop before its process is killed."),
        Setting("stage.maxAttempts", _positive, 4, "count", "Attempts of a stage in a row without progress, after lost map outputs."),
        Setting("barrier.slotsTimeout", parse_seconds, 600.0, "seconds", "How long a barrier stage waits for executors when there are fewer slots than it has tasks, before its job fails."),
        Setting("barrier.sync.timeout", _some_seconds, 365 * 86400.0, "seconds", "How long tasks of a barrier stage wait for each other in barrier() and allGather()."),
        Setting("scheduler.launchAhead", _positive, 4, "count", "Tasks per slot that may wait at an executor, so that no slot waits for the driver; at most 1 where scheduler.mode is FAIR."),
        Setting("scheduler.mode", _one_of("FIFO", "FAIR"), "FIFO", "text", "FIFO: the oldest job first. FAIR: pools of jobs (the local property spark.scheduler.pool) share the executors."),
        Setting("scheduler.pools", _auto_or(str), None, "JSON", 'Pools of FAIR mode: {"etl": {"weight": 2, "minShare": 4}}; those that are not listed have weight 1 and minShare 0.'),
        Setting("locality.wait", parse_seconds, 0.5, "seconds", "How long a free slot waits for a task that prefers another host."),
        Setting("speculation", _boolean, True, "boolean", "Run a second attempt of a task that is much slower than others of its stage, on another executor."),
        Setting("speculation.quantile", _share, 0.75, "share", "How much of a stage must be done before any of its tasks is called slow."),
        Setting("speculation.multiplier", _at_least(1.0), 2.0, "number", "A task is slow when it has run this many times as long as others, at less than this part of their records a second."),
        Setting("speculation.minimum", parse_seconds, 1.0, "seconds", "No task is called slow before it has run this long."),
        Setting("exclude.enabled", _boolean, True, "boolean", "Give no new tasks to an executor on which many fail, for a while."),
        Setting("exclude.after", _at_least(1.0), 3.0, "number", "Failed tasks that exclude an executor."),
        Setting("exclude.halfLife", _some_seconds, 60.0, "seconds", "After this long a failure counts half; an excluded executor is used again when half of the limit is left."),
        Setting("executor.heartbeat", parse_seconds, 1.0, "seconds", "How often an executor reports to the driver."),
        Setting("executor.silence", parse_seconds, 15.0, "seconds", "Silence after which an executor counts as lost."),
        Setting("executor.drainLimit", parse_seconds, 60.0, "seconds", "How long an executor that leaves may take to hand its map outputs over."),
        Setting("executor.grace", parse_seconds, 30.0, "seconds", "How long jobs wait without any executor before they fail."),
        Setting("executor.restarts", _positive, 10, "count", "Executors that local masters start again in place of dead ones."),
        Setting("memory.fraction", _share, 0.6, "share", "How much of a worker's memory that is free when a task starts operators (combining, grouping, sorting, joining) may hold before they write to disk."),
        Setting("memory.cache", _auto_or(parse_bytes), None, "bytes", "What a worker may keep of cached partitions in memory; auto: half of its memory."),
        Setting("cache.wait", parse_seconds, 2.0, "seconds", "Least time for which a task waits for a copy of cached objects from the worker that keeps them, before it computes them again; more where that takes longer."),
        Setting("memory.operators", _auto_or(parse_bytes), None, "bytes", "What the operators of a worker may hold before they write to disk; auto: memory.fraction of what is free."),
        Setting("result.inlineLimit", parse_bytes, 128 << 10, "bytes", "Larger results travel through a file of the host."),
        Setting("shuffle.codec", str, "none", "text", "Compression of shuffle files: none, zlib, lz4, zstd."),
        Setting("shuffle.buffer", parse_bytes, 32 << 20, "bytes", "Records of a map task without a combiner are written out after about this much."),
        Setting("shuffle.keepRead", _boolean, False, "boolean", "Keep map outputs from which everything has been made that the program can still ask for; false: they are deleted, where one executor has all of them, and computed again should they be needed after a loss."),
        Setting("shuffle.hotKeys", _boolean, True, "boolean", "Tell the keys that most records of a shuffle have, in summaries of jobs and the event log; false where keys are nobody else's business."),
        Setting("shuffle.window", parse_bytes, 48 << 20, "bytes", "Most bytes that a task has on their way from other hosts, beside the batch in hand."),
        Setting("shuffle.fetchTimeout", parse_seconds, 10.0, "seconds", "How long a host from which blocks are fetched may be silent before it is tried again."),
        Setting("shuffle.fetchRetries", _positive, 3, "count", "How often a host is tried again that was silent or broke off; one that refuses connections three times in a row is given up."),
        Setting("files.maxPartitionBytes", parse_bytes, 32 << 20, "bytes", "Largest piece of a file that one task reads; 32 MiB is what Spark takes for local files and S3."),
        Setting("progress.show", _auto_or(_boolean), None, "boolean", "Show a progress bar for jobs longer than half a second; auto: when stderr is a terminal."),
        Setting("profile", _boolean, False, "boolean", "Profile tasks with cProfile, for show_profiles() and dump_profiles()."),
        Setting("profile.memory", _boolean, False, "boolean", "Profile by how much memory grows at each line of the functions given to RDDs; tasks are much slower."),
        Setting("profile.dump", _auto_or(_directory), None, "path", "Directory of this host for profiles at the end of the program; auto: they are printed."),
        Setting("output.rateLimit", parse_bytes, 1 << 20, "bytes", "Bytes a second of output that each executor forwards from tasks; more is counted and dropped."),
        Setting("storage.options", _auto_or(str), None, "JSON", "Options for fsspec file systems: an object keyed by protocol.", is_secret=True),
        Setting("eventlog.dir", _auto_or(_directory), None, "path", "Directory of this host for the event log, one file per application, for rddlite explain-log; auto: none is written."),
        Setting("submit.pyFiles", str, "", "paths", "Modules and packages that tasks import, by commas: .py files, archives, directories."),
        Setting("submit.files", str, "", "paths", "Files for tasks, by commas."),
        Setting("submit.archives", str, "", "paths", "Archives that are unpacked for tasks, by commas, as file#directory."),
        Setting("debug.checkInvariants", _boolean, False, "boolean", "Check the scheduler's invariants after every event (slow)."),
    )
}  # fmt: skip


class Settings(Mapping[str, Any]):
    """An immutable mapping from every setting's key to its parsed value.

    >>> Settings({"driver.maxResultSize": "1k"})["driver.maxResultSize"]
    1024

    Raises:
        ConfigError: for an unknown key (with the nearest known one) or a value that cannot be read.
    """

    __slots__ = ("_given", "_values")

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self._given = dict(given or {})
        self._values = {key: setting.default for key, setting in SETTINGS.items()}
        for key, value in self._given.items():
            self._values[key] = _parse(key, value)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def given(self) -> dict[str, Any]:
        """What was set explicitly, as it was given (text or typed values): enough to rebuild these settings."""
        return dict(self._given)

    def is_set(self, key: str) -> bool:
        """Whether the key was set explicitly."""
        return key in self._given


def _parse(key: str, value: Any) -> Any:
    setting = SETTINGS.get(key)
    if setting is None:
        near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown setting {key!r}{hint}")
    try:
        return setting.parse(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"setting {key!r} cannot be {value!r}: {error}") from error
