"""Arms named fault points in all processes of an application, through a directory that they inherit by environment.

    with Faults(tmp_path) as faults:
        faults.arm("task.map", "kill")
        with Context("local[2]") as sc: ...
        assert faults.fired("task.map") == 1

Must be entered before the context is created: processes read the directory's name when they start.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from rddlite.base import faults as points

ACTIONS = ("kill", "exit", "hang", "raise", "segfault")


class Faults:
    """Fault points armed below one directory; see `base/faults.py` for what the actions do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._before: str | None = None

    def __enter__(self) -> Faults:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._before = os.environ.get("RDDLITE_FAULTS")
        os.environ["RDDLITE_FAULTS"] = str(self._directory)
        points.use_directory(str(self._directory))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        points.use_directory(self._before)
        if self._before is None:
            del os.environ["RDDLITE_FAULTS"]
        else:
            os.environ["RDDLITE_FAULTS"] = self._before

    def arm(self, point: str, action: str, times: int = 1) -> None:
        """Let `point` do `action` the next `times` times that any process reaches it.

        Raises:
            ValueError: for an action that does not exist.
        """
        if action not in ACTIONS:
            raise ValueError(f"unknown fault action {action!r}: one of {', '.join(ACTIONS)}")
        armed = self._directory / f".{point}"
        armed.write_text(f"{action} {times}")
        armed.rename(self._directory / point)

    def fired(self, point: str) -> int:
        """How often it fired."""
        return len(list(self._directory.glob(f"{point}.fired.*")))
