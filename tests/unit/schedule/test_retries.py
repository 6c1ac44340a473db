"""Which failures are retried, and how often: each cause has its own count."""

from __future__ import annotations

import pytest

from rddlite.base.outcome import Failure, Killed, Raised, WorkerDied
from rddlite.schedule import commands as cmd
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.retries import Trouble
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, raised

OPTIONS = SchedulerOptions(max_failures=3, max_deaths=2)
DIED = WorkerDied(None, 9)


def test_user_exceptions_are_counted_against_max_failures() -> None:
    trouble = Trouble()
    assert trouble.charge(raised(), OPTIONS) is None
    assert trouble.charge(raised(), OPTIONS) is None
    assert trouble.charge(raised(), OPTIONS) == "it failed 3 times"


def test_one_attempt_is_all_when_max_failures_is_one() -> None:
    assert Trouble().charge(raised(), SchedulerOptions(max_failures=1)) == "it failed once"


def test_what_another_attempt_cannot_help_fails_at_once() -> None:
    assert Trouble().charge(raised(retryable=False), OPTIONS) == "another attempt cannot help"


def test_deaths_have_a_count_of_their_own() -> None:
    trouble = Trouble()
    assert trouble.charge(DIED, OPTIONS) is None
    assert trouble.charge(raised(), OPTIONS) is None
    assert trouble.charge(raised(), OPTIONS) is None
    assert trouble.charge(DIED, OPTIONS) == "the process that ran it ended 2 times"


def test_a_kill_that_nobody_asked_for_counts_as_a_death() -> None:
    trouble = Trouble()
    assert trouble.charge(Killed("?"), OPTIONS) is None
    assert trouble.charge(DIED, OPTIONS) is not None


def test_the_same_error_at_the_same_line_for_the_same_record_is_deterministic() -> None:
    trouble = Trouble()
    assert trouble.charge(raised("x"), OPTIONS) is None
    note = trouble.charge(raised("x"), OPTIONS)
    assert note == "the same error came from the same line for the same record twice"


@pytest.mark.parametrize("second", [raised("y"), raised(None), raised("x", "KeyError")], ids=["record", "none", "type"])
def test_another_record_or_type_is_not(second: object) -> None:
    trouble = Trouble()
    trouble.charge(raised("x"), OPTIONS)
    assert trouble.charge(second, OPTIONS) is None


def test_unknown_records_are_never_the_same() -> None:
    trouble = Trouble()
    assert trouble.charge(raised(None), OPTIONS) is None
    assert trouble.charge(raised(None), OPTIONS) is None


def test_it_is_compared_with_every_attempt_before() -> None:
    trouble, options = Trouble(), SchedulerOptions(max_failures=9)
    assert [trouble.charge(raised(record), options) for record in "xy"] == [None, None]
    assert trouble.charge(raised("x"), options) is not None


@pytest.mark.parametrize(
    "name",
    ["OSError", "ConnectionError", "TimeoutError", "ConnectionResetError", "requests.ConnectionError"],
)
def test_errors_of_the_world_are_never_deterministic(name: str) -> None:
    trouble = Trouble()
    assert trouble.charge(raised("x", name), OPTIONS) is None
    assert trouble.charge(raised("x", name), OPTIONS) is None


def test_kinds_of_oserror_that_others_made_are_not_either() -> None:
    failure = Failure("URLError", "no route", "", "", location="job.py:1", record="x", is_transient=True)
    trouble = Trouble()
    assert trouble.charge(Raised(failure, True), OPTIONS) is None
    assert trouble.charge(Raised(failure, True), OPTIONS) is None


def test_fail_fast_can_be_switched_off() -> None:
    trouble, options = Trouble(), SchedulerOptions(max_failures=3, fail_fast=False)
    assert trouble.charge(raised("x"), options) is None
    assert trouble.charge(raised("x"), options) is None


def test_a_retry_has_the_next_number_and_a_new_attempt() -> None:
    rig = Rig("a", max_failures=3)
    rig.submit(job(0, 1))
    (first,) = rig.running()
    rig.end(first, raised())
    (second,) = rig.running()
    assert (first.number, second.number) == (0, 1)
    assert first.attempt != second.attempt
    rig.end(second, DIED)
    assert rig.running() == [like(cmd.Launch, number=2)]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_the_failure_names_the_last_attempt() -> None:
    rig = Rig("a", max_failures=2)
    rig.submit(job(0, 3))
    failing = [launch for launch in rig.running() if launch.index == 1]
    while failing:
        commands = rig.end(failing[0], raised())
        failing = [launch for launch in rig.running() if launch.index == 1]
    (failed,) = of(cmd.JobFailed, commands)
    assert failed.cause == like(cmd.TaskFailedForGood, index=1, number=1, note="it failed 2 times")


def test_an_unasked_kill_is_retried() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    commands = rig.end(rig.running()[0], Killed("by whom?"))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, number=1)]


def test_a_lost_executor_is_not_charged() -> None:
    rig = Rig(max_failures=1, max_deaths=1)
    rig.join("0")
    rig.submit(job(0, 1))
    for number in range(1, 20):
        rig.join(str(number))
        commands = rig.lose(str(number - 1))
        assert of(cmd.Launch, commands) == [like(cmd.Launch, executor=str(number), number=number)]
        assert of(cmd.AttemptEnded, commands) == [like(cmd.AttemptEnded, status="executor_lost", accepted=False)]
    assert rig.finish()[-1] == cmd.JobDone(0)
