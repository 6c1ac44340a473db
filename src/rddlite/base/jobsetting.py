"""What a job's tasks are told beside what to compute: plain data, pickled at the head of each stage's payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JobSetting:
    """`properties` of the thread that started the job, and the `files` (`shared.files.Shipped`) that tasks may use.
    Tasks of a stage that `is_barrier` run all together.
    """

    properties: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Any, ...] = ()
    is_barrier: bool = False


NO_SETTING = JobSetting()
