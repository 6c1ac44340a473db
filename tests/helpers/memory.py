"""Operators with as much memory as a test wants them to have."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.executor.budget import Budget, Holder
from rddlite.executor.consume import combined_tables
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.ops import Op

PLENTY = 1 << 40
HARDLY_ANY = "3k"


def force_spilling() -> None:
    """From now on the operators of applications that this process drives have room for hardly anything, unless a test
    says how much.
    """
    make = Settings.__init__
    key = "memory.operators"

    def make_small(self: Settings, given: Mapping[str, Any] | None = None) -> None:
        given = dict(given or {})
        if given.get(key, "auto") == "auto":
            given[key] = HARDLY_ANY
        make(self, given)

    Settings.__init__ = make_small  # type: ignore[method-assign]


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    directory = tempfile.TemporaryDirectory(prefix="rddlite-tests-")
    os.mkdir(os.path.join(directory.name, "spill"))
    return directory


def holder(capacity: int = PLENTY, metrics: TaskMetrics | None = None, operation: str = "test") -> Holder:
    """An operator that may hold so many bytes."""
    budget = Budget(Settings({"memory.operators": capacity}), PLENTY, _scratch().name)
    return budget.holder(operation, metrics or TaskMetrics())


def combine(
    aggregator: Aggregator, ops: Sequence[Op], batches: Iterator[list[Any]], index: int, capacity: int = PLENTY
) -> dict[Any, Any]:
    """A map-side combine that has room for all in one table."""
    (table,) = (dict(table) for table in combined_tables(aggregator, ops, batches, index, holder(capacity)))
    return table
