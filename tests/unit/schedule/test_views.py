"""What the scheduler shows of itself, and the options it is given."""

from __future__ import annotations

from rddlite.base.config import Settings
from rddlite.plan.model import ResultStage
from rddlite.schedule import events as ev
from rddlite.schedule.core import SchedulerOptions
from rddlite.schedule.views import AttemptView
from tests.helpers.scheduling import Rig, job


def test_executors_are_shown_with_what_occupies_them() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorSuspected("b", "cut"))
    first, second = rig.scheduler.executors()
    assert (first.id, first.host, first.slots, first.state) == ("a", "host-a", 1, "alive")
    assert first.attempts == (AttemptView(0, 0, ResultStage(0), 0, 0, False),)
    assert (second.state, second.attempts) == ("suspect", ())
    rig.tell(ev.JobCancelled(0, "stop"))
    assert rig.scheduler.executors()[0].attempts[0].is_killed


def test_strays_are_not_shown() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorReturned("a", frozenset()))
    assert [each.attempt for each in rig.scheduler.executors()[0].attempts] == [1]


def test_options_follow_the_settings() -> None:
    options = SchedulerOptions.from_settings(Settings({"task.maxDeaths": 7, "executor.silence": "3s"}), 1)
    assert options.max_failures == 1
    assert options.max_deaths == 7
    assert options.silence == 3.0
    assert SchedulerOptions.from_settings(Settings({"task.maxFailures": 3}), 1).max_failures == 3
