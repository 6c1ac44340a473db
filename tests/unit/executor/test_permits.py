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


def test_what_is_sent_again_may_begin_where_it_was_sent_first(permits):
    worker = PermitReader(permits.read_fd)
    assert not permits.are_needed_for(1)
    permits.give([2])
    assert permits.take_back() == [2]
    assert permits.are_needed_for(2)
    permits.give([2])
    assert worker.take(2), "its first frame; the second one is still to come"
    assert permits.are_needed_for(3), "the worker may come upon 2 again when there is a permit for what follows 3"
    permits.give([3, 4])
    assert not worker.take(2)
    assert worker.take(3)
    assert permits.take_back() == [4], "not held by a worker that runs 3"
    assert permits.are_needed_for(5)
    assert not permits.are_needed_for(6)
