"""Everything here ends processes on purpose. Whatever happens in a test, nothing may stay behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite.testing.faults import Faults
from tests.helpers.leftovers import Leftovers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/chaos/" in str(item.path):
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Processes, sockets and scratch are the same after the test as before."""
    before = Leftovers.now()
    yield
    before.assert_nothing_new()


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    with Faults(tmp_path / "faults") as armed:
        yield armed
