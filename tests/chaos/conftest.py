"""Everything here ends processes on purpose. Whatever happens in a test, nothing may stay behind, and whoever is lost
is lost for the reason that there was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite.schedule.events import ExecutorLost
from tests.helpers.cluster import PATIENT
from tests.helpers.eventlogs import EventLogs
from tests.helpers.fixtures import faults, nothing_left, temporary

__all__ = ["events", "faults", "nothing_left", "temporary"]

ENDED = re.compile(r"its process got SIGKILL|its host refuses connections to its port \d+")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(autouse=True)
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventLogs]:
    """What happened to applications with `PATIENT`: nobody is lost there but those whose process has ended."""
    logs = EventLogs(tmp_path / "events")
    monkeypatch.setitem(PATIENT, "eventlog.dir", str(logs.directory))
    yield logs
    for lost in logs.of(ExecutorLost):
        assert ENDED.fullmatch(lost.cause), lost
