"""When checkpoints are written, and where: after the job that needed the RDD, in the thread that waited for it."""

from __future__ import annotations

import os
import uuid
from typing import Any

from rddlite.api.arguments import text
from rddlite.api.checkpoints import as_url
from rddlite.api.handle import Handle
from rddlite.api.storageinfo import StorageInfo
from rddlite.base.callsite import CallSite, call_site
from rddlite.driver.planning import cut_off
from rddlite.errors import CheckpointLost, PathUnreadable
from rddlite.fs import commit
from rddlite.fs.local import is_local, local_path
from rddlite.lineage.caching import Cached
from rddlite.lineage.checkpoint import Checkpointed, LocallyCheckpointed
from rddlite.lineage.consumers import Consumer, Count, SaveFrames
from rddlite.lineage.graph import Node
from rddlite.shared.updates import add_updates
from rddlite.storage.level import StorageLevel

_TRIES = 3


class CheckpointControl(StorageInfo):
    """The mixin of `Context` for where checkpoints go, and when."""

    def setCheckpointDir(self, dirName: str) -> None:
        """Where checkpoints go: a directory of its own below this directory or URL, which all executors must reach.

        Raises:
            PathUnreadable: if it is a local directory that cannot be made.

        >>> import tempfile; sc.setCheckpointDir(tempfile.mkdtemp()); sc.getCheckpointDir()
        'file:/...'
        """
        self._check_usable()
        name = os.fspath(text(dirName, call_site("setCheckpointDir"), "dirName"))
        if is_local(name) and not name.startswith("file:"):
            name = os.path.abspath(name)
        if is_local(name):
            try:
                os.makedirs(local_path(name), exist_ok=True)
            except OSError as error:
                raise PathUnreadable(f"checkpoints cannot go to {name}: {error}; name another directory") from error
        self._checkpoint_dir = f"{name.rstrip('/')}/{uuid.uuid4()}"

    def getCheckpointDir(self) -> str | None:
        """The directory or URL below which checkpoints go; None if `setCheckpointDir` was not called.

        >>> sc.getCheckpointDir() is None or isinstance(sc.getCheckpointDir(), str)
        True
        """
        return None if self._checkpoint_dir is None else as_url(self._checkpoint_dir)

    def _to_checkpoint(self, rdd: Handle[Any], *, is_local: bool) -> None:
        """After the next job over this RDD."""
        node = rdd._node
        if is_local:
            before, node.cached = node.cached, Cached(StorageLevel.DISK_ONLY, must_stay=True)
            if before is not None:
                self._live_driver().forget_cache(before.id)
            self._remember_cache(rdd, node.cached)
        with self._checkpoint_lock:
            self._checkpoints[node] = self._checkpoints.get(node) if is_local else rdd._number()

    def _cut(self, node: Node) -> None:
        """Write the checkpoint of this node, and let it stand in its place. A local one that `unpersist` has taken back
        is not made.
        """
        with self._checkpoint_lock:
            if node not in self._checkpoints:
                return
            number = self._checkpoints.pop(node)
        mark, site = node.cached, call_site("checkpoint")
        try:
            successor: Node | None = None
            if mark is not None and mark.must_stay:
                successor = self._cut_locally(node, mark, site)
            elif number is not None:
                successor = self._cut_reliably(node, number, site)
        except BaseException:
            with self._checkpoint_lock:
                self._checkpoints[node] = number
            raise
        if successor is not None:
            self._replace_marked(node, successor)
            cut_off(node, successor)

    def _cut_reliably(self, node: Node, number: int, site: CallSite) -> Node:
        directory = f"{self._checkpoint_dir}/rdd-{number}"
        options, token = self._storage_options, self._output_token()
        staging = commit.prepare(directory, token, None, options, inline=self._is_inline)
        try:
            reports = self._plain_job(node, SaveFrames(staging.staging, self._storage_options_text), None, site)
        except BaseException:
            commit.abort(staging, options)
            raise
        commit.publish(staging, reports, options)
        return Checkpointed(node, directory, [f"{directory}/part-{i:05d}" for i in range(len(reports))])

    def _cut_locally(self, node: Node, mark: Cached, site: CallSite) -> Node | None:
        n = node.n_partitions or 0
        for _ in range(_TRIES):
            if node.cached is not mark:
                return None  # taken back meanwhile, by another thread
            missing = sorted(set(range(n)) - self._live_driver().partitions_on_disk(mark.id))
            if not missing:
                return LocallyCheckpointed(node)
            self._plain_job(node, Count(), missing, site)
        if node.cached is not mark:
            return None
        raise CheckpointLost(
            f"the local checkpoint of {node.site} could not be made: executors that kept partitions went away, or had "
            "no room for them on disk"
        )

    def _plain_job(self, node: Node, consumer: Consumer, partitions: list[int] | None, site: CallSite) -> list[Any]:
        """A job after which nothing else is checkpointed."""
        return self._live_driver().run_job(node, consumer, partitions, site, add_updates)
