"""The driver as the API sees it: start, run jobs, look, cancel, stop."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from rddlite.base.callsite import CallSite
from rddlite.base.clock import Clock, SystemClock, wall_time
from rddlite.base.config import Settings
from rddlite.base.ids import BroadcastId, CacheId, JobId, ShuffleId
from rddlite.base.jobsetting import NO_SETTING, JobSetting
from rddlite.driver.broadcasts import Broadcasts
from rddlite.driver.cachetable import CacheInfo, CacheTable
from rddlite.driver.collector import Collector, Fetch
from rddlite.driver.console import Console
from rddlite.driver.jobs import JobHandle
from rddlite.driver.kept import read_update
from rddlite.driver.loop import Call, DriverLoop
from rddlite.driver.provider import ExecutorProvider, Transport
from rddlite.driver.readiness import Readiness
from rddlite.driver.reception import Company, Home
from rddlite.driver.roster import ExecutorInfo, Roster
from rddlite.driver.stages import StageBlobs
from rddlite.driver.submit import Submitter
from rddlite.errors import ContextStopped, ProviderError
from rddlite.lineage.consumers import Consumer
from rddlite.lineage.graph import Node
from rddlite.net.inbox import Inbox
from rddlite.observe.eventlog import EventLog
from rddlite.observe.progress import Progress
from rddlite.observe.status import JobSummary, StatusStore
from rddlite.plan.resolve import ListText as ListText
from rddlite.plan.resolve import settle
from rddlite.schedule.core import Scheduler
from rddlite.schedule.events import GroupCancelled, JobCancelled, ShuffleReleased
from rddlite.schedule.options import SchedulerOptions

_START_LIMIT = 60.0
_STOP_LIMIT = 30.0
_INTERRUPTED_STOP_LIMIT = 3.0
_BEGIN_LIMIT = 1.0
_CANCEL_LIMIT = 1.0
_QUIET = 0.5
_REDRAW = 0.2
_LEAST_PARTITIONS = 2
_LOOK_AGAIN = 1.0
_NOWHERE = Home()
A = TypeVar("A")
Work = Callable[[JobHandle], None]
AddUpdates = Callable[[Iterable[bytes]], None]
"""Adds up what tasks packed for accumulators; runs the user's code."""


def _tell_nobody(_: JobId) -> None:
    pass


class Driver:
    """Owns the loop thread. All methods may be called from any thread of the process that made it.

    `max_failures` is how many attempts user code gets where the settings leave it open. `slots` is how many tasks can
    run at once, or None where executors come and go as they like. `start` waits for `n_executors`. `home` is where the
    driver's own blocks are, `make_fetch` makes what fetches those of executors that are not on this host.
    `work`, if given, is called by a thread that waits for a job, and runs tasks until the job is done (inline).
    """

    def __init__(
        self,
        settings: Settings,
        max_failures: int,
        transport: Transport,
        inbox: Inbox,
        provider: ExecutorProvider,
        slots: int | None,
        list_text: ListText,
        *,
        n_executors: int = 1,
        broadcasts: Broadcasts,
        home: Home = _NOWHERE,
        make_fetch: Callable[[], Fetch] | None = None,
        changed: threading.Condition | None = None,
        work: Work | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.join_command = provider.join_command
        self._slots = slots
        self._list_text = list_text
        self._work = work
        self._clock = clock or SystemClock()
        self._changed = changed
        self._status = StatusStore()
        self._progress = Progress(settings["progress.show"])
        self._console = Console(self._progress.write_line)
        self._provider = provider
        self._inbox = inbox
        self._pid = os.getpid()
        self._stopped = threading.Event()
        self._stopping = threading.RLock()
        self._is_started = False
        self._readiness = Readiness(n_executors)
        options = SchedulerOptions.from_settings(settings, max_failures, slots)
        scheduler = Scheduler(options)
        self.application_id = _application_id(settings["master"])
        self._log = self._event_log(options)
        self._roster = Roster()
        self._caches = CacheTable()
        company = Company(
            transport, provider, self._roster, StageBlobs(scheduler.outputs_of, self._roster.place, self._caches),
            self._console, self._readiness, self._collector(home, make_fetch, inbox), self._caches,
        )  # fmt: skip
        self._loop = DriverLoop(settings, scheduler, company, home, inbox, self._status, self._clock, self._log)
        self._submitter = Submitter(self._loop.post, keeps_all=settings["shuffle.keepRead"])
        self.broadcasts = broadcasts
        broadcasts.connect(self._roster.place, self._forget_broadcast, self.check_usable)
        self._thread = threading.Thread(target=self._loop.run, name="rddlite-driver", daemon=True)

    @staticmethod
    def _collector(home: Home, make_fetch: Callable[[], Fetch] | None, inbox: Inbox) -> Collector | None:
        return None if make_fetch is None else Collector(os.path.join(home.scratch, "results"), make_fetch, inbox.post)

    def _event_log(self, options: SchedulerOptions) -> EventLog | None:
        directory = self.settings["eventlog.dir"]
        if directory is None:
            return None
        return EventLog(directory, self.application_id, self.settings, options, self._clock)

    def start(self) -> None:
        """Start the loop and the first executors, and wait until one is ready. If that fails, nothing stays.

        Raises:
            ProviderError: if none can be started.
        """
        try:
            if self._log is not None:
                self._log.start()
            self._provider.start(self._loop.post)
            self._is_started = True
            self._thread.start()
            is_ready = self._readiness.wait(_START_LIMIT)
            if not is_ready or self._readiness.failure:
                why = self._readiness.failure or self._who_is_missing()
                raise ProviderError(f"executors could not be started: {why}")
        except BaseException:  # Ctrl-C among them
            self.stop()
            raise

    def _who_is_missing(self) -> str:
        n, n_wanted = self._readiness.n_registered, self._readiness.n_wanted
        return f"{n} of {n_wanted} registered, and no other within {_START_LIMIT:.0f} s: see what they wrote to stderr"

    @property
    def default_parallelism(self) -> int:
        """Partitions where the program names none: the setting, else the number of slots."""
        given: int | None = self.settings["default.parallelism"]
        return given or self._slots or max(_LEAST_PARTITIONS, self._roster.n_slots)

    def settle(self, node: Node) -> None:
        """Make the partition count of the node known; lists files where needed, and may raise what that raises."""
        self.check_usable()
        settle(node, self._list_text)

    def run_job(
        self,
        node: Node,
        consumer: Consumer,
        partitions: Sequence[int] | None,
        site: CallSite,
        add_updates: AddUpdates,
        *,
        group: str | None = None,
        description: str | None = None,
        pool: str | None = None,
        setting: JobSetting = NO_SETTING,
        started: Callable[[JobId], None] = _tell_nobody,
        held: Callable[[], Iterable[Node]] | None = None,
    ) -> list[Any]:
        """The consumer's value for each of `partitions` (None: all), in that order. What its tasks added to
        accumulators is added up in this thread before this returns or raises. `started` is told the job's number before
        the job runs; tasks are told of `setting`. `held` are the nodes that the program can name.

        Raises:
            JobError: if the job fails or is cancelled.
            UsageError: for what can be refused before it runs.
        """
        self.settle(node)
        wanted = range(node.n_partitions or 0) if partitions is None else partitions
        changed = self._changed or threading.Condition()
        submission = self._submitter.submission(
            node, consumer, wanted, site, changed, group, description, pool, setting, held
        )
        handle = submission.handle
        started(handle.job_id)
        try:
            self._loop.post(submission)
            self._wait(handle)
        except BaseException:
            # Ctrl-C, or whatever else ends the waiting thread, ends its job and no other.
            self._loop.post(JobCancelled(handle.job_id, "interrupted by the user"))
            with contextlib.suppress(Exception):
                self._progress.erase()
                handle.is_awaited = handle.wait(_CANCEL_LIMIT)  # whoever asks for it next is to find it cancelled
                add_updates(map(read_update, handle.updates()))
            raise
        self._console.flush(1.0)
        try:
            return handle.values()
        finally:
            add_updates(map(read_update, handle.updates()))

    def run_for(
        self,
        seconds: float,
        node: Node,
        consumer: Consumer,
        site: CallSite,
        add_updates: AddUpdates,
        *,
        group: str | None = None,
        description: str | None = None,
        pool: str | None = None,
        setting: JobSetting = NO_SETTING,
        started: Callable[[JobId], None] = _tell_nobody,
        held: Callable[[], Iterable[Node]] | None = None,
    ) -> list[list[Any]]:
        """As `run_job` over all partitions, for so long at most: a list of the value of each partition, or an empty one
        for those that were not done by then, which are cancelled. (Inline, where the waiting thread runs the tasks, all
        are done.) Of a job that was cut short, accumulators get nothing.
        """
        self.settle(node)
        changed = self._changed or threading.Condition()
        wanted = range(node.n_partitions or 0)
        submission = self._submitter.submission(
            node, consumer, wanted, site, changed, group, description, pool, setting, held
        )
        handle = submission.handle
        started(handle.job_id)
        try:
            self._loop.post(submission)
            if self._loop.has_ended.is_set():
                handle.finish(ContextStopped("the context was stopped: create a new one"))
            if self._work is not None:
                self._work(handle)
            is_done = handle.wait(seconds)
            values = handle.so_far()  # before it is cancelled, which ends it with an error
            if not is_done:
                self._loop.post(JobCancelled(handle.job_id, "its time was over"))
            return values
        except BaseException:
            self._loop.post(JobCancelled(handle.job_id, "interrupted by the user"))
            raise
        finally:
            add_updates(map(read_update, handle.updates()))

    def _wait(self, handle: JobHandle) -> None:
        if self._loop.has_ended.is_set():
            # The loop looks at what was posted once more after it ended; what came later is for nobody.
            handle.finish(ContextStopped("the context was stopped: create a new one"))
        if self._work is not None:
            self._work(handle)
        if not self._progress.is_shown:
            handle.wait(None)
            return
        limit = _QUIET
        while not handle.wait(limit):
            limit = _REDRAW
            now = self._clock.now()
            self._progress.draw(now, self._status.active(now))
        self._progress.job_ended(self._status.job(handle.job_id))

    def cancel_group(self, group: str | None, why: str) -> None:
        """Cancel the running jobs of a group; None means every job."""
        self.check_usable()
        self._loop.post(GroupCancelled(group, why))

    def cancel_job(self, job: JobId, why: str) -> None:
        """Cancel one job, if it is still running."""
        self.check_usable()
        self._loop.post(JobCancelled(job, why))

    def executors(self) -> list[ExecutorInfo]:
        """The executors that are there now."""
        self.check_usable()
        return self._asked(self._loop.executors, [])

    def cache_info(self, caches: Iterable[CacheId]) -> list[CacheInfo]:
        """What is kept of each of these."""
        wanted = list(caches)
        return self._asked(lambda: [self._caches.info(each) for each in wanted], [])

    def partitions_on_disk(self, cache: CacheId) -> set[int]:
        """The partitions of a cached RDD that some executor has in a file."""
        return self._asked(lambda: self._caches.on_disk(cache), set())

    def forget_cache(self, cache: CacheId, *, blocking: bool = False) -> None:
        """Have executors drop what they keep of this. May be called by the garbage collector, unless it is `blocking`:
        then it returns when nothing is kept any more.
        """
        if self._stopped.is_set() or os.getpid() != self._pid:
            return
        done = threading.Event()

        def tell() -> None:
            self._caches.unwanted(cache)
            self._loop.outgoing.forget_cache(cache)
            self._caches.when_empty(cache, done.set)

        self._loop.post(Call(tell))
        if blocking:
            while not done.wait(_LOOK_AGAIN) and not self._loop.has_ended.is_set():
                pass

    def release_shuffles(self, shuffles: Iterable[ShuffleId]) -> None:
        """Have executors delete map outputs; those that an unfinished job may read stay."""
        for shuffle in shuffles:
            self._loop.post(ShuffleReleased(shuffle))
        self._asked(lambda: None, None)

    def _asked(self, question: Callable[[], A], default: A) -> A:
        """What the loop's thread answers."""
        answer: list[A] = []
        done = threading.Event()

        def look() -> None:
            answer.append(question())
            done.set()

        self._loop.post(Call(look))
        done.wait(_STOP_LIMIT)
        return answer[0] if answer else default

    def jobs(self) -> list[JobSummary]:
        """Summaries of the last jobs, oldest first."""
        return self._status.jobs(self._clock.now())

    def _forget_broadcast(self, broadcast: BroadcastId, told: Callable[[], None]) -> None:
        """Have executors drop it. May be called by the garbage collector: takes no lock."""

        def tell() -> None:
            self._loop.outgoing.forget_broadcast(broadcast)
            told()

        if self._stopped.is_set():
            told()  # there is nobody left, nor any file
        else:
            self._loop.post(Call(tell))

    def check_usable(self) -> None:
        """Refuse if this driver was stopped, or lives in the parent of this forked process.

        Raises:
            ContextStopped: if so.
        """
        if os.getpid() != self._pid:
            raise ContextStopped("this process was forked from the one that owns the context: create a new one here")
        if self._stopped.is_set():
            raise ContextStopped("the context was stopped: create a new one")

    def stop(self) -> None:
        """End all jobs, executors and threads of this driver. Safe to call twice: what an interrupted call left undone,
        the next one does. The first Ctrl-C leaves it a moment for the rest. Does nothing in a forked child.
        """
        if os.getpid() != self._pid:
            return
        with self._stopping:
            try:
                self._end(_STOP_LIMIT)
            except BaseException:  # Ctrl-C, or what the handler of another signal raised
                self._end(_INTERRUPTED_STOP_LIMIT)
                raise

    def _end(self, limit: float) -> None:
        """Each step may have been done before."""
        self._stopped.set()
        self._loop.post(Call(self._loop.stop))
        # Ctrl-C within the start of a thread leaves open whether there will be one: it tells itself.
        if self._is_started and self._loop.has_begun.wait(_BEGIN_LIMIT):
            # Not by `join` alone: Ctrl-C in there has Python take the thread for ended (bpo-45274).
            if self._loop.has_closed.wait(limit):
                self._thread.join(limit)
        else:
            self._provider.close()
            self._inbox.close()
        self.broadcasts.close()
        self._console.close()
        if self._log is not None:
            self._log.close()


def _application_id(master: str) -> str:
    kind = "local" if master.strip().startswith(("local", "inline")) else "app"
    return f"{kind}-{int(wall_time() * 1000)}"
