"""What tasks write: every line reaches the driver, marked with the attempt that wrote it."""

from __future__ import annotations

import pytest

from rddlite.base.outcome import WorkerDied
from tests.local import stub_tasks as tasks

pytestmark = pytest.mark.local


def test_lines_are_marked_with_their_task_and_come_before_its_end(driver):
    attempt = driver.submit(tasks.say, "hello\nworld")
    driver.outcome(attempt)
    (line, second) = [line for message in driver.output for line in message.lines]
    assert (line.attempt, line.stage, line.partition) == (attempt, 1000 + attempt, 2000 + attempt)
    assert (line.stream, line.text, second.text) == ("stdout", "hello", "world")


def test_marks_are_exact_for_tasks_in_a_row(start_driver):
    driver = start_driver(slots=2)
    attempts = driver.submit_all([(tasks.say_many, (20,))] * 40)
    for attempt in attempts:
        driver.result(attempt)
    wrong = [line for line in driver.lines if not line[2].endswith(f" of {line[0]}")]
    assert wrong == []
    assert len(driver.lines) == 40 * 40
    for attempt in attempts:
        mine = [text for who, stream, text in driver.lines if who == attempt and stream == "stdout"]
        assert mine == [f"line {i} of {attempt}" for i in range(20)]


def test_silent_tasks_between_those_that_write_change_no_mark(start_driver):
    driver = start_driver(slots=2)
    attempts = driver.submit_all([(tasks.echo, (i,)) if i % 3 else (tasks.say_many, (1,)) for i in range(120)])
    for attempt in attempts:
        driver.result(attempt)
    assert sorted(driver.lines) == [
        (attempt, stream, f"{kind} 0 of {attempt}")
        for attempt in attempts[::3]
        for stream, kind in (("stderr", "error"), ("stdout", "line"))
    ]


def test_output_of_a_running_task_comes_while_it_runs(driver, tmp_path):
    mark = tmp_path / "started"
    attempts = driver.submit_all(
        [(tasks.say, ("early\n",)), (tasks.touch_and_sleep, (str(mark), 3600))],
    )
    driver.until(lambda: driver.lines)
    driver.kill(attempts[1])


def test_stderr_and_what_does_not_pass_through_python(driver):
    driver.call(tasks.say, "to stderr\n", "stderr")
    attempt = driver.submit(tasks.say_without_python)
    driver.result(attempt)
    assert (attempt - 1, "stderr", "to stderr") in driver.lines
    mine = sorted(line[1:] for line in driver.lines if line[0] == attempt)
    assert mine == [("stderr", "from a child"), ("stdout", "from a child"), ("stdout", "straight to stdout")]


def test_logging_in_tasks_is_formatted(driver):
    driver.call(tasks.log_a_warning)
    (line,) = driver.lines
    assert line[1] == "stderr"
    assert line[2].endswith("WARNING user.code: mind the gap")


def test_the_last_lines_of_a_crash_are_never_dropped(start_driver):
    driver = start_driver(output_rateLimit=100)
    attempt = driver.submit(tasks.say_and_crash)
    outcome = driver.outcome(attempt)
    assert isinstance(outcome, WorkerDied)
    assert "last line before the crash" in outcome.stderr_tail
    assert "in say_and_crash" in outcome.stderr_tail
    errors = [text for who, stream, text in driver.lines if who == attempt and stream == "stderr"]
    assert errors[0] == "last line before the crash"
    assert any("in say_and_crash" in line for line in errors)


def test_a_flood_is_cut_counted_and_holds_nobody_up(start_driver):
    driver = start_driver(output_rateLimit="10k", slots=2)
    attempts = driver.submit_all([(tasks.flood, (20 << 20,)), (tasks.echo, (1,))])
    assert driver.result(attempts[1]) == 1
    assert driver.result(attempts[0]) == "done"
    driver.until(lambda: sum(message.dropped for message in driver.output) > 15 << 20)
    passed = sum(len(line[2]) + 1 for line in driver.lines)
    dropped = sum(message.dropped for message in driver.output)
    assert passed + dropped == (20 << 20) // 100 * 100
    assert passed < 5 << 20


def test_a_task_that_closes_its_streams_harms_nobody(driver):
    attempt = driver.submit(tasks.close_streams)
    driver.outcome(attempt)
    assert driver.call(tasks.echo, 1) == 1
