"""Requests for resources, in the form of PySpark's: what an RDD may ask for its tasks and their executors.

They are carried, and told to tasks: the number of processors of a task is `TaskContext.cpus()`. Nothing is scheduled by
them: every task has one slot, and executors are what the master says. What cannot be carried out at all, addresses of
devices, is refused where the request meets an RDD.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

from rddlite.base.units import parse_bytes

_LEAST_CPUS = 1e-9


class ResourceInformation:
    """A kind of device and which of them there are.

    >>> ResourceInformation("gpu", ["0", "1"]).addresses
    ['0', '1']
    """

    def __init__(self, name: str, addresses: list[str]) -> None:
        self._name = name
        self._addresses = addresses

    @property
    def name(self) -> str:
        """The kind."""
        return self._name

    @property
    def addresses(self) -> list[str]:
        """Which of them."""
        return self._addresses

    def __repr__(self) -> str:
        return f"ResourceInformation({self._name!r}, {self._addresses!r})"


class TaskResourceRequest:
    """How much of one resource a task asks for.

    >>> TaskResourceRequest("cpus", 2).amount
    2.0
    """

    def __init__(self, resourceName: str, amount: float) -> None:
        self._name = resourceName
        self._amount = float(amount)

    @property
    def resourceName(self) -> str:
        """Which resource."""
        return self._name

    @property
    def amount(self) -> float:
        """How much of it."""
        return self._amount

    def __repr__(self) -> str:
        return f"TaskResourceRequest({self._name!r}, {self._amount!r})"


class ExecutorResourceRequest:
    """How much of one resource an executor is asked to have; memory is in MiB.

    >>> ExecutorResourceRequest("cores", 4).amount
    4
    """

    def __init__(self, resourceName: str, amount: int, discoveryScript: str = "", vendor: str = "") -> None:
        self._name = resourceName
        self._amount = amount
        self._script = discoveryScript
        self._vendor = vendor

    @property
    def resourceName(self) -> str:
        """Which resource."""
        return self._name

    @property
    def amount(self) -> int:
        """How much of it."""
        return self._amount

    @property
    def discoveryScript(self) -> str:
        """What finds devices in Spark."""
        return self._script

    @property
    def vendor(self) -> str:
        """Who makes it."""
        return self._vendor

    def __repr__(self) -> str:
        return f"ExecutorResourceRequest({self._name!r}, {self._amount!r})"


class TaskResourceRequests:
    """What a task asks for. Methods return the object itself.

    >>> TaskResourceRequests().cpus(2).requests
    {'cpus': TaskResourceRequest('cpus', 2.0)}
    """

    def __init__(self, _jvm: Any = None, _requests: dict[str, TaskResourceRequest] | None = None) -> None:
        self._requests = dict(_requests or {})

    def cpus(self, amount: float) -> TaskResourceRequests:
        """So many processors.

        Raises:
            ValueError: for none, or fewer.
        """
        if not _LEAST_CPUS <= float(amount) < math.inf:
            raise ValueError(f"cpus: amount must be more than 0, not {amount!r}")
        return self.resource("cpus", amount)

    def resource(self, resourceName: str, amount: float) -> TaskResourceRequests:
        """So much of any resource, by its name."""
        self._requests[resourceName] = TaskResourceRequest(resourceName, amount)
        return self

    @property
    def requests(self) -> dict[str, TaskResourceRequest]:
        """All of them by name."""
        return dict(self._requests)


class ExecutorResourceRequests:
    """What an executor is asked to have. Methods return the object itself; sizes without a unit are MiB.

    >>> ExecutorResourceRequests().cores(4).memory("2g").requests["memory"].amount
    2048
    """

    def __init__(self, _jvm: Any = None, _requests: dict[str, ExecutorResourceRequest] | None = None) -> None:
        self._requests = dict(_requests or {})

    def cores(self, amount: int) -> ExecutorResourceRequests:
        """So many cores."""
        return self.resource("cores", amount)

    def memory(self, amount: str) -> ExecutorResourceRequests:
        """So much memory."""
        return self._size("memory", amount)

    def memoryOverhead(self, amount: str) -> ExecutorResourceRequests:
        """So much memory beside that of the JVM, in Spark."""
        return self._size("memoryOverhead", amount)

    def pysparkMemory(self, amount: str) -> ExecutorResourceRequests:
        """So much memory for Python, in Spark."""
        return self._size("pyspark.memory", amount)

    def offheapMemory(self, amount: str) -> ExecutorResourceRequests:
        """So much memory outside the JVM's heap, in Spark."""
        return self._size("offHeap", amount)

    def resource(
        self, resourceName: str, amount: int, discoveryScript: str = "", vendor: str = ""
    ) -> ExecutorResourceRequests:
        """So much of any resource, by its name."""
        self._requests[resourceName] = ExecutorResourceRequest(resourceName, amount, discoveryScript, vendor)
        return self

    @property
    def requests(self) -> dict[str, ExecutorResourceRequest]:
        """All of them by name."""
        return dict(self._requests)

    def _size(self, name: str, amount: str) -> ExecutorResourceRequests:
        text = str(amount).strip()
        return self.resource(name, int(text) if text.isdecimal() else parse_bytes(text) >> 20)


class ResourceProfile:
    """Requests for the tasks of an RDD and their executors. Made by `ResourceProfileBuilder`."""

    _ids: ClassVar[itertools.count[int]] = itertools.count(1)

    def __init__(
        self,
        _java_resource_profile: Any = None,
        _exec_req: dict[str, ExecutorResourceRequest] | None = None,
        _task_req: dict[str, TaskResourceRequest] | None = None,
    ) -> None:
        self._id = next(self._ids)
        self._executor_requests = dict(_exec_req or {})
        self._task_requests = dict(_task_req or {})

    @property
    def id(self) -> int:
        """A number that no other profile of this process has."""
        return self._id

    @property
    def taskResources(self) -> dict[str, TaskResourceRequest]:
        """What tasks ask for, by name."""
        return dict(self._task_requests)

    @property
    def executorResources(self) -> dict[str, ExecutorResourceRequest]:
        """What executors are asked to have, by name."""
        return dict(self._executor_requests)

    def __repr__(self) -> str:
        asked = [*self._task_requests.values(), *self._executor_requests.values()]
        return f"<ResourceProfile {self._id}: {asked}>"


class ResourceProfileBuilder:
    """Collects requests, and makes a profile of them.

    >>> builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(2))
    >>> profile = builder.require(ExecutorResourceRequests().cores(4)).build
    >>> profile.taskResources["cpus"].amount, profile.executorResources["cores"].amount
    (2.0, 4)
    """

    def __init__(self) -> None:
        self._executor: dict[str, ExecutorResourceRequest] = {}
        self._task: dict[str, TaskResourceRequest] = {}

    def require(self, resourceRequest: ExecutorResourceRequests | TaskResourceRequests) -> ResourceProfileBuilder:
        """Add requests, which replace those of the same name.

        Raises:
            TypeError: for anything else.
        """
        if isinstance(resourceRequest, TaskResourceRequests):
            self._task.update(resourceRequest.requests)
        elif isinstance(resourceRequest, ExecutorResourceRequests):
            self._executor.update(resourceRequest.requests)
        else:
            raise TypeError(
                "require: resourceRequest must be TaskResourceRequests or ExecutorResourceRequests, not "
                f"{type(resourceRequest).__qualname__}"
            )
        return self

    def clearExecutorResourceRequests(self) -> None:
        """Drop what was asked of executors."""
        self._executor.clear()

    def clearTaskResourceRequests(self) -> None:
        """Drop what was asked for tasks."""
        self._task.clear()

    @property
    def taskResources(self) -> dict[str, TaskResourceRequest]:
        """What tasks ask for so far."""
        return dict(self._task)

    @property
    def executorResources(self) -> dict[str, ExecutorResourceRequest]:
        """What executors are asked for so far."""
        return dict(self._executor)

    @property
    def build(self) -> ResourceProfile:
        """The profile. (A property, as in PySpark.)"""
        return ResourceProfile(None, self._executor, self._task)
