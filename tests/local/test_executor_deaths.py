"""Workers that end by themselves: only their attempt is lost, with the reason; another takes their place."""

from __future__ import annotations

import os
import signal

import pytest

from rddlite.base.outcome import WorkerDied
from tests.local import stub_tasks as tasks
from tests.local.mini_driver import session, wait_until

pytestmark = pytest.mark.local


@pytest.mark.parametrize(
    ("how", "exit_code", "number", "said"),
    [
        ("SIGKILL", None, signal.SIGKILL, ""),
        ("segfault", None, signal.SIGSEGV, "in end_by"),
        ("abort", None, signal.SIGABRT, "in end_by"),
        ("_exit", 7, None, ""),
    ],
)
def test_a_worker_that_ends_takes_its_attempt_along_and_says_how(driver, how, exit_code, number, said):
    pid = driver.call(tasks.about)["pid"]
    outcome = driver.outcome(driver.submit(tasks.end_by, how))
    assert isinstance(outcome, WorkerDied)
    assert (outcome.exit_code, outcome.signal) == (exit_code, number)
    assert outcome.peak_memory > 1 << 20
    assert said in outcome.stderr_tail
    assert driver.call(tasks.about)["pid"] != pid


@pytest.mark.parametrize("data", [bytes(100), b"\x08" + bytes(8), b"\x08" + b"\xff" * 8, b"\x04" + bytes(8)])
def test_a_worker_whose_code_writes_to_the_executor_is_replaced(driver, data):
    outcome = driver.outcome(driver.submit(tasks.write_to_every_socket, data))
    assert isinstance(outcome, WorkerDied)
    assert "nothing that a worker says" in outcome.stderr_tail
    assert driver.call(tasks.echo, 5) == 5


def test_the_other_attempts_go_on(start_driver, tmp_path):
    driver = start_driver(slots=2)
    mark = tmp_path / "started"
    long = driver.submit(tasks.touch_and_sleep, str(mark), 1.0)
    driver.until_started(mark)
    attempts = driver.submit_all([(tasks.end_by, ("_exit",)), (tasks.echo, (5,)), (tasks.end_by, ("SIGKILL",))])
    assert isinstance(driver.outcome(attempts[0]), WorkerDied)
    assert driver.result(attempts[1]) == 5
    assert isinstance(driver.outcome(attempts[2]), WorkerDied)
    assert driver.result(long) == "slept"


def test_a_worker_killed_from_outside_while_idle_is_replaced(start_driver):
    driver = start_driver(slots=2, executor_heartbeat="50ms")
    before = set(driver.wait_ready().workers)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    driver.until(
        lambda: driver.alive and len(driver.alive[-1].workers) == 2 and not before & set(driver.alive[-1].workers)
    )
    assert driver.call(tasks.echo, 1) == 1


def test_new_workers_are_as_clean_as_the_first(driver):
    first = driver.call(tasks.about)
    for _ in range(10):
        driver.outcome(driver.submit(tasks.end_by, "SIGKILL"))
    last = driver.call(tasks.about)
    changing = {"pid", "group", "random"}
    assert {k: v for k, v in last.items() if k not in changing} == {k: v for k, v in first.items() if k not in changing}


def test_processes_that_a_worker_started_go_with_it(driver):
    child = driver.call(tasks.start_child)
    assert child in session(driver.process.pid)
    driver.outcome(driver.submit(tasks.end_by, "_exit"))
    wait_until(lambda: child not in session(driver.process.pid))


def test_an_attempt_that_ended_before_its_worker_died_did_end(driver):
    attempts = driver.submit_all([(tasks.echo, (1,)), (tasks.end_by, ("_exit",)), (tasks.echo, (2,))])
    assert driver.result(attempts[0]) == 1
    assert isinstance(driver.outcome(attempts[1]), WorkerDied)
    assert driver.result(attempts[2]) == 2


def test_workers_that_cannot_start_end_the_executor_with_the_reason(start_driver):
    driver = start_driver(runner="NoRunner")
    driver.wait_ready()
    driver.until(lambda: driver.left)
    assert "this runner cannot be made" in driver.left
    assert driver.process.wait(120) == 1


def test_many_deaths_in_a_row_leave_nothing_behind(start_driver):
    driver = start_driver(slots=2)
    driver.wait_ready()
    fds = len(os.listdir(f"/proc/{driver.process.pid}/fd"))
    attempts = driver.submit_all([(tasks.end_by, ("SIGKILL",)), (tasks.echo, (1,))] * 60)
    outcomes = [driver.outcome(attempt) for attempt in attempts]
    assert sum(isinstance(outcome, WorkerDied) for outcome in outcomes) == 60
    wait_until(lambda: len(session(driver.process.pid)) == 4)
    wait_until(lambda: len(os.listdir(f"/proc/{driver.process.pid}/fd")) == fds)
