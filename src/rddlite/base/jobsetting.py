"""What a job's tasks are told beside what to compute: plain data, pickled at the head of each stage's payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

TASK_CPUS = "resource.task.cpus"
"""The property that says how many processors a task has, where it is not one."""


@dataclass(frozen=True, slots=True)
class JobSetting:
    """`properties` of the thread that started the job, the `files` (`shared.files.Shipped`) that tasks may use, and the
    pickled `profilers` (`shared.profiler`) that they run under, if any. Tasks of a stage that `is_barrier` run all
    together.
    """

    properties: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Any, ...] = ()
    profilers: bytes = b""
    is_barrier: bool = False

    def with_cpus(self, cpus: float) -> JobSetting:
        """The same for tasks of so many processors."""
        return self if cpus == 1.0 else replace(self, properties={**self.properties, TASK_CPUS: str(cpus)})


NO_SETTING = JobSetting()
