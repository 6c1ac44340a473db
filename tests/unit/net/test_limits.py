"""How many open files are needed, and what becomes of the limit."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import ProviderError
from rddlite.net import limits
from rddlite.net.limits import needed_limit, raised_limit, require_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

INFINITY = resource.RLIM_INFINITY


@pytest.fixture
def limit() -> Iterator[tuple[int, int]]:
    """The process's own limits, put back afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_every_executor_counts_and_so_does_what_is_open():
    spare = needed_limit(0, 1, 0)
    assert spare > 100
    assert needed_limit(1000, 1, 0) == 1000 + spare
    assert needed_limit(1000, 3, 50) == 3050 + spare


@pytest.mark.parametrize(
    ("needed", "soft", "hard", "raised"),
    [
        (1000, 1024, 4096, 1024),
        (1024, 1024, 1024, 1024),
        (1025, 1024, 4096, 1025),
        (4096, 1024, 4096, 4096),
        (4097, 1024, 4096, None),
        (4097, 1024, INFINITY, 4097),
        (4097, INFINITY, INFINITY, INFINITY),
    ],
)
def test_the_soft_limit_rises_as_far_as_needed_and_the_hard_one_allows(needed, soft, hard, raised):
    assert raised_limit(needed, soft, hard) == raised


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_the_limit_never_falls_and_is_never_above_the_hard_one(needed, soft, more):
    raised = raised_limit(needed, soft, soft + more)
    if raised is None:
        assert needed > soft + more
    else:
        assert max(soft, needed) == raised <= soft + more


def test_the_limit_of_this_process_is_raised(limit):
    _, hard = limit
    n_open = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 50, hard))
    require_descriptors(100, 1, "a test")
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= n_open + 200
    raised = resource.getrlimit(resource.RLIMIT_NOFILE)
    require_descriptors(1, 1, "a test")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == raised


def test_a_hard_limit_that_is_too_low_is_told(limit, monkeypatch):
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _: (256, 512))
    with pytest.raises(
        ProviderError, match=r"rdd://\*:7077 needs \d+ open files .*2 for each of 1000 executors"
    ) as raised:
        require_descriptors(1000, 2, "rdd://*:7077")
    assert "its hard limit is 512" in str(raised.value)
    assert "ulimit -n 2" in str(raised.value)
