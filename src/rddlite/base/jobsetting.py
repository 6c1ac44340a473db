"""What a job's tasks are told beside what to compute: plain data, pickled at the head of each stage's payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JobSetting:
    """`properties` of the thread that started the job, the `files` (`shared.files.Shipped`) that tasks may use, and the
    pickled `profilers` (`shared.profiler`) that they run under, if any.
    """

    properties: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Any, ...] = ()
    profilers: bytes = b""


NO_SETTING = JobSetting()
