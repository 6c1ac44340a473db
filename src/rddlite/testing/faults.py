"""Arms named fault points in all processes of an application, through a directory that they inherit by environment.

    with Faults(tmp_path) as faults:
        faults.arm("task.map", "kill-executor")
        with Context("local-cluster[2,1,256m]") as sc: ...
        assert faults.fired("task.map") == 1

Must be entered before the context is created: processes read the directory's name when they start. Every action fires
as often as it was armed for, among all processes together.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

from rddlite.base import faults as points

ACTIONS = {
    "kill": "SIGKILL to the process that comes there",
    "segfault": "SIGSEGV to it",
    "exit": "it exits at once, with code 23",
    "hang": "it stays there for ever",
    "hold": "it stays there until `release`",
    "raise": "an OSError is raised there",
    "raise-full": "an OSError that says that no space is left",
    "raise-wrapped": "a ConnectionResetError, wrapped in two other exceptions",
    "kill-executor": "SIGKILL to the executor that the process belongs to, or is",
    "stop-executor": "SIGSTOP to it",
}
"""What can be armed."""

_LOOK_EVERY = 0.005


class Faults:
    """Fault points armed below one directory; see `base/faults.py` for how processes find them."""

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

    def arm(self, point: str, action: str, times: int = 1, *, executor: str | None = None, after: int = 0) -> None:
        """Let `point` do `action` the next `times` times that a process reaches it, after `after` free passes.

        With `executor`, only that executor and its workers count. Arming a point anew starts all its counts again.

        Raises:
            ValueError: for an action that does not exist.
        """
        if action not in ACTIONS:
            raise ValueError(f"unknown fault action {action!r}: one of {', '.join(ACTIONS)}")
        name = _name(point, executor)
        self.disarm(point, executor=executor)
        for claimed in self._directory.glob(f"{name}.*"):
            claimed.unlink()
        armed = self._directory / f".{name}"
        armed.write_text(f"{action} {times} {after}")
        armed.rename(self._directory / name)

    def disarm(self, point: str, *, executor: str | None = None) -> None:
        """Let it pass again. What is held there stays so until `release`."""
        (self._directory / _name(point, executor)).unlink(missing_ok=True)

    def release(self, point: str, *, executor: str | None = None) -> None:
        """Let go on what is held there, now and later."""
        (self._directory / f"{_name(point, executor)}.released").touch()

    def fired(self, point: str, *, executor: str | None = None) -> int:
        """How often it fired."""
        return len(self._claims(point, executor))

    def wait_fired(self, point: str, times: int = 1, *, executor: str | None = None, timeout: float = 30.0) -> None:
        """Wait until it fired that often.

        Raises:
            TimeoutError: if that takes too long.
        """
        end = time.monotonic() + timeout
        while self.fired(point, executor=executor) < times:
            if time.monotonic() > end:
                fired = self.fired(point, executor=executor)
                raise TimeoutError(f"{_name(point, executor)} fired {fired} times in {timeout:.0f} s, not {times}")
            time.sleep(_LOOK_EVERY)

    def executors(self, point: str) -> list[str]:
        """The executor of each process in which it fired, in that order; empty text for a driver."""
        return [claim.read_text().partition(" ")[2] for claim in self._claims(point, None)]

    def _claims(self, point: str, executor: str | None) -> list[Path]:
        claims = self._directory.glob(f"{_name(point, executor)}.fired.*")
        return sorted(claims, key=lambda path: int(path.suffix[1:]))


def _name(point: str, executor: str | None) -> str:
    return point if executor is None else f"{point}@{executor}"
