"""Stage payloads as tasks see them: the node table rebuilt from its bytes.

Tables are unpickled for every task, so that tasks never share what a function captured.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

from rddlite.base.jobsetting import JobSetting
from rddlite.lineage.graph import Dependency, NarrowDependency, Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions, UserFunction, named
from rddlite.serde.closures import loads_function
from rddlite.shared.files import install


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage in a task: `nodes` in topological order, and where its records go.

    Exactly one of `shuffle` (of a map stage) and `consumer` (of a result stage) is given. `setting` is what
    tasks are told beside; `functions` are all that the payload brought.
    """

    nodes: list[Node]
    rows: dict[int, int]
    shuffle: ShuffleDependency | None
    consumer: Any
    setting: JobSetting
    functions: list[UserFunction]

    def keepers(self) -> str:
        """For messages: functions of the user's that get whole partitions, and may keep all of them."""
        ops = [node.op for node in self.nodes if isinstance(node, Pipelined) and isinstance(node.op, MapPartitions)]
        return " or ".join(named(op.f) for op in ops if op.f.name != op.f.site.method)


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


def load_stage(data: bytes, files: str | None = None) -> Stage:
    """The stage of a payload; every call makes new functions and captures.

    Files of the program that its functions may need are put into the directory `files` before, if there is one.
    """
    stream = io.BytesIO(data)
    setting: JobSetting = _PayloadUnpickler(stream).load()
    if setting.files and files is not None:
        install(setting.files, files)
    unpickler = _PayloadUnpickler(stream)
    table, shuffle, consumer = unpickler.load()
    nodes: list[Node] = []
    for cls, dep_rows, spec, cached in table:
        deps = tuple(_dependency(kind, row, dep_spec, nodes) for kind, row, dep_spec in dep_rows)
        node = cls.from_spec(deps, spec)
        node.cached = cached
        nodes.append(node)
    rows = {id(node): row for row, node in enumerate(nodes)}
    dep = ShuffleDependency(None, *shuffle) if shuffle is not None else None
    return Stage(nodes, rows, dep, consumer, setting, unpickler.functions)


def _dependency(kind: Any, row: int | None, spec: tuple[Any, ...], nodes: list[Node]) -> Dependency:
    if kind is ShuffleDependency:
        return ShuffleDependency(None, *spec)
    dep: NarrowDependency = kind(nodes[row], *spec)  # type: ignore[index]
    return dep
