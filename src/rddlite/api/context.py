"""Context: where a program starts. Makes RDDs, runs jobs, and owns the processes that compute them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from rddlite.api.arguments import integer, user_function
from rddlite.api.checkpointing import CheckpointControl
from rddlite.api.conf import Conf, set_from_outside
from rddlite.api.files import FileSources
from rddlite.api.jobcontrol import JobControl
from rddlite.api.origins import defaults
from rddlite.api.profiles import Profiles
from rddlite.api.rdd import RDD
from rddlite.api.session import Session
from rddlite.api.shipping import Shipping
from rddlite.api.surroundings import Surroundings
from rddlite.api.tracebacks import short_tracebacks
from rddlite.api.unsupported import HadoopSources
from rddlite.base.callsite import call_site
from rddlite.driver.roster import ExecutorInfo
from rddlite.errors import ConfigError
from rddlite.lineage.consumers import Collect
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions
from rddlite.observe.status import JobSummary
from rddlite.shared.profiler import Profiler
from rddlite.version import __version__

T = TypeVar("T")
U = TypeVar("U")


@short_tracebacks
class Context(FileSources, Shipping, JobControl, CheckpointControl, Profiles, Surroundings, HadoopSources):
    """The entry to rddlite. One context can be active in a process; as a context manager it stops at the end.

    Args:
        master: where tasks run. `inline`: in the thread that waits for the job, so that breakpoints work; `local`: in
            one worker process; `local[n]`: in n; `local[*]` (the default): in one for each core; `local[n,F]`: with F
            attempts for each task.
        appName: the name of the application, for people.
        conf: settings, as a `Conf` or a dict. `master` and `appName` override it.
        sparkHome: kept in the settings, as by `Conf.setSparkHome`.
        environment: variables for the environment of executors, as by `Conf.setExecutorEnv`.
        pyFiles: modules and packages for tasks and this program, as by `addPyFile`.
        batchSize, serializer: accepted for PySpark's sake; how records are pickled is chosen by their kind.
        profiler_cls, memory_profiler_cls: what profiles tasks where the settings `profile` and `profile.memory` ask for
            it; `BasicProfiler` and `MemoryProfiler` if not given.

    Raises:
        ContextRunning: if another context is active; the text says where it was made.
        InvalidMaster, ConfigError: for settings that cannot be read.
        ProviderError: if no worker process can be started.
        NestedRDD: inside a task.

    >>> with Context("local[2]", "demo") as sc:  # doctest: +SKIP
    ...     sc.range(1000).map(lambda x: x * x).sum()
    332833500
    """

    def __init__(
        self,
        master: str | None = None,
        appName: str | None = None,
        conf: Conf | Mapping[str, Any] | None = None,
        *,
        sparkHome: str | None = None,
        pyFiles: Iterable[str] | None = None,
        environment: Mapping[str, str] | None = None,
        batchSize: int = 0,
        serializer: Any = None,
        profiler_cls: type[Profiler] | None = None,
        memory_profiler_cls: type[Profiler] | None = None,
    ) -> None:
        chosen = conf.copy() if isinstance(conf, Conf) else Conf({} if conf is None else conf)
        for key, value in (("master", master), ("app.name", appName)):
            if value is not None:
                chosen.set(key, value)
        if sparkHome is not None:
            chosen.setSparkHome(sparkHome)
        chosen.setExecutorEnv(pairs=(environment or {}).items())
        for key, value in self._system_properties.items():
            if key.startswith("spark."):
                chosen.setIfMissing(key, value)
        for key, origin in defaults().items():
            try:
                if not chosen.contains(key):
                    set_from_outside(chosen, key, origin.value)
            except ConfigError as error:
                raise ConfigError(f"{origin.source}: {error}") from None
        super().__init__(chosen)
        self._profile_tasks(profiler_cls, memory_profiler_cls)
        try:
            self._give_files(pyFiles or ())
        except BaseException:
            self.stop()
            raise

    def _give_files(self, modules: Iterable[str]) -> None:
        """Give tasks the files that settings name. Directories of modules are on the path that executors inherit."""
        given: list[tuple[Iterable[str], Callable[[str], None]]] = [
            (modules, self.addPyFile),
            ([path for path in self._named("submit.pyFiles") if not os.path.isdir(path)], self.addPyFile),
            (self._named("submit.files"), self.addFile),
            (self._named("submit.archives"), self.addArchive),
        ]
        for paths, give in given:
            for path in paths:
                give(path)

    def _named(self, key: str) -> list[str]:
        return [path.strip() for path in self._settings[key].split(",") if path.strip()]

    @classmethod
    def getOrCreate(cls, conf: Conf | Mapping[str, Any] | None = None) -> Context:
        """The active context, whatever its settings; if there is none, a new one with these settings.

        >>> Context.getOrCreate() is sc
        True
        """
        with Session._lock:
            active = Session._active
            return active if isinstance(active, Context) else cls(conf=conf)

    def __enter__(self) -> Context:
        self._check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # What it is

    @property
    def version(self) -> str:
        """The version of rddlite.

        >>> sc.version.count(".")
        2
        """
        return __version__

    @property
    def master(self) -> str:
        """Where tasks run.

        >>> sc.master
        'inline'
        """
        return str(self._settings["master"])

    @property
    def appName(self) -> str:
        """The name of the application.

        >>> sc.appName
        'docs'
        """
        return str(self._settings["app.name"])

    @property
    def applicationId(self) -> str:
        """A name for this run of the application.

        >>> sc.applicationId.startswith("local-")
        True
        """
        return self._application_id

    @property
    def startTime(self) -> int:
        """When this context was made, in milliseconds since the epoch.

        >>> sc.startTime > 1_600_000_000_000
        True
        """
        return self._started_ms

    def getConf(self) -> Conf:
        """A copy of the settings that were given.

        >>> sc.getConf().get("master")
        'inline'
        """
        return self._conf.copy()

    # What it does

    def runJob(
        self,
        rdd: RDD[T],
        partitionFunc: Callable[[Iterator[T]], Iterable[U]],
        partitions: Sequence[int] | None = None,
        allowLocal: bool = False,
    ) -> list[U]:
        """All items of the iterable `partitionFunc(iterator)` over some partitions, in the order of `partitions`.

        Args:
            rdd: the records.
            partitionFunc: function of an iterator over a partition that returns an iterable.
            partitions: which partitions; None for all.
            allowLocal: accepted for PySpark's sake; means nothing.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind, or a partition that does not exist.
            JobFailed: if the job fails.

        >>> sc.runJob(sc.range(6, numSlices=3), lambda part: [sum(part)], [2, 0])
        [9, 1]
        """
        site = call_site("runJob")
        own = self._own(rdd, site)
        node = Pipelined(site, own._node, MapPartitions(user_function(partitionFunc, site, "partitionFunc")))
        made = self._made(node)
        n = made._n_partitions()
        wanted = range(n) if partitions is None else [integer(i, site, "partitions") for i in partitions]
        for index in wanted:
            if not 0 <= index < n:
                raise ValueError(f"runJob: there is no partition {index}: the RDD has {n}")
        parts = made._run(Collect(), site, wanted) if wanted else []
        return [item for part in parts for item in part]

    # What it knows

    @property
    def executors(self) -> list[ExecutorInfo]:
        """The executors that are there now: id, host, pid, slots, pids of their workers, state, memory, running tasks.

        The state is `alive`; or `suspect` (out of reach), `draining` (it leaves), `excluded` (tasks failed there): such
        ones get no new tasks.

        >>> len(sc.executors)
        1
        """
        return self._live_driver().executors()

    @property
    def join_command(self) -> str | None:
        """What to run on a host that is to join, where the master is `rdd://host:port`; None with all others.

        >>> sc.join_command is None
        True
        """
        return self._live_driver().join_command

    def jobs(self) -> list[JobSummary]:
        """Summaries of the last jobs, oldest first: read, shuffled, slowest against median partition; attempts, and how
        many of them failed, were lost, or were copies of slow ones.

        >>> _ = sc.range(3).count(); len(sc.jobs()) > 0
        True
        """
        return self._live_driver().jobs()

    def __repr__(self) -> str:
        return f"<Context master={self.master} appName={self.appName}>"
