"""One job, from the thread that asks for it to its values: settle, cut, pickle, submit, wait.

Everything that can fail for reasons of the user's (missing files, functions that cannot be pickled) fails here, in the
user's thread, before any task runs.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.base.ids import CacheId, JobId, ShuffleId
from rddlite.base.jobsetting import NO_SETTING, JobSetting
from rddlite.driver.jobs import JobHandle
from rddlite.driver.loop import Submission
from rddlite.driver.payloads import Payload, stage_payload
from rddlite.driver.planning import planning
from rddlite.lineage.checkpoint import Checkpointed
from rddlite.lineage.consumers import Consumer, may_run_twice
from rddlite.lineage.graph import Node
from rddlite.plan.cut import CutJob, cut
from rddlite.plan.model import DEFAULT_POOL, MapStage, ResultStage, StageKey
from rddlite.plan.passing import may_pass, passing
from rddlite.schedule.events import ShuffleForgotten

Marks = tuple[tuple[tuple[CacheId | None, str | None], ...], tuple[Any, ...]]
"""What of a stage's lineage was cached, or cut, when its payload was made; and the files that its tasks may use."""


class Submitter:
    """Builds submissions. Payloads of map stages are kept as long as their shuffle can be reached, and until something
    that they read is cached, or not any more, or its lineage is cut. With `keeps_all` no shuffle is told to be passing.
    """

    def __init__(self, post: Callable[[Any], None], *, keeps_all: bool = False) -> None:
        self._post = post
        self._keeps_all = keeps_all
        self._job_ids = itertools.count()
        self._map_payloads: dict[ShuffleId, tuple[Marks, Payload]] = {}
        self._lock = threading.Lock()

    def submission(
        self,
        node: Node,
        consumer: Consumer,
        partitions: Sequence[int],
        site: CallSite,
        changed: threading.Condition,
        group: str | None,
        description: str | None,
        pool: str | None = None,
        setting: JobSetting = NO_SETTING,
        held: Callable[[], Iterable[Node]] | None = None,
    ) -> Submission:
        """The job of computing `partitions` of a settled node, ready to be posted; `held` are the nodes that the
        program can name (None: nobody knows).

        Raises:
            NotPicklable: if a function or what it captured cannot travel.
        """
        job_id = JobId(next(self._job_ids))
        can_copy = may_run_twice(consumer)
        pool = pool or DEFAULT_POOL
        with planning:
            job = cut(job_id, node, partitions, site, group, description or "", pool=pool, can_copy=can_copy)
            payloads = self._payloads(job, consumer, setting)
        handle = JobHandle(job_id, len(partitions), consumer, changed)
        plan = job.plan
        if held is not None and not self._keeps_all and may_pass(job):
            plan = replace(plan, passing=passing(job, held()))
        return Submission(plan, payloads, handle, tuple(body.shuffle for body in job.bodies.values()))

    def _payloads(self, job: CutJob, consumer: Consumer, setting: JobSetting) -> dict[StageKey, Payload]:
        payloads: dict[StageKey, Payload] = {}
        for key, body in job.bodies.items():
            if isinstance(key, ResultStage):
                payloads[key] = stage_payload(body, consumer, setting)
                continue
            cached = tuple(mark for node in body.nodes if (mark := _mark(node)) is not None)
            marks = (cached, setting.files)
            kept = self._map_payloads.get(key.shuffle)
            if kept is None or kept[0] != marks:
                kept = (marks, stage_payload(body, None, setting))
                self._remember(key, kept, body.shuffle)
            payloads[key] = kept[1]
        return payloads

    def _remember(self, key: MapStage, payload: tuple[Marks, Payload], dep: Any) -> None:
        with self._lock:
            is_new = key.shuffle not in self._map_payloads
            self._map_payloads[key.shuffle] = payload
            if is_new:
                weakref.finalize(dep, self._unreachable, key.shuffle).atexit = False

    def _unreachable(self, shuffle: ShuffleId) -> None:
        # Called by the garbage collector in any thread: only what needs no lock.
        self._map_payloads.pop(shuffle, None)
        self._post(ShuffleForgotten(shuffle))


def _mark(node: Node) -> tuple[CacheId | None, str | None] | None:
    directory = node.directory if isinstance(node, Checkpointed) else None
    if node.cached is None and directory is None:
        return None
    return (node.cached.id if node.cached is not None else None, directory)
