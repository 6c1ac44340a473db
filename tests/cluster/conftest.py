"""Clusters of this machine: executors over TCP, started by the driver or joining it. Nothing may stay behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.joiners import Joiners
from tests.helpers.fixtures import faults, nothing_left, temporary

__all__ = ["faults", "joiners", "nothing_left", "temporary"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.local)


@pytest.fixture
def joiners(nothing_left: None, temporary: Path) -> Iterator[Joiners]:
    """Starts executors that join a driver, and waits for their end: their drivers have ended by then."""
    joiners = Joiners(temporary)
    yield joiners
    joiners.close()
