"""TaskContext: what code can ask about the task that it runs in. A view of `current_task`, nothing else."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from rddlite.base.jobsetting import TASK_CPUS
from rddlite.shared.current import CurrentTask, current_task

CONTEXT = "context"
"""Under which key `CurrentTask.views` has the context, once there is one."""


class TaskContext:
    """The task that runs now. In a task `TaskContext.get()` and `TaskContext()` are the same object.

    >>> TaskContext.get() is None
    True
    >>> sc.range(4, numSlices=2).mapPartitions(lambda part: [TaskContext.get().partitionId()]).collect()
    [0, 1]
    """

    _task: CurrentTask

    def __new__(cls) -> TaskContext:
        """The task that runs now.

        Raises:
            RuntimeError: on the driver.
        """
        found = cls.get()
        if found is None:
            raise RuntimeError("there is a TaskContext inside tasks only: on the driver TaskContext.get() is None")
        return found

    @classmethod
    def get(cls) -> TaskContext | None:
        """The task that runs now, or None on the driver.

        >>> sc.range(1).map(lambda x: TaskContext.get() is TaskContext()).collect()
        [True]
        """
        task = current_task.get()
        if task is None:
            return None
        known = task.views.get(CONTEXT)
        if known is None:
            known = task.views[CONTEXT] = object.__new__(TaskContext)
            known._task = task
        found: TaskContext = known
        return found

    def stageId(self) -> int:
        """The number of the stage that the task belongs to.

        >>> sc.range(1).map(lambda x: TaskContext.get().stageId() >= 0).collect()
        [True]
        """
        return self._task.stage

    def partitionId(self) -> int:
        """Which partition the task computes.

        >>> sc.range(2, numSlices=2).map(lambda x: TaskContext.get().partitionId()).collect()
        [0, 1]
        """
        return self._task.partition

    def attemptNumber(self) -> int:
        """How often the task was tried before: 0 for the first attempt.

        >>> sc.range(1).map(lambda x: TaskContext.get().attemptNumber()).collect()
        [0]
        """
        return self._task.attempt_number

    def taskAttemptId(self) -> int:
        """A number that no other attempt of any task of this context has.

        >>> ids = sc.range(2, numSlices=2).map(lambda x: TaskContext.get().taskAttemptId())
        >>> len(set(ids.collect()))
        2
        """
        return self._task.attempt

    def getLocalProperty(self, key: str) -> str | None:
        """What `Context.setLocalProperty` set in the thread that started the job; None if it did not.

        In the stages before a shuffle these are the properties of the job that computed them first.

        >>> sc.setLocalProperty("purpose", "demo")
        >>> sc.range(1).map(lambda x: TaskContext.get().getLocalProperty("purpose")).collect()
        ['demo']
        >>> sc.setLocalProperty("purpose", None)
        """
        return self._task.properties.get(key)

    def cpus(self) -> int:
        """How many processors the task is said to have, rounded up: one, or what `RDD.withResources` asked for. Its
        slot is one in any case.

        >>> sc.range(1).map(lambda x: TaskContext.get().cpus()).collect()
        [1]
        """
        return math.ceil(self.cpuAmount())

    def cpuAmount(self) -> Decimal:
        """The same, not rounded.

        >>> sc.range(1).map(lambda x: TaskContext.get().cpuAmount()).collect()
        [Decimal('1.0')]
        """
        return Decimal(self._task.properties.get(TASK_CPUS, "1.0"))

    def resources(self) -> dict[str, Any]:
        """Resources beside processors that the task has: none.

        >>> sc.range(1).map(lambda x: TaskContext.get().resources()).collect()
        [{}]
        """
        return {}
