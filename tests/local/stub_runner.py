"""Task runners for tests of executors, named by `--runner tests.local.stub_runner:NAME`."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Success, TaskOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rddlite.executor.env import ExecutorEnv
    from rddlite.net.messages import RunTask


class CallRunner:
    """`partition` is a pickled `(function, arguments)`; its result, pickled, is the task's. Catches nothing."""

    def __init__(self, env: ExecutorEnv) -> None:
        self.env = env

    def run_task(self, task: RunTask, blobs: Mapping[str, bytes]) -> TaskOutcome:
        function, arguments = pickle.loads(task.partition)
        value: Any = function(self, task, blobs, *arguments)
        return value if isinstance(value, TaskOutcome) else Success(InlineResult(pickle.dumps(value)), TaskMetrics())


class EmptyRunner:
    """Does nothing at all."""

    def __init__(self, env: ExecutorEnv) -> None:
        pass

    def run_task(self, task: RunTask, blobs: Mapping[str, bytes]) -> TaskOutcome:
        return _NOTHING


_NOTHING = Success(InlineResult(b""), TaskMetrics())


class NoRunner:
    """Cannot be made."""

    def __init__(self, env: ExecutorEnv) -> None:
        raise OSError("this runner cannot be made")
