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


WITH_LITTLE_MEMORY = ("test_pairs", "test_joins")
"""Modules that are run a second time with hardly any memory for operators, so that everything goes to disk."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sc" in metafunc.fixturenames and metafunc.module.__name__.endswith(WITH_LITTLE_MEMORY):
        metafunc.parametrize("sc", ["auto", "2k"], ids=["plenty", "hardly any"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def sc(request: pytest.FixtureRequest) -> Iterator[Context]:
    """The context of a module; tests must leave nothing in it."""
    with Context("inline", "tests", conf={"memory.operators": getattr(request, "param", "auto")}) as context:
        yield context
