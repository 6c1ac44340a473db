"""Everything here ends processes on purpose. Whatever happens in a test, nothing may stay behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.fixtures import faults, nothing_left, temporary

__all__ = ["faults", "nothing_left", "temporary"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)
