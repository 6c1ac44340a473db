"""What an RDD asks for: the methods of RDDs for resource profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rddlite.api.handle import Handle, T_co
from rddlite.api.resources import ResourceProfile
from rddlite.base.callsite import call_site
from rddlite.errors import Unsupported

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

_CARRIED_BY_TASKS = {"cpus"}
_CARRIED_BY_EXECUTORS = {"cores", "memory", "memoryOverhead", "pyspark.memory", "offHeap"}


class Resources(Handle[T_co]):
    """The mixin of `RDD` for requests of resources."""

    __slots__ = ()

    def withResources(self, profile: ResourceProfile) -> RDD[T_co]:
        """Have tasks that compute this RDD know what it asks for: `TaskContext.cpus()`. Returns the RDD itself.

        Nothing is scheduled by it: a task has one slot whatever it asks for, and executors are as the master makes
        them. Where a task computes several RDDs, it is told the most that one of them asks for.

        Args:
            profile: made by `ResourceProfileBuilder`.

        Raises:
            TypeError: for anything else.
            Unsupported: for devices such as GPUs, of which rddlite knows none.

        >>> from rddlite import ResourceProfileBuilder, TaskContext, TaskResourceRequests
        >>> profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(2)).build
        >>> sc.range(1).withResources(profile).map(lambda x: TaskContext.get().cpus()).collect()
        [2]
        """
        site = call_site("withResources")
        if not isinstance(profile, ResourceProfile):
            raise TypeError(f"{site.method}: profile must be a ResourceProfile, not {type(profile).__qualname__}")
        devices = sorted({*profile.taskResources} - _CARRIED_BY_TASKS)
        devices += sorted({*profile.executorResources} - _CARRIED_BY_EXECUTORS - {*devices})
        if devices:
            raise Unsupported(
                f"withResources: rddlite gives tasks no {' and no '.join(devices)}: choose a device in the task, for "
                "instance by TaskContext.get().partitionId(), and start as many workers as there are devices"
            )
        cpus = profile.taskResources.get("cpus")
        self._node.cpus = 1.0 if cpus is None else cpus.amount
        self._profile = profile
        return cast("RDD[T_co]", self)

    def getResourceProfile(self) -> ResourceProfile | None:
        """What `withResources` was given for this RDD, or None.

        >>> sc.range(3).getResourceProfile() is None
        True
        """
        return self._profile

    @property
    def has_resource_profile(self) -> bool:
        """Whether `withResources` was called for this RDD.

        >>> sc.range(3).has_resource_profile
        False
        """
        return self._profile is not None
