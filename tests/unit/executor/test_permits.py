"""Who takes a permit first has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rddlite.executor.permits import PermitReader, Permits


@pytest.fixture
def permits() -> Iterator[Permits]:
    made = Permits()
    yield made
    made.close()


def test_permits_are_taken_in_order(permits):
    worker = PermitReader(permits.read_fd)
    permits.give([1, 2])
    permits.give([3])
    assert worker.take(1)
    assert worker.take(2)
    assert permits.take_back() == [3]
    assert not worker.take(3)
    assert permits.take_back() == []


def test_what_was_taken_back_does_not_use_up_the_permit_of_what_follows(permits):
    worker = PermitReader(permits.read_fd)
    permits.give([1, 2])
    assert permits.take_back() == [1, 2]
    permits.give([3])
    assert not worker.take(1)
    assert permits.take_back() == [], "it is the next to begin, as good as begun"
    assert not worker.take(2)
    assert worker.take(3)
