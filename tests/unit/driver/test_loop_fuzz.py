"""The real driver's loop among honest executors, while anybody says anything at any time: jobs end with right answers.

What is said is valid, as the hub lets nothing else through, and in the speaker's own name. Executor 2 stays; 0 and 1
may lose their connection, leave, and be spoken for; others may not join. Not covered are lies of an executor about the
very tasks that it was given: their outcome is what it says it is.
"""

from __future__ import annotations

import logging
import math
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rddlite.base.outcome import TaskOutcome
from rddlite.net.messages import (
    PROTOCOL,
    Adopted,
    BlocksChanged,
    Draining,
    ExecutorAlive,
    FromExecutor,
    Leaving,
    Register,
    TasksEnded,
    WorkerOutput,
)
from rddlite.net.wire import pack_outcome
from tests.helpers.honest import RIGHT, Executor, Stage
from tests.helpers.values import SCALARS, TEXT, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = st.integers(0, 12)
NAMES = st.sampled_from(["0", "1", "0", "1", "ghost", "other ghost"]) | TEXT
NUMBERS = {
    **SCALARS,
    int: FEW | FEW | SCALARS[int],
    float: FEW | st.floats() | st.sampled_from([math.inf, -math.inf, math.nan]),
    str: st.sampled_from(["0", "1", "2", "/", "/a\0b", "/\ud800"]) | TEXT,
}
PACKED = values_of(TaskOutcome, NUMBERS).map(pack_outcome) | st.binary(max_size=20)
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


MESSAGES = st.one_of(
    said_by(TasksEnded),
    said_by(ExecutorAlive),
    said_by(WorkerOutput),
    said_by(Adopted),
    said_by(BlocksChanged),
    said_by(Draining),
    said_by(Leaving),
    said_by(Register),
)
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
fixed = settings(
    max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
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
