"""Executors for tests: started on demand, ended and searched for leftovers at the end of each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.mini_driver import MiniDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start_driver() -> Iterator[Callable[..., MiniDriver]]:
    """`start_driver(slots, **settings)`: a driver with a running executor."""
    drivers: list[MiniDriver] = []

    def start_one(slots: int = 1, **options: Any) -> MiniDriver:
        drivers.append(MiniDriver(slots, **options))
        return drivers[-1]

    yield start_one
    for driver in drivers:
        driver.stop()


@pytest.fixture
def driver(start_driver: Callable[..., MiniDriver]) -> MiniDriver:
    """A driver with an executor of one slot."""
    return start_driver()
