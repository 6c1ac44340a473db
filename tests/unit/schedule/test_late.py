"""Reports that come late, twice, from the dead, or about attempts that nobody wants any more."""

from __future__ import annotations

from rddlite.base.outcome import Killed, OutOfMemory
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable


def test_the_same_outcome_twice_counts_once() -> None:
    rig = Rig("a", slots=4)
    rig.submit(job(0, 2, map_stage(0, 1)))
    (launch,) = rig.running()
    rig.succeed(launch)
    assert rig.succeed(launch) == [], "not even a word to delete the file: it is the one that counts"
    result = rig.running()[0]
    rig.succeed(result)
    assert rig.succeed(result) == []


def test_a_failure_reported_twice_is_charged_once() -> None:
    rig = Rig("a", max_failures=2)
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    rig.end(launch, raised())
    assert rig.end(launch, raised()) == []


def test_an_attempt_that_nobody_knows_is_ignored() -> None:
    rig = Rig("a")
    launch = cmd.Launch("a", 99, 0, ResultStage(0), 0, 0)
    assert rig.succeed(launch) == []


def test_an_attempt_of_another_executor_is_ignored() -> None:
    rig = Rig("a", "b")
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    stranger = {"a": "b", "b": "a"}[launch.executor]
    assert rig.tell(ev.TaskEnded(stranger, launch.attempt, rig.success_of(launch))) == []


def test_outputs_of_the_dead_are_never_taken() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1, map_stage(0, 2)))
    ghost = next(launch for launch in rig.running() if launch.executor == "a")
    rig.lose("a")
    assert rig.succeed(ghost) == []
    rig.finish()
    assert {place[0] for place in rig.places(0)} == {"b"}


def forget(launch: cmd.Launch) -> cmd.ForgetOutput:
    return cmd.ForgetOutput(launch.executor, launch.key.shuffle, launch.index, launch.attempt)


def test_the_output_of_a_cancelled_job_without_any_other_output_is_deleted() -> None:
    """Nothing of the shuffle was there when its last job ended, so nothing is kept of it."""
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 1)))
    (launch,) = rig.running()
    rig.tell(ev.JobCancelled(0, "stop"))
    assert of(cmd.ForgetOutput, rig.succeed(launch)) == [forget(launch)]


def test_a_killed_attempt_succeeds_for_the_next_job() -> None:
    rig = Rig("a", slots=3)
    plans = (map_stage(0, 2),)
    rig.submit(job(0, 1, *plans))
    killed = rig.running()[0]
    rig.tell(ev.JobCancelled(0, "stop"))
    rig.submit(job(1, 1, *plans))
    (again,) = [each for each in rig.all_launches[2:] if each.index == killed.index]
    commands = rig.succeed(killed)
    assert of(cmd.AttemptEnded, commands) == [like(cmd.AttemptEnded, attempt=killed.attempt, accepted=True)]
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=again.attempt)]
    assert of(cmd.ForgetOutput, rig.succeed(again)) == [forget(again)]


def test_a_late_result_of_a_killed_attempt_changes_nothing_for_the_next_job() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    rig.tell(ev.JobCancelled(0, "stop"))
    commands = rig.succeed(launch)
    assert commands == [like(cmd.AttemptEnded, status="success", accepted=False)]


def test_a_killed_attempts_fetch_failure_is_not_believed() -> None:
    rig = Rig("a")
    rig.submit(job(0, 2, map_stage(0, 1)))
    rig.finish(MapStage(0))
    reader = rig.running()[0]
    rig.tell(ev.JobCancelled(0, "stop"))
    assert of(cmd.MapOutputsLost, rig.end(reader, unreadable(0, 0, rig.places(0)[0]))) == []


def test_late_outputs_complete_a_stage_that_waits_for_its_inputs() -> None:
    rig = Rig("a", "b", slots=2)
    plans = (map_stage(0, 1), map_stage(1, 1, (0,)))
    rig.submit(job(0, 1, *plans))
    rig.finish(MapStage(0))
    (holder, _), (late,) = rig.places(0)[0], rig.running()
    rig.tell(ev.OutputsLost(holder, 0, (0,), "gone"))
    rig.tell(ev.JobCancelled(0, "stop"))
    rig.submit(job(1, 1, *plans))
    (rerun,) = rig.running(MapStage(0))
    commands = rig.succeed(late)
    assert rig.turn.rows["stage", "WAITING", "DONE"] == 1
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=rerun.attempt)], "its output is not needed any more"
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(1))]


def test_a_late_success_settles_a_task_that_waits_to_run_alone() -> None:
    rig = Rig("a", slots=3)
    plans = (map_stage(0, 2),)
    rig.submit(job(0, 1, *plans))
    late = rig.running()[0]
    rig.succeed(rig.running()[1])
    rig.tell(ev.JobCancelled(0, "stop"))
    rig.submit(job(1, 1, *plans))
    (again,) = [each for each in rig.all_launches[2:] if each.index == late.index]
    rig.end(again, OutOfMemory(1, 2))
    assert rig.turn.rows["task", "RUNNING", "ALONE"] == 1
    rig.succeed(late)
    assert rig.turn.rows["task", "ALONE", "DONE"] == 1
    assert rig.finish(ResultStage(1))[-1] == cmd.JobDone(1)


def test_a_kill_without_an_answer_is_sent_again() -> None:
    rig = Rig("a", kill_repeat=3.0)
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    rig.tell(ev.JobCancelled(0, "stop"))
    assert rig.scheduler.next_deadline() == 3.0
    assert of(cmd.Kill, rig.tell(ev.Tick(), after=2.9)) == []
    assert of(cmd.Kill, rig.tell(ev.Tick(), after=0.1)) == [cmd.Kill("a", launch.attempt, "stop")]
    rig.end(launch, Killed("stop"))
    assert of(cmd.Kill, rig.tell(ev.Tick(), after=3.0)) == []
