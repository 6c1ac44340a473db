"""The life of a driver as the context's methods need it: start, check, settle, run, stop.

At most one session is active in a process; a second is refused with the place where the first was made. A session
ends by `stop`, at the latest when the interpreter exits. In a process that was forked from its own it is disabled: the
driver's thread and sockets are the parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from rddlite.api.conf import Conf
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.clock import wall_time
from rddlite.base.ids import JobId
from rddlite.base.jobsetting import JobSetting
from rddlite.deploy.choose import start_driver
from rddlite.driver.service import Driver
from rddlite.errors import ConfigError, ContextRunning, ContextStopped, NestedRDD
from rddlite.fs.paths import expand
from rddlite.fs.splits import FileInfo, plan_groups, plan_splits
from rddlite.lineage.caching import Cached
from rddlite.lineage.consumers import Consumer
from rddlite.lineage.graph import Node
from rddlite.lineage.sources import FileObjects, FileText
from rddlite.lineage.walk import to_be_cut
from rddlite.shared.current import current_task
from rddlite.shared.files import Shipped
from rddlite.shared.updates import add_updates

if TYPE_CHECKING:
    from rddlite.api.handle import Handle

GROUP = "spark.jobGroup.id"
DESCRIPTION = "spark.job.description"
POOL = "spark.scheduler.pool"
TAGS = "spark.job.tags"


def split_tags(properties: Mapping[str, str]) -> list[str]:
    """The tags among the properties of a thread."""
    return [tag for tag in properties.get(TAGS, "").split(",") if tag]


class _LocalProperties(threading.local):
    """What `setLocalProperty` set, in each thread by itself."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def copy(self) -> dict[str, str]:
        """Those of this thread, for another one to take."""
        return dict(self.values)

    def take(self, values: dict[str, str]) -> None:
        """Give this thread what another one had."""
        self.values = dict(values)


class Session:
    """A driver, its settings, and the properties of the threads that use it. May be used from any thread."""

    _active: ClassVar[Session | None] = None
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, conf: Conf) -> None:
        self._site = call_site("Context")
        self._pid = os.getpid()
        self._driver: Driver | None = None
        self._is_stopped = False
        if current_task.get() is not None:
            raise NestedRDD("a Context cannot be made inside a task: only the driver starts jobs")
        self._conf = conf
        self._settings = conf.settings()
        self._storage_options_text: str | None = self._settings["storage.options"]
        self._storage_options = _parsed_options(self._storage_options_text)
        self._is_inline = self._settings["master"].strip() == "inline"
        self._properties = _LocalProperties()
        self._shipped: tuple[Shipped, ...] = ()
        self._running: dict[JobId, frozenset[str]] = {}
        self._rdd_ids = itertools.count()
        self._outputs = itertools.count()
        self._checkpoint_dir: str | None = None
        self._checkpoints: dict[Node, int | None] = {}
        self._checkpoint_lock = threading.Lock()
        self._marks: weakref.WeakKeyDictionary[Cached, tuple[int, weakref.ref[Node]]] = weakref.WeakKeyDictionary()
        self._handles: weakref.WeakValueDictionary[int, Handle[Any]] = weakref.WeakValueDictionary()
        self._started_ms = int(wall_time() * 1000)
        with Session._lock:  # whoever asks for the active context meanwhile waits until it is ready
            self._become_active()
            try:
                self._driver = start_driver(self._settings, self._list_text)
                self._application_id = self._driver.application_id
            except BaseException:
                self._retire()
                raise

    def _become_active(self) -> None:
        other = Session._active
        if other is not None:
            raise ContextRunning(
                f"a context is already running in this process: {other!r}, created at "
                f"{other._site.file}:{other._site.line}; stop() it first, or use Context.getOrCreate()"
            )
        Session._active = self

    def _retire(self) -> None:
        with Session._lock:
            if Session._active is self:
                Session._active = None

    def stop(self) -> None:
        """End all jobs, worker processes and files of this context. Safe to call twice: what a call left undone that
        was interrupted, the next one does.

        >>> sc.stop()  # doctest: +SKIP
        """
        self._is_stopped = True
        self._retire()
        if self._driver is not None and os.getpid() == self._pid:
            self._driver.stop()

    def _list_text(self, node: FileText) -> Sequence[Any]:
        files = expand(node.url, self._storage_options, inline=self._is_inline)
        if isinstance(node, FileObjects):
            return _shares(files, node, self._settings["files.maxPartitionBytes"])
        return plan_splits(files, node.min_partitions, self._settings["files.maxPartitionBytes"])

    def _live_driver(self) -> Driver:
        """The driver, for use by the thread that asks.

        Raises:
            NestedRDD: inside a task.
            ContextStopped: after `stop`, and in a forked process.
        """
        if current_task.get() is not None:
            raise NestedRDD(
                f"the context created at {self._site.file}:{self._site.line} was used inside a task: RDDs and jobs "
                "exist on the driver only. Do it before or after the job, and give the task plain values"
            )
        if os.getpid() != self._pid:
            raise ContextStopped(
                "this process was forked from the one that owns the context, and cannot use it: create one of its own"
            )
        if self._driver is None or self._is_stopped:
            where = f"{self._site.file}:{self._site.line}"
            raise ContextStopped(f"the context created at {where} was stopped: create a new one")
        return self._driver

    def _check_usable(self) -> None:
        self._live_driver()

    def _settle(self, node: Node) -> int:
        """The number of partitions; lists files the first time."""
        if node.n_partitions is None:
            self._live_driver().settle(node)
        assert node.n_partitions is not None
        return node.n_partitions

    def _run_job(
        self, node: Node, consumer: Consumer, partitions: Sequence[int] | None, site: CallSite, rdd: int
    ) -> list[Any]:
        """The consumer's value of each partition (None: of all) of RDD `rdd`, in the group and pool of this thread."""
        driver = self._live_driver()
        with self._announced(rdd) as about:
            values = driver.run_job(node, consumer, partitions, site, add_updates, **about)
        if self._checkpoints:
            for each in to_be_cut(node, self._checkpoints):
                self._cut(each)
        return values

    def _run_job_for(self, seconds: float, node: Node, consumer: Consumer, site: CallSite, rdd: int) -> list[list[Any]]:
        """`[value]` of each partition that is done in this time, `[]` for the others."""
        with self._announced(rdd) as about:
            return self._live_driver().run_for(seconds, node, consumer, site, add_updates, **about)

    @contextlib.contextmanager
    def _announced(self, rdd: int) -> Iterator[dict[str, Any]]:
        """What the driver is to know of a job of this thread; while it runs, it is found by its tags."""
        properties = self._properties.copy()
        tags = frozenset(split_tags(properties))
        jobs: list[JobId] = []

        def started(job: JobId) -> None:
            jobs.append(job)
            self._running[job] = tags

        try:
            yield {
                "group": properties.get(GROUP),
                "description": properties.get(DESCRIPTION),
                "pool": properties.get(POOL),
                "setting": JobSetting(properties, self._shipped, self._profilers_of(rdd)),
                "started": started,
                "held": self._held,
            }
        finally:
            for job in jobs:
                self._running.pop(job, None)

    def _held(self) -> list[Node]:
        """What the program can name, and what is still to be checkpointed: that is read again to be written. Parts of
        unions that are not built yet have handles themselves.
        """
        handles = [handle for ref in self._handles.valuerefs() if (handle := ref()) is not None]
        return [*self._checkpoints, *(handle._node for handle in handles if isinstance(handle._lineage, Node))]

    def _profilers_of(self, rdd: int) -> bytes:
        """What tasks of an RDD's jobs are profiled by, pickled; nothing if they are not."""
        raise NotImplementedError

    def _cut(self, node: Node) -> None:
        """Write the checkpoint of this node, and let it stand in its place."""
        raise NotImplementedError

    def _set_parallelism(self) -> int | None:
        """`default.parallelism`, if it was set."""
        given: int | None = self._settings["default.parallelism"]
        return given

    def _next_rdd_id(self) -> int:
        return next(self._rdd_ids)

    def _output_token(self) -> str:
        """A name for one output job, that no other job of this host has."""
        return f"{self._started_ms}-{self._pid}-{next(self._outputs)}"

    def __reduce__(self) -> NoReturn:
        raise NestedRDD(
            f"the context created at {self._site.file}:{self._site.line} was captured by a function that runs inside "
            "tasks, but it exists on the driver only: give the function plain values instead"
        )


def _shares(files: list[FileInfo], node: FileObjects, most_bytes: int) -> Sequence[Any]:
    """What each partition of files that are not lines has."""
    if node.form == "frames":
        return [file.path for file in files]
    if node.form == "records":
        return plan_splits([(file.path, file.size, None) for file in files], node.min_partitions, most_bytes)
    return plan_groups(files, node.min_partitions)


def _parsed_options(options: str | None) -> Mapping[str, Any]:
    try:
        parsed = json.loads(options or "{}")
    except ValueError as error:
        raise ConfigError(f"setting 'storage.options' cannot be {options!r}: {error}") from error
    if not isinstance(parsed, dict):
        raise ConfigError(f"setting 'storage.options' must be a JSON object keyed by protocol, not {options!r}")
    return parsed


def _stop_active() -> None:
    active = Session._active
    if active is not None:
        active.stop()


def _forget_after_fork() -> None:
    # Another thread of the parent may have held the lock when it forked.
    Session._lock = threading.RLock()
    Session._active = None


atexit.register(_stop_active)
os.register_at_fork(after_in_child=_forget_after_fork)
