"""Spark's RDD model as a Python library: no JVM, worker processes instead of threads, exact while they die.

    from rddlite import Context

    with Context("local[*]") as sc:
        words = sc.textFile("docs/*.md").flatMap(str.split)
        print(words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b).top(10, key=lambda kv: kv[1]))

Names are loaded when they are first used: the processes that run tasks import modules of this package, never the API.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rddlite import errors
from rddlite.version import __version__

if TYPE_CHECKING:
    from rddlite.api.barrier import RDDBarrier
    from rddlite.api.conf import Conf
    from rddlite.api.conf import Conf as SparkConf
    from rddlite.api.context import Context
    from rddlite.api.context import Context as SparkContext
    from rddlite.api.rdd import RDD
    from rddlite.api.resources import (
        ExecutorResourceRequest,
        ExecutorResourceRequests,
        ResourceInformation,
        ResourceProfile,
        ResourceProfileBuilder,
        TaskResourceRequest,
        TaskResourceRequests,
    )
    from rddlite.api.statustracker import SparkJobInfo, SparkStageInfo, StatusTracker
    from rddlite.api.threads import InheritableThread, inheritable_thread_target
    from rddlite.base.bounded import BoundedFloat
    from rddlite.base.statcounter import StatCounter
    from rddlite.lineage.partitioner import Partitioner
    from rddlite.lineage.results import ResultIterable
    from rddlite.serde.hashing import stable_hash as portable_hash
    from rddlite.shared.accumulator import Accumulator, AccumulatorParam
    from rddlite.shared.barrier import BarrierTaskContext, BarrierTaskInfo
    from rddlite.shared.broadcast import Broadcast
    from rddlite.shared.files import SparkFiles
    from rddlite.shared.profiler import BasicProfiler, MemoryProfiler, Profiler
    from rddlite.shared.taskcontext import TaskContext
    from rddlite.storage.level import StorageLevel

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "BarrierTaskContext",
    "BarrierTaskInfo",
    "BasicProfiler",
    "BoundedFloat",
    "Broadcast",
    "Conf",
    "Context",
    "ExecutorResourceRequest",
    "ExecutorResourceRequests",
    "InheritableThread",
    "MemoryProfiler",
    "Partitioner",
    "Profiler",
    "RDDBarrier",
    "ResourceInformation",
    "ResourceProfile",
    "ResourceProfileBuilder",
    "ResultIterable",
    "SparkConf",
    "SparkContext",
    "SparkFiles",
    "SparkJobInfo",
    "SparkStageInfo",
    "StatCounter",
    "StatusTracker",
    "StorageLevel",
    "TaskContext",
    "TaskResourceRequest",
    "TaskResourceRequests",
    "__version__",
    "errors",
    "inheritable_thread_target",
    "portable_hash",
]

_WHERE = {
    "ExecutorResourceRequest": ("rddlite.api.resources", "ExecutorResourceRequest"),
    "ExecutorResourceRequests": ("rddlite.api.resources", "ExecutorResourceRequests"),
    "ResourceInformation": ("rddlite.api.resources", "ResourceInformation"),
    "ResourceProfile": ("rddlite.api.resources", "ResourceProfile"),
    "ResourceProfileBuilder": ("rddlite.api.resources", "ResourceProfileBuilder"),
    "TaskResourceRequest": ("rddlite.api.resources", "TaskResourceRequest"),
    "TaskResourceRequests": ("rddlite.api.resources", "TaskResourceRequests"),
    "SparkConf": ("rddlite.api.conf", "Conf"),
    "SparkContext": ("rddlite.api.context", "Context"),
    "SparkFiles": ("rddlite.shared.files", "SparkFiles"),
    "inheritable_thread_target": ("rddlite.api.threads", "inheritable_thread_target"),
    "InheritableThread": ("rddlite.api.threads", "InheritableThread"),
    "SparkStageInfo": ("rddlite.api.statustracker", "SparkStageInfo"),
    "SparkJobInfo": ("rddlite.api.statustracker", "SparkJobInfo"),
    "StatusTracker": ("rddlite.api.statustracker", "StatusTracker"),
    "TaskContext": ("rddlite.shared.taskcontext", "TaskContext"),
    "BarrierTaskContext": ("rddlite.shared.barrier", "BarrierTaskContext"),
    "BarrierTaskInfo": ("rddlite.shared.barrier", "BarrierTaskInfo"),
    "RDDBarrier": ("rddlite.api.barrier", "RDDBarrier"),
    "BoundedFloat": ("rddlite.base.bounded", "BoundedFloat"),
    "StatCounter": ("rddlite.base.statcounter", "StatCounter"),
    "RDD": ("rddlite.api.rdd", "RDD"),
    "Accumulator": ("rddlite.shared.accumulator", "Accumulator"),
    "AccumulatorParam": ("rddlite.shared.accumulator", "AccumulatorParam"),
    "BasicProfiler": ("rddlite.shared.profiler", "BasicProfiler"),
    "MemoryProfiler": ("rddlite.shared.profiler", "MemoryProfiler"),
    "Profiler": ("rddlite.shared.profiler", "Profiler"),
    "Broadcast": ("rddlite.shared.broadcast", "Broadcast"),
    "Conf": ("rddlite.api.conf", "Conf"),
    "Context": ("rddlite.api.context", "Context"),
    "Partitioner": ("rddlite.lineage.partitioner", "Partitioner"),
    "ResultIterable": ("rddlite.lineage.results", "ResultIterable"),
    "StorageLevel": ("rddlite.storage.level", "StorageLevel"),
    "portable_hash": ("rddlite.serde.hashing", "stable_hash"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
