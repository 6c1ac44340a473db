"""Attempts that are stopped on request, in Python and in C, willing or not; and that nobody else is ever hit."""

from __future__ import annotations

import random

import pytest

from rddlite.base.outcome import Killed, Success
from tests.local import stub_tasks as tasks
from tests.local.mini_driver import session, wait_until

pytestmark = pytest.mark.local
SHORT = {"task_killGrace": "400ms"}


def pid_of(driver):
    return driver.call(tasks.about)["pid"]


@pytest.mark.parametrize(
    ("task", "arguments"),
    [(tasks.touch_and_sleep, (3600,)), (tasks.touch_and_spin, ()), (tasks.touch_and_sleep_in_c, (3600,))],
    ids=["sleeping", "busy", "in C, with the lock held"],
)
def test_a_willing_attempt_stops_and_its_worker_stays(driver, tmp_path, task, arguments):
    pid = pid_of(driver)
    mark = tmp_path / "started"
    attempt = driver.submit(task, str(mark), *arguments)
    driver.until_started(mark)
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")
    assert pid_of(driver) == pid


@pytest.mark.parametrize(
    "task", [tasks.touch_and_block_in_c, tasks.touch_and_refuse_to_stop], ids=["blocked in C", "swallows everything"]
)
def test_an_unwilling_attempt_is_killed_with_its_worker(start_driver, tmp_path, task):
    driver = start_driver(**SHORT)
    pid = pid_of(driver)
    mark = tmp_path / "started"
    attempt = driver.submit(task, str(mark))
    driver.until_started(mark)
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")
    assert pid_of(driver) != pid


def test_cleanup_code_runs(driver, tmp_path):
    mark, cleaned = tmp_path / "started", tmp_path / "cleaned"
    attempt = driver.submit(tasks.touch_and_clean_up_when_stopped, str(mark), str(cleaned))
    driver.until_started(mark)
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")
    assert cleaned.exists()


def test_a_stop_that_a_destructor_swallowed_is_asked_for_again(driver, tmp_path):
    pid = pid_of(driver)
    mark = tmp_path / "started"
    attempt = driver.submit(tasks.touch_and_sleep_in_destructor, str(mark))
    driver.until_started(mark)
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")
    assert pid_of(driver) == pid


def test_a_worker_in_which_threads_of_a_killed_task_remain_is_not_used_again(driver, tmp_path):
    pid = pid_of(driver)
    mark = tmp_path / "started"
    attempt = driver.submit(tasks.touch_and_leave_a_thread, str(mark))
    driver.until_started(mark)
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")
    assert pid_of(driver) != pid


def test_processes_of_an_unwilling_attempt_go_with_it(start_driver, tmp_path):
    driver = start_driver(**SHORT)
    child = driver.call(tasks.start_child)
    mark = tmp_path / "started"
    attempt = driver.submit(tasks.touch_and_refuse_to_stop, str(mark))
    driver.until_started(mark)
    driver.kill(attempt)
    driver.outcome(attempt)
    wait_until(lambda: child not in session(driver.process.pid))


def test_a_task_that_waits_for_a_child_stops_waiting(driver, tmp_path):
    mark = tmp_path / "started"
    attempt = driver.submit(tasks.touch_and_wait_for_child, str(mark))
    driver.until(lambda: mark.exists() and mark.read_text())
    driver.kill(attempt)
    assert driver.outcome(attempt) == Killed("the test wants it")


def test_a_waiting_attempt_never_starts(driver, tmp_path):
    mark, never = tmp_path / "started", tmp_path / "never"
    running = driver.submit(tasks.touch_and_sleep, str(mark), 3600)
    waiting = driver.submit(tasks.touch_and_sleep, str(never), 0)
    driver.until_started(mark)
    driver.kill(waiting)
    assert driver.outcome(waiting) == Killed("the test wants it")
    driver.kill(running)
    driver.outcome(running)
    assert driver.call(tasks.echo, 1) == 1
    assert not never.exists()


def test_unknown_and_ended_attempts_can_be_killed_without_effect(driver):
    attempt = driver.submit(tasks.echo, 1)
    driver.result(attempt)
    driver.kill(attempt)
    driver.kill(10_000)
    assert driver.result(driver.submit(tasks.tick_until, 0.2)) == attempt + 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_kill_ever_hits_another_attempt(start_driver, seed):
    """Short tasks, many kills at random moments: an attempt that nobody asked to stop always succeeds."""
    driver = start_driver(slots=2, task_killGrace="30s")
    rng = random.Random(seed)
    asked: set[int] = set()
    everything: list[int] = []
    workers = set(driver.wait_ready().workers)
    for _ in range(150):
        attempts = driver.submit_all([(tasks.tick_until, (rng.choice([0.0, 0.0005, 0.002]),)) for _ in range(4)])
        everything += attempts
        if rng.random() < 0.5:
            driver.turn(rng.choice([0.0, 0.001, 0.003]))
        for attempt in attempts:
            if rng.random() < 0.4:
                asked.add(attempt)
                driver.kill(attempt)
    outcomes = {attempt: driver.outcome(attempt) for attempt in everything}
    for attempt, outcome in outcomes.items():
        assert isinstance(outcome, Success) or (attempt in asked and outcome == Killed("the test wants it"))
    assert any(isinstance(outcomes[attempt], Killed) for attempt in asked)
    reported = [report.attempt for message in driver.reports for report in message.reports]
    assert sorted(reported) == everything
    attempts = driver.submit_all([(tasks.about, ())] * 20)
    assert {driver.result(attempt)["pid"] for attempt in attempts} <= workers, "every worker could be used again"
