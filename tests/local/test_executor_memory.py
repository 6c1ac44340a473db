"""Memory limits of workers: growth is seen from outside, a burst fails inside."""

from __future__ import annotations

import pytest

from rddlite.base.outcome import OutOfMemory
from tests.local import stub_tasks as tasks
from tests.local.mini_driver import session, wait_until

pytestmark = pytest.mark.local
LIMIT = 200 << 20


@pytest.fixture
def driver(start_driver):
    return start_driver(executor_memory=str(LIMIT))


def test_a_worker_that_grows_above_its_limit_is_killed_and_the_peak_is_told(driver):
    pid = driver.call(tasks.about)["pid"]
    outcome = driver.outcome(driver.submit(tasks.grow_and_stay, LIMIT + (40 << 20)))
    assert isinstance(outcome, OutOfMemory)
    assert outcome.limit == LIMIT
    assert LIMIT < outcome.peak < 2 * LIMIT
    assert driver.call(tasks.about)["pid"] != pid


def test_a_burst_is_a_memory_error_and_its_worker_stays(driver):
    pid = driver.call(tasks.about)["pid"]
    outcome = driver.outcome(driver.submit(tasks.grow, 1 << 30, 0.0, 1 << 40))
    assert isinstance(outcome, OutOfMemory)
    assert outcome.limit == LIMIT
    assert driver.call(tasks.about)["pid"] == pid


def test_what_fits_is_left_alone(driver):
    assert driver.call(tasks.grow, 10 << 20, 0.02, 130 << 20) == 13


def test_processes_that_a_task_starts_count(driver):
    outcome = driver.outcome(driver.submit(tasks.grow_in_children, 120 << 20))
    assert isinstance(outcome, OutOfMemory)
    wait_until(lambda: len(session(driver.process.pid)) == 3)


def test_memory_shared_with_forked_children_counts_once(driver):
    assert driver.call(tasks.share_with_children, 80 << 20, 3) == "done"


def test_only_the_guilty_attempt_is_lost(start_driver, tmp_path):
    driver = start_driver(slots=2, executor_memory=str(2 * LIMIT))
    mark = tmp_path / "started"
    good = driver.submit(tasks.touch_and_sleep, str(mark), 1.5)
    driver.until_started(mark)
    assert isinstance(driver.outcome(driver.submit(tasks.grow_and_stay, LIMIT + (40 << 20))), OutOfMemory)
    assert driver.result(good) == "slept"
