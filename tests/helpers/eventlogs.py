"""What the scheduler was told, as the event logs of a test's applications have it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from rddlite.observe.logreader import LogReader

Kind = TypeVar("Kind")


class EventLogs:
    """Those in one directory, of applications that may still run: what they wrote a moment ago may be missing then."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All events of a kind, in order."""
        paths = sorted(self.directory.glob("*.jsonl*"))
        batches = [batch for path in paths for batch in LogReader(str(path))]
        return [event for batch in batches for event in batch.events if isinstance(event, kind)]
