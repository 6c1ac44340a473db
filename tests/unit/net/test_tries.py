"""How long a source is tried, and what is told of it."""

from __future__ import annotations

from rddlite.net.tries import Tries


def test_a_few_refusals_settle_it():
    tries, now, pauses = Tries(retries=3), 100.0, []
    while (again := tries.refused("connection refused", now, now)) is not None:
        pauses.append(again - now)
        now = again
    assert pauses == sorted(pauses)
    assert 0.05 < sum(pauses) < 0.5
    assert tries.story(now) == f"connection refused (tried 3 times in {1000 * (now - 100):.0f} ms)"


def test_failures_are_tried_again_with_growing_pauses():
    tries, now = Tries(retries=3), 0.0
    pauses = []
    while (again := tries.failed("nothing came for 10 s", now, now + 10)) is not None:
        pauses.append(again - now - 10)
        now = again
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert "tried 4 times in 4" in tries.story(now + 10)


def test_progress_starts_the_count_anew():
    tries = Tries(retries=1)
    for _ in range(10):
        assert tries.failed("the connection broke", 0, 1) is not None
        tries.progressed()
    assert tries.failed("the connection broke", 0, 1) is not None
    assert tries.failed("the connection broke", 0, 1) is None


def test_the_story_names_each_reason_once():
    tries = Tries(retries=5)
    tries.failed("the connection broke", 0, 2)
    tries.refused("connection refused", 2, 2)
    tries.refused("connection refused", 2, 3)
    assert tries.story(3) == "the connection broke, then connection refused (tried 3 times in 3.0 s)"


def test_a_single_try():
    tries = Tries(retries=1)
    tries.failed("it takes no messages", 1, 2)
    assert tries.story(2).endswith("(tried once in 1.0 s)")


def test_refusals_do_not_use_up_the_tries_of_failures():
    tries = Tries(retries=1)
    assert tries.refused("connection refused", 0, 0) is not None
    assert tries.failed("the connection broke", 0, 0) is not None
    assert tries.failed("the connection broke", 0, 0) is None
