"""Tasks through a real executor: registration, blobs, results, turns, what a worker process is."""

from __future__ import annotations

import os
import random
import time

import pytest

from rddlite.base.outcome import Killed, OutOfMemory, Raised
from rddlite.net.messages import Adopt, Blob, Forget, KillTask, ReportsSeen, RunTask, RunTasks
from rddlite.version import __version__
from tests.local import stub_tasks as tasks
from tests.local.mini_driver import session

pytestmark = pytest.mark.local


def test_an_executor_registers_with_its_workers_and_versions(start_driver):
    driver = start_driver(slots=3)
    who = driver.wait_ready()
    assert (who.executor, who.slots, who.pid, who.rddlite) == ("0", 3, driver.process.pid, __version__)
    assert len(set(who.workers)) == 3
    assert set(who.workers) < set(session(driver.process.pid))
    assert who.attempts == []
    assert sorted(os.listdir(who.scratch)) == ["cache", "results", "shuffle", "spill", "token"]


def test_results_come_back_and_all_workers_take_part(start_driver):
    driver = start_driver(slots=2)
    attempts = driver.submit_all([(tasks.echo, ({"n": n},)) for n in range(100)])
    assert [driver.result(attempt) for attempt in attempts] == [{"n": n} for n in range(100)]
    seen = set()
    while len(seen) < 2:  # which of them is quicker is nobody's promise
        seen |= {driver.result(a)["pid"] for a in driver.submit_all([(tasks.about, ())] * 50)}
    assert seen == set(driver.registered[-1].workers)


def test_a_worker_is_a_clean_process_of_its_own(driver):
    first = driver.call(tasks.about)
    assert first["group"] == first["pid"]
    assert first["parent"] not in (driver.process.pid, os.getpid())
    assert first["thread_is_main"]
    assert first["executor"] == "0"
    assert first["scratch"] == driver.executor_scratch
    assert first["hash_seed"] == "0"
    assert first["omp"] == "1"
    assert first["stdin"] == ""
    assert not first["zmq"], "a worker has no use for sockets of its executor"
    assert first["oom_score_adj"] == 1000
    assert first["main"] is None
    assert first["memory_limit"] > 0
    assert len(first["fds"]) <= 10, (
        "standard streams (two of them twice), channel, kill cell, permits, size of the process, and the listing itself"
    )
    assert first["random"] != random.Random(0).random()


def test_workers_have_different_random_numbers(start_driver):
    driver = start_driver(slots=3)
    seen = {}
    while len(seen) < 3:
        for attempt in driver.submit_all([(tasks.about, ())] * 10):
            answer = driver.result(attempt)
            seen.setdefault(answer["pid"], answer["random"])
    assert len(set(seen.values())) == 3


def test_settings_reach_the_workers(start_driver):
    driver = start_driver(executor_heartbeat="7s", executor_memory="300m", slots=3)
    answer = driver.call(tasks.about)
    assert answer["heartbeat"] == 7.0
    assert answer["memory_limit"] == 100 << 20


def test_blobs_are_there_for_the_tasks_that_name_them_until_they_are_forgotten(start_driver):
    driver = start_driver(slots=2)
    attempts = driver.submit_all([(tasks.lengths, ())] * 20, {"a": b"x" * 10, "b": b"y" * (3 << 20)})
    assert {str(driver.result(attempt)) for attempt in attempts} == {str({"a": 10, "b": 3 << 20})}
    driver.hub.send("0", Forget(["b"], [], [], [], []))
    attempts = driver.submit_all([(tasks.lengths, ())] * 20, {"a": None})
    assert {str(driver.result(attempt)) for attempt in attempts} == {str({"a": 10})}


def test_a_worker_does_not_keep_blobs_without_end(driver):
    for i in range(200):
        driver.submit(tasks.echo, i, blobs={f"blob-{i}": bytes(1000)})
    kept = driver.result(driver.submit(tasks.lengths, blobs={"last": b"x"}))
    assert "last" in kept
    assert len(kept) <= 64


def test_a_task_whose_blob_is_missing_says_so(driver):
    outcome = driver.outcome(driver.submit(tasks.echo, 1, blobs={"unknown": None}))
    assert isinstance(outcome, Raised)
    assert outcome.retryable
    assert "unknown" in outcome.failure.message
    assert driver.call(tasks.echo, 2) == 2


def test_large_blobs_and_results_pass(driver):
    attempt = driver.submit(tasks.lengths, blobs={"big": bytes(80 << 20)})
    assert driver.result(attempt) == {"big": 80 << 20}
    assert driver.call(tasks.echo, b"x" * (3 << 20)) == b"x" * (3 << 20)


def test_an_attempt_that_is_sent_twice_runs_once(driver, tmp_path):
    mark = tmp_path / "started"
    attempt = driver.submit(tasks.touch_and_sleep, str(mark), 3600)
    driver.until_started(mark)
    driver.hub.send("0", RunTasks([], [RunTask(attempt, 1, 1, 1, 0, "", "", b"not even a pickle")]))
    assert driver.submit(tasks.echo, 1) == attempt + 1
    driver.kill(attempt)
    driver.outcome(attempt)
    assert driver.result(attempt + 1) == 1
    assert sum(report.attempt == attempt for message in driver.reports for report in message.reports) == 1


def test_files_of_shuffles_are_deleted_when_nobody_needs_them(driver):
    driver.wait_ready()
    directory = os.path.join(driver.executor_scratch, "shuffle")
    names = ["shuffle-1-0-5.data", "shuffle-1-0-5.index", "shuffle-2-0-6.data", "shuffle-2-1-7.data"]
    for name in names:
        open(os.path.join(directory, name), "w").close()
    driver.hub.send("0", Forget([], [1], [[2, 1, 7]], [], []))
    driver.until(lambda: os.listdir(directory) == ["shuffle-2-0-6.data"])


def test_heartbeats_tell_what_runs_and_how_much_memory(start_driver, tmp_path):
    driver = start_driver(slots=2, executor_heartbeat="50ms")
    attempt = driver.submit(tasks.touch_and_sleep, str(tmp_path / "started"), 3600)
    driver.until(lambda: driver.alive and driver.alive[-1].running)
    alive = driver.alive[-1]
    assert alive.running[0][0] == attempt
    assert alive.running[0][1] in alive.workers
    assert alive.running[0][2] >= 0
    assert len(alive.workers) == 2
    assert alive.memory > 10 << 20


def test_reports_that_got_lost_are_sent_again(start_driver):
    driver = start_driver(executor_heartbeat="50ms")
    driver.answers_heartbeats = False
    first = driver.submit(tasks.echo, 1)
    driver.result(first)
    driver.reports.clear()
    driver.outcomes.clear()
    driver.hub.send("0", ReportsSeen(0, 1))
    assert driver.result(first) == 1
    driver.hub.send("0", ReportsSeen(1, 1))
    driver.reports.clear()
    driver.hub.send("0", ReportsSeen(1, 1))
    driver.call(tasks.echo, 2)
    assert [message.number for message in driver.reports] == [2]


def test_after_a_broken_connection_it_registers_again_and_nothing_is_lost(start_driver, tmp_path):
    driver = start_driver(slots=2)
    driver.answers_heartbeats = False
    running = driver.submit(tasks.touch_and_sleep, str(tmp_path / "started"), 3600)
    waiting = driver.submit_all([(tasks.touch_and_sleep, (str(tmp_path / "next"), 3600)), (tasks.echo, (3,))])
    driver.until(lambda: (tmp_path / "started").exists() and (tmp_path / "next").exists())
    driver.kill(waiting[0])
    driver.outcome(waiting[0])
    driver.result(waiting[1])
    driver.outcomes.clear()
    driver.replace_hub()
    assert driver.wait_ready().attempts == [running, *waiting]
    assert driver.result(waiting[1]) == 3
    assert driver.outcome(waiting[0]) == Killed("the test wants it")
    assert driver.call(tasks.echo, 4) == 4
    driver.kill(running)
    assert driver.outcome(running) == Killed("the test wants it")


def test_what_ends_while_the_connection_is_broken_is_told_when_it_is_back(driver, tmp_path):
    driver.answers_heartbeats = False  # also if it ended before that: nobody says that it was heard
    attempt = driver.submit(tasks.touch_and_sleep, str(tmp_path / "started"), 0.5)
    driver.until_started(tmp_path / "started")
    driver.hub.close()
    driver.registered.clear()
    time.sleep(1.0)
    driver.replace_hub()
    assert driver.wait_ready().attempts == [attempt]
    assert driver.result(attempt) == "slept"


@pytest.mark.parametrize("how", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "unprintable", "recursion"])
def test_whatever_a_task_raises_its_worker_goes_on(driver, how):
    pid = driver.call(tasks.about)["pid"]
    outcome = driver.outcome(driver.submit(tasks.end_by, how))
    assert isinstance(outcome, Raised)
    assert outcome.failure.type_name
    assert driver.call(tasks.about)["pid"] == pid


def test_a_memory_error_is_a_lack_of_memory(driver):
    outcome = driver.outcome(driver.submit(tasks.end_by, "MemoryError"))
    assert isinstance(outcome, OutOfMemory)
    assert outcome.limit > 0
    assert outcome.peak > 0
    assert outcome.detail == "no room"


@pytest.mark.parametrize("task", [tasks.unpackable_outcome, tasks.huge_outcome])
def test_an_outcome_that_cannot_travel_is_the_tasks_failure(driver, task):
    outcome = driver.outcome(driver.submit(task))
    assert isinstance(outcome, Raised)
    assert not outcome.retryable
    assert driver.call(tasks.echo, 1) == 1


def test_a_task_that_forks_is_reported_once(driver):
    assert driver.call(tasks.fork_and_return_twice) > 0
    assert driver.call(tasks.echo, 1) == 1
    assert sum(len(message.reports) for message in driver.reports) == 2


def test_garbage_from_the_driver_is_survived(driver):
    driver.wait_ready()
    driver.hub._socket.send_multipart([b"0", b"\xc1 garbage"])
    driver.hub.send("0", RunTasks([Blob("x", b"")], []))
    assert driver.call(tasks.echo, 1) == 1


def test_a_driver_may_name_things_as_it_likes(driver):
    numbers = [-(1 << 63), -1, (1 << 64) - 1]
    rows = [[number] * 3 for number in numbers]
    name = "\ud800/../\0"
    assert driver.call(tasks.echo, 1) == 1
    strange = [RunTask(number, number, number, number, 0, name, name, b"") for number in numbers]
    for message in (
        RunTasks([Blob(name, b"x")], strange),
        Forget([name], numbers, rows, numbers, numbers),
        Adopt(name, name, rows),
        *(KillTask(number, name) for number in numbers),
    ):
        assert driver.hub.send("0", message)
    assert driver.result(driver.submit(tasks.lengths, blobs={name: b"abc"})) == {name: 3}
    assert driver.hub.send("0", Forget([name], [], [], [], numbers))
    assert driver.result(driver.submit(tasks.lengths)) == {}
