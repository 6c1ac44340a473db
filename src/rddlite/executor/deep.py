"""Runs deeply nested inputs on a thread with a large stack.

Operations are fused and unions are flat, so ordinary lineage does not nest at run time, however long it is. What must
nest (an iterator handed to a mapPartitions function over another one, coalesced partitions over coalesced ones) takes
interpreter frames at each level; Python's default stack holds a few hundred of them.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from rddlite.errors import UsageError
from rddlite.executor.payloads import Stage
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import Glom, MapPartitions

T = TypeVar("T")
_SHALLOW = 60
_DEEPEST = 10_000
_STACK_BYTES = 512 << 20
_FRAMES_PER_LEVEL = 8


def nesting(stage: Stage) -> int:
    """An upper bound of how deep iterators nest in this stage."""
    return sum(
        isinstance(node.op, (MapPartitions, Glom)) if isinstance(node, Pipelined) else len(node.deps) > 0
        for node in stage.nodes
    )


def run_deep(stage: Stage, work: Callable[[], T]) -> T:
    """`work()`, on a thread with a large stack where the stage nests too deep for this one.

    Raises:
        UsageError: beyond 10,000 levels, which no stack can be trusted to hold.
    """
    depth = nesting(stage)
    if depth <= _SHALLOW:
        return work()
    if depth > _DEEPEST:
        raise UsageError(
            f"{depth} nested mapPartitions or coalesced inputs in one stage are more than the {_DEEPEST} that a stack "
            "holds: cut the lineage with checkpoint() or a shuffle (for instance repartition) on the way"
        )
    return _on_large_stack(work, depth)


def _on_large_stack(work: Callable[[], T], depth: int) -> T:
    results: list[T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(work))
        except BaseException as error:  # handed to the waiting thread below
            errors.append(error)

    usual_stack = threading.stack_size(_STACK_BYTES)
    usual_limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(usual_limit, 1000 + depth * _FRAMES_PER_LEVEL))
    try:
        thread = threading.Thread(target=run, name="rddlite-deep-task", daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(usual_stack)
        sys.setrecursionlimit(usual_limit)
    if errors:
        raise errors[0]
    return results[0]
