"""One inline context for each module of API tests: tasks run in the waiting thread, but through pickled closures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from rddlite import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every example runs a job or two, and there are many operations: few examples of each, but of each.
settings.register_profile("api", settings.get_profile(settings.get_current_profile_name()), max_examples=15)
settings.load_profile("api")


@pytest.fixture(scope="module")
def sc() -> Iterator[Context]:
    """The context of a module; tests must leave nothing in it."""
    with Context("inline", "tests") as context:
        yield context
