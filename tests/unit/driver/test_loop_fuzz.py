"""The real driver's loop among honest executors, while anybody says anything at any time: jobs end with right answers.

What is said is valid, as the hub lets nothing else through, and in the speaker's own name. Executor 2 stays; 0 and 1
may lose their connection, leave, and be spoken for; others may join or not. Lies of an executor about the very tasks
that it was given are a test of their own: an outcome is what it says it is, so they may cost the job, and no more.
"""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import RddliteError
from rddlite.net.messages import (
    PROTOCOL,
    Adopted,
    AttemptReport,
    BlocksChanged,
    Draining,
    ExecutorAlive,
    FromExecutor,
    Leaving,
    Meet,
    Register,
    TasksEnded,
    WorkerOutput,
)
from tests.helpers.honest import RIGHT, Executor, Stage
from tests.helpers.values import FEW, TEXT, fixed, likely, outcomes, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.sampled_from(["0", "1", "0", "1", "ghost", "other ghost"]) | TEXT
NUMBERS = likely(st.sampled_from(["0", "1", "2", "/", "/a\0b", "/\ud800"]))
PACKED = outcomes(NUMBERS)
ROWS = st.lists(NUMBERS[float], min_size=4, max_size=4) | st.lists(NUMBERS[float], min_size=3, max_size=5)
RUNNING = st.lists(ROWS, min_size=1, max_size=3)
REGISTER = Executor("true").register()
FOREIGN = st.sampled_from([False] * 9 + [True])
VERSIONS = {
    name: st.builds(lambda is_foreign, other, own=own: other if is_foreign else own, FOREIGN, TEXT)
    for name, own in [(name, getattr(REGISTER, name)) for name in ("python", "rddlite", "cloudpickle")]
}
VERSIONS["protocol"] = st.sampled_from([PROTOCOL] * 9 + [PROTOCOL + 1])


def said_by(kind: Any) -> st.SearchStrategy[Any]:
    return values_of(kind, NUMBERS, executor=NAMES, attempt=FEW, outcome=PACKED, running=RUNNING, **VERSIONS)


TRIED = [TasksEnded, ExecutorAlive, WorkerOutput, Adopted, BlocksChanged, Draining, Leaving, Meet, Register]
MESSAGES = st.one_of([said_by(kind) for kind in TRIED])
STEPS = st.one_of(
    st.tuples(st.just("say"), MESSAGES),
    st.tuples(st.just("say"), MESSAGES),
    st.tuples(st.just("work"), st.sampled_from("012")),
    st.tuples(st.just("again"), st.sampled_from("012"), st.integers(0, 30)),
    st.tuples(st.just("register"), st.sampled_from("012")),
    st.tuples(st.just("cut"), st.sampled_from("01")),
    st.tuples(st.just("back"), st.sampled_from("01")),
    st.tuples(st.just("starve"), st.sampled_from([0.1, 3.0, 20.0])),
)


def without_lies(stage: Stage, message: FromExecutor) -> FromExecutor | None:
    """What an honest executor might say at the wrong time; None for what only a liar says."""
    executor = stage.fleet.executors.get(message.executor)
    if isinstance(message, TasksEnded):
        told = stage.fleet.told[message.executor]
        reports = [report for report in message.reports if report.attempt not in told]
        message = TasksEnded(message.executor, message.number, reports)
    match message:
        case TasksEnded() if executor is not None and message.number > executor.n_reports:
            return None  # as if it had said that what it says next had been heard
        case Register() if executor is not None:
            return executor.register()
        case Leaving() if executor is not None:
            executor.has_left = True
    return message


def take(stage: Stage, step: tuple[Any, ...]) -> None:
    fleet = stage.fleet
    match step:
        case ("lie", name, index, outcome):
            told = sorted(fleet.told[name])
            if told:
                report = AttemptReport(told[index % len(told)], outcome)
                fleet.inject(name, TasksEnded(name, 0, [report]))
        case ("say", message):
            message = without_lies(stage, message)
            if message is not None:
                fleet.inject(message.executor, message)
        case ("work", name):
            fleet.work(fleet.executors[name])
        case ("again", name, number):
            said = fleet.executors[name].said
            if said and not isinstance(again := said[number % len(said)], Register):
                fleet.inject(name, again)
        case ("register", name):
            fleet.say(fleet.executors[name], fleet.executors[name].register())
        case ("cut", name):
            fleet.executors[name].is_connected = False
            fleet.disconnects += 1
        case ("back", name):
            fleet.executors[name].is_connected = True
            fleet.reconnect(fleet.executors[name])
        case ("starve", seconds):
            stage.clock.advance(seconds)
            fleet.live()


def follow(stage: Stage, steps: list[tuple[Any, ...]]) -> Callable[[], bool]:
    """A script of these steps, which then lets everybody come back."""
    todo = iter(steps)

    def script() -> bool:
        step = next(todo, None)
        if step is None:
            return False
        take(stage, step)
        return True

    return script


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rddlite")


@fixed
@given(st.lists(STEPS, min_size=8, max_size=40), st.booleans())
def test_whatever_is_said_the_answer_is_right(steps: list[tuple[Any, ...]], is_open: bool) -> None:
    with closing(Stage(is_open=is_open)) as stage:
        assert stage.run(follow(stage, steps)) == RIGHT


LIES = st.tuples(st.just("lie"), st.sampled_from("01"), FEW, PACKED)


@fixed
@given(st.lists(LIES | STEPS, min_size=8, max_size=40), st.booleans())
def test_lies_about_own_tasks_cost_no_more_than_the_job(steps: list[tuple[Any, ...]], is_open: bool) -> None:
    # The job's error, or what a made-up result cannot be read for; a loop that failed says so by a RuntimeError.
    with closing(Stage(is_open=is_open)) as stage, suppress(RddliteError, ValueError):
        stage.run(follow(stage, steps))


def test_every_message_of_an_executor_is_among_those_that_are_tried() -> None:
    assert set(TRIED) == set(FromExecutor.__args__)
