"""Stage payloads as tasks see them: the node table rebuilt from its bytes.

Tables are unpickled for every task, so that tasks never share what a function captured; but once for all of them where
that makes no difference (`stateless.py`).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rddlite.base.jobsetting import JobSetting
from rddlite.executor.stateless import keeps_nothing
from rddlite.lineage.graph import Dependency, NarrowDependency, Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions, UserFunction, named
from rddlite.serde.closures import loads_function
from rddlite.shared.files import install

_LARGEST_SHARED = 16 << 20
"""Bytes of a payload: what it makes is kept beside it."""
_Plan = tuple[list[Any], Any, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage in a task: `nodes` in topological order, and where its records go.

    Exactly one of `shuffle` (of a map stage) and `consumer` (of a result stage) is given. `setting` is what
    tasks are told beside; `functions` are all that the payload brought; `keepers` names, for messages, those of the
    user's that get whole partitions, and may keep all of them.
    """

    nodes: list[Node]
    rows: dict[int, int]
    shuffle: ShuffleDependency | None
    consumer: Any
    setting: JobSetting
    functions: list[UserFunction]
    keepers: str


class _PayloadUnpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.functions: list[UserFunction] = []

    def persistent_load(self, pid: Any) -> UserFunction:
        site, blob, name = pid
        function = UserFunction(loads_function(blob), site, blob)
        function.name = name
        self.functions.append(function)
        return function


class Stages:
    """The stages whose tasks one worker runs. Files of the program that their functions may need are put into the
    directory `files` before, if there is one.
    """

    def __init__(self, files: str | None = None) -> None:
        self._files = files
        self._seen: dict[str, Stage | None] = {}
        self._unasked: set[str] = set()

    def for_task(self, digest: str, blobs: Mapping[str, bytes]) -> Stage:
        """The stage of a payload, for one more task: as if its functions and captures had been made anew.

        The first task does not ask whether they must be: there may be no second.
        """
        stage = self._seen.get(digest)
        if stage is not None:
            return stage
        data = blobs[digest]
        setting, plan, functions = _read(data, self._files)
        stage = _build(setting, plan, functions)
        if digest not in self._seen:
            self._seen = {each: kept for each, kept in self._seen.items() if each in blobs} | {digest: None}
            self._unasked = self._unasked.intersection(blobs) | {digest}
        elif digest in self._unasked:
            self._unasked.discard(digest)
            if len(data) <= _LARGEST_SHARED and not setting.profilers and keeps_nothing(plan):
                self._seen[digest] = stage
        return stage


def load_stage(data: bytes) -> Stage:
    """The stage of a payload; every call makes new functions and captures."""
    return _build(*_read(data, None))


def _read(data: bytes, files: str | None) -> tuple[JobSetting, _Plan, list[UserFunction]]:
    stream = io.BytesIO(data)
    setting: JobSetting = _PayloadUnpickler(stream).load()
    if setting.files and files is not None:
        install(setting.files, files)
    unpickler = _PayloadUnpickler(stream)
    plan: _Plan = unpickler.load()
    return setting, plan, unpickler.functions


def _build(setting: JobSetting, plan: _Plan, functions: list[UserFunction]) -> Stage:
    table, shuffle, consumer = plan
    nodes: list[Node] = []
    for cls, dep_rows, spec, cached in table:
        deps = tuple(_dependency(kind, row, dep_spec, nodes) for kind, row, dep_spec in dep_rows)
        node = cls.from_spec(deps, spec)
        node.cached = cached
        nodes.append(node)
    rows = {id(node): row for row, node in enumerate(nodes)}
    dep = ShuffleDependency(None, *shuffle) if shuffle is not None else None
    return Stage(nodes, rows, dep, consumer, setting, functions, _keepers(nodes))


def _keepers(nodes: list[Node]) -> str:
    ops = [node.op for node in nodes if isinstance(node, Pipelined) and isinstance(node.op, MapPartitions)]
    return " or ".join(named(op.f) for op in ops if op.f.name != op.f.site.method)


def _dependency(kind: Any, row: int | None, spec: tuple[Any, ...], nodes: list[Node]) -> Dependency:
    if kind is ShuffleDependency:
        return ShuffleDependency(None, *spec)
    dep: NarrowDependency = kind(nodes[row], *spec)  # type: ignore[index]
    return dep
