"""What the start of a driver waits for."""

from __future__ import annotations

from rddlite.driver.readiness import Readiness


def test_it_is_over_when_all_have_registered() -> None:
    readiness = Readiness(2)
    readiness.registered()
    assert not readiness.wait(0)
    readiness.registered()
    assert readiness.wait(0)
    assert readiness.failure is None


def test_nobody_is_waited_for_where_executors_come_when_they_like() -> None:
    assert Readiness(0).wait(0)


def test_one_that_fails_ends_the_wait_with_its_reason() -> None:
    readiness = Readiness(2)
    readiness.registered()
    readiness.failed("no memory")
    assert readiness.wait(0)
    assert readiness.failure == "no memory"


def test_what_fails_later_is_no_failure_to_start() -> None:
    readiness = Readiness(1)
    readiness.registered()
    readiness.failed("killed")
    readiness.end()
    assert readiness.failure is None


def test_the_wait_goes_on_while_somebody_comes():
    readiness = Readiness(3)
    readiness.registered()
    assert not readiness.wait(0)
    assert (readiness.n_registered, readiness.n_wanted) == (1, 3)
    readiness.registered()
    readiness.registered()
    assert readiness.wait(0)
