"""BarrierTaskContext: what code can ask, and do, in a task of a barrier stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rddlite.base.meeting import Wish
from rddlite.shared.current import CurrentTask, current_task
from rddlite.shared.taskcontext import CONTEXT, TaskContext

Ask = Callable[..., list[bytes]]


class BarrierTaskInfo(NamedTuple):
    """Where a task of a barrier stage runs: `host:port` of its executor (port 0 where it listens to nobody)."""

    address: str


class BarrierTaskContext(TaskContext):
    """The task that runs now, of a barrier stage: all its tasks run at the same time, and can wait for each other.
    In such a task `TaskContext.get()` is this, too.

    >>> def place_and_sum(part):
    ...     context = BarrierTaskContext.get()
    ...     sums = context.allGather(str(sum(part)))
    ...     yield context.partitionId(), sums
    >>> sc.parallelize([1, 2, 3, 4], 1).barrier().mapPartitions(place_and_sum).collect()  # one text for each task
    [(0, ['10'])]
    """

    _ask: Ask

    @classmethod
    def get(cls) -> BarrierTaskContext:
        """The task that runs now.

        Raises:
            RuntimeError: on the driver, and in tasks of other stages.

        >>> BarrierTaskContext.get()
        Traceback (most recent call last):
        RuntimeError: there is a BarrierTaskContext only inside the functions of rdd.barrier().mapPartitions(...)...
        """
        task = current_task.get()
        found = task.views.get(CONTEXT) if task is not None else None
        if not isinstance(found, BarrierTaskContext):
            raise RuntimeError(
                "there is a BarrierTaskContext only inside the functions of rdd.barrier().mapPartitions(...), and in "
                "what runs in the same stage"
            )
        return found

    def barrier(self) -> None:
        """Wait until every task of the stage has called this. All must make the same calls in the same order.

        Raises:
            BarrierBroken: if one has ended or called something else, or if it takes longer than `barrier.sync.timeout`.

        >>> def wait(part):
        ...     BarrierTaskContext.get().barrier()
        ...     return part
        >>> sc.range(4, numSlices=1).barrier().mapPartitions(wait).collect()
        [0, 1, 2, 3]
        """
        self._ask(Wish.BARRIER)

    def allGather(self, message: str = "") -> list[str]:
        """Wait as in `barrier`; the answer is what every task gave, in the order of partitions.

        Args:
            message: text of up to 32 MiB.

        Raises:
            BarrierBroken: as `barrier`.
            TypeError: if the message is no str.

        >>> def names(part):
        ...     context = BarrierTaskContext.get()
        ...     return context.allGather(f"task {context.partitionId()}")
        >>> sc.range(2, numSlices=1).barrier().mapPartitions(names).collect()
        ['task 0']
        """
        if not isinstance(message, str):
            raise TypeError(f"allGather: message must be a str, not {type(message).__qualname__}")
        found = self._ask(Wish.GATHER, message.encode("utf-8", "surrogatepass"))
        return [each.decode("utf-8", "surrogatepass") for each in found]

    def getTaskInfos(self) -> list[BarrierTaskInfo]:
        """Where the tasks of the stage run, in the order of partitions.

        >>> def where(part):
        ...     return [len(BarrierTaskContext.get().getTaskInfos())]
        >>> sc.range(2, numSlices=1).barrier().mapPartitions(where).collect()
        [1]
        """
        return [BarrierTaskInfo(each.decode("utf-8", "surrogatepass")) for each in self._ask(Wish.PLACES)]


def enter_barrier(task: CurrentTask, ask: Ask) -> None:
    """The task is one of a barrier stage, whose tasks it can `ask`."""
    context = task.views[CONTEXT] = object.__new__(BarrierTaskContext)
    context._task = task
    context._ask = ask
