"""Jobs and stages: what runs, in which order, shared or skipped, cancelled or failed."""

from __future__ import annotations

from rddlite.base.ids import JobId, ShuffleId
from rddlite.base.outcome import Killed
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.invariants import check
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised


def test_maps_run_before_results_and_each_result_is_delivered_once() -> None:
    rig = Rig("a")
    rig.submit(job(7, 3, map_stage(1, 2)))
    assert [(launch.key, launch.index) for launch in rig.running()] == [(MapStage(1), 0), (MapStage(1), 1)]
    commands = rig.finish()
    assert of(cmd.DeliverResult, commands) == [
        like(cmd.DeliverResult, job_id=7, index=i, executor="a") for i in range(3)
    ]
    assert commands[-1] == cmd.JobDone(7)


def test_attempts_are_numbered_once_and_for_all() -> None:
    rig = Rig("a")
    rig.submit(job(0, 2))
    rig.submit(job(1, 2))
    rig.finish()
    assert [launch.attempt for launch in rig.all_launches] == [0, 1, 2, 3]


def test_notes_tell_the_story_of_a_stage() -> None:
    rig = Rig("a")
    commands = rig.submit(job(3, 1, map_stage(5, 2)))
    assert commands[0] == cmd.StageStarted(0, MapStage(5), 0, "map 5", 2, (3,))
    first, second = rig.running()
    assert rig.succeed(first) == [like(cmd.AttemptEnded, stage=0, index=0, attempt=0, status="success", accepted=True)]
    commands = rig.succeed(second)
    assert commands[1:3] == [cmd.StageEnded(0, 0), like(cmd.StageStarted, stage=1, key=ResultStage(3), n_tasks=1)]


def test_a_stage_of_a_chain_waits_for_the_one_before() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 1, map_stage(0, 1), map_stage(1, 1, (0,)), map_stage(2, 1, (1,))))
    seen = []
    while rig.running():
        (launch,) = rig.running()
        seen.append(launch.key)
        rig.succeed(launch)
    assert seen == [MapStage(0), MapStage(1), MapStage(2), ResultStage(0)]


def test_a_thousand_stages_in_a_chain() -> None:
    rig = Rig("a")
    maps = [map_stage(n, 1, (n - 1,) if n else ()) for n in range(1000)]
    rig.submit(job(0, 1, *maps))
    while rig.running():
        (launch,) = rig.running()
        rig.launched.clear()
        commands = rig.scheduler.handle(rig.ended(launch, rig.success_of(launch)), 0.0)
        rig.launched.update({each.attempt: each for each in of(cmd.Launch, commands)})
    assert commands[-1] == cmd.JobDone(0)
    # Losing the executor loses everything; one job that needs the last shuffle runs the whole chain again.
    rig.join("b")
    rig.lose("a")
    commands = rig.submit(job(1, 1, *maps))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=MapStage(0))]
    commands = rig.tell(ev.JobCancelled(1, "enough"))
    assert of(cmd.Kill, commands) == [like(cmd.Kill, executor="b")]


def test_a_shuffle_read_twice_by_one_stage_is_made_once() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 2), parents=(0, 0)))
    rig.finish()
    assert [launch.key for launch in rig.all_launches] == [MapStage(0), MapStage(0), ResultStage(0)]


def test_jobs_without_tasks_are_done_at_once_without_computing_anything() -> None:
    rig = Rig("a")
    assert rig.submit(job(0, 0, map_stage(0, 3))) == [cmd.JobDone(0)]
    assert rig.submit(job(1, 0)) == [cmd.JobDone(1)]


def test_a_shuffle_without_maps_is_complete() -> None:
    rig = Rig("a")
    commands = rig.submit(job(0, 1, map_stage(0, 0)))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(0))]
    assert rig.places(0) == ()


def test_a_job_that_runs_already_is_not_started_again() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    assert rig.submit(job(0, 1)) == []


# Sharing


def test_a_shuffle_that_is_complete_is_skipped() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 2), map_stage(1, 2, (0,))))
    rig.finish()
    commands = rig.submit(job(1, 1, map_stage(0, 2), map_stage(1, 2, (0,))))
    assert commands[0] == cmd.StageSkipped(1, 1)
    assert of(cmd.StageSkipped, commands) == [commands[0]], "what is below a skipped stage is not needed at all"
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(1))]


def test_two_jobs_at_once_compute_a_shared_shuffle_once() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 1, map_stage(0, 3)))
    rig.submit(job(1, 1, map_stage(0, 3)))
    commands = rig.finish()
    assert sum(launch.key == MapStage(0) for launch in rig.all_launches) == 3
    assert of(cmd.JobDone, commands) == [cmd.JobDone(0), cmd.JobDone(1)]


def test_outputs_are_kept_until_their_shuffle_is_forgotten() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 2)))
    rig.finish()
    epoch, places = rig.scheduler.outputs_of(0)
    assert places == (("a", 0), ("a", 1))
    assert rig.scheduler.outputs_of(0) == (epoch, places)
    assert rig.scheduler.outputs_of(0)[1] is places
    assert rig.tell(ev.ShuffleForgotten(0)) == [cmd.ForgetShuffle(0)]
    rig.submit(job(1, 1, map_stage(0, 2)))
    assert {launch.key for launch in rig.running()} == {MapStage(0)}


def test_a_shuffle_in_use_is_forgotten_when_its_last_job_ends() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 2)))
    assert rig.tell(ev.ShuffleForgotten(0)) == []
    commands = rig.finish()
    assert commands[-2:] == [cmd.JobDone(0), cmd.ForgetShuffle(0)]


def test_a_shuffle_that_nobody_knows_is_forgotten_all_the_same() -> None:
    assert Rig().tell(ev.ShuffleForgotten(99)) == [cmd.ForgetShuffle(99)]


def test_outputs_of_a_cancelled_job_are_kept_for_the_next_one() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 1, map_stage(0, 3)))
    rig.succeed(*rig.running())
    commands = rig.tell(ev.JobCancelled(0, "Ctrl-C"))
    (kill,) = of(cmd.Kill, commands)
    rig.end(rig.launched[kill.attempt], Killed("Ctrl-C"))
    rig.submit(job(1, 1, map_stage(0, 3)))
    rig.finish()
    assert [launch.index for launch in rig.all_launches if launch.key == MapStage(0)] == [0, 1, 1, 2]


# Order


def test_the_oldest_job_is_served_first_even_if_it_was_submitted_later() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(5, 3))
    rig.submit(job(4, 1))
    rig.succeed(*rig.running())
    assert rig.running() == [like(cmd.Launch, key=ResultStage(4))]


def test_a_shared_stage_takes_the_place_of_its_oldest_job() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(1, 2))
    rig.submit(job(2, 1, map_stage(0, 1)))
    rig.submit(job(0, 1, map_stage(0, 1)))
    rig.succeed(*rig.running())
    assert rig.running() == [like(cmd.Launch, key=MapStage(0))]
    rig.tell(ev.JobCancelled(0, "never mind"))
    rig.succeed(*rig.running())
    assert rig.running() == [like(cmd.Launch, key=ResultStage(1), index=1)]


# Cancelling


def test_cancelling_kills_what_runs_and_launches_nothing_more() -> None:
    rig = Rig("a")
    rig.submit(job(0, 9))
    commands = rig.tell(ev.JobCancelled(0, "Ctrl-C"))
    assert commands[0] == cmd.JobFailed(0, cmd.Cancelled("Ctrl-C"))
    assert of(cmd.Kill, commands) == [cmd.Kill("a", 0, "Ctrl-C"), cmd.Kill("a", 1, "Ctrl-C")]
    assert of(cmd.Launch, commands) == []
    assert rig.end(rig.launched[0], Killed("Ctrl-C")) == [like(cmd.AttemptEnded, status="killed", accepted=False)]
    late = rig.succeed(rig.launched[1])
    assert late == [like(cmd.AttemptEnded, status="success", accepted=False)]


def test_a_killed_attempt_keeps_its_slot_until_it_has_ended() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 1))
    rig.tell(ev.JobCancelled(0, "Ctrl-C"))
    rig.submit(job(1, 1))
    assert len(rig.all_launches) == 1
    rig.end(rig.all_launches[0], Killed("Ctrl-C"))
    assert len(rig.all_launches) == 2


def test_a_shared_stage_goes_on_for_the_other_job() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 2)))
    rig.submit(job(1, 1, map_stage(0, 2)))
    commands = rig.tell(ev.JobCancelled(0, "Ctrl-C"))
    assert of(cmd.Kill, commands) == []
    assert rig.finish()[-1] == cmd.JobDone(1)
    assert len(rig.all_launches) == 3


def test_a_stage_that_the_other_job_has_but_does_not_need_is_stopped() -> None:
    """The second job's own input is complete, so what is below it is in its plan but not needed."""
    rig = Rig("a", "b", slots=1)
    below, above = map_stage(0, 1), map_stage(1, 1, (0,))
    rig.submit(job(0, 1, below, above))
    rig.succeed(*rig.running())
    rig.succeed(*rig.running())
    rig.submit(job(1, 1, below, above))
    holder = rig.places(0)[0][0]
    rig.tell(ev.OutputsLost(holder, 0, (0,), "gone"))
    rig.submit(job(2, 1, below, parents=(0,)))
    rig.finish(ResultStage(0))
    (rerun,) = rig.running(MapStage(0))
    commands = rig.tell(ev.JobCancelled(2, "Ctrl-C"))
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=rerun.attempt)]


def test_cancelling_by_group() -> None:
    rig = Rig("a", slots=9)
    for job_id, group in enumerate(("x", "y", "x", None)):
        rig.submit(job(job_id, 1, group=group))
    assert [each.job_id for each in of(cmd.JobFailed, rig.tell(ev.GroupCancelled("x", "stop")))] == [0, 2]
    assert [each.job_id for each in of(cmd.JobFailed, rig.tell(ev.GroupCancelled("z", "stop")))] == []
    assert [each.job_id for each in of(cmd.JobFailed, rig.tell(ev.GroupCancelled(None, "stop")))] == [1, 3]


def test_cancelling_what_is_unknown_or_over_is_ignored() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    rig.finish()
    assert rig.tell(ev.JobCancelled(0, "late"), ev.JobCancelled(9, "never")) == []


# Failing


def test_a_failing_map_fails_every_job_that_needs_it_and_no_other() -> None:
    rig = Rig("a", slots=9, max_failures=1)
    rig.submit(job(0, 1, map_stage(0, 2)))
    rig.submit(job(1, 1, map_stage(0, 2)))
    rig.submit(job(2, 1))
    commands = rig.end(rig.running(MapStage(0))[1], raised())
    assert [each.job_id for each in of(cmd.JobFailed, commands)] == [0, 1]
    cause = of(cmd.JobFailed, commands)[0].cause
    assert cause == like(
        cmd.TaskFailedForGood, key=MapStage(0), label="map 0", index=1, number=0, executor="a", host="host-a"
    )
    assert cause.outcome == raised()
    assert cause.note == "it failed once"
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=0)]
    assert rig.finish(ResultStage(2))[-1] == cmd.JobDone(2)


def test_after_a_failure_the_same_shuffle_can_be_tried_by_a_new_job() -> None:
    rig = Rig("a", slots=9, max_failures=1)
    rig.submit(job(0, 1, map_stage(0, 1)))
    rig.end(rig.running()[0], raised())
    rig.submit(job(1, 1, map_stage(0, 1)))
    assert rig.finish()[-1] == cmd.JobDone(1)


# Memory


def test_an_ended_job_leaves_nothing_but_finished_shuffles() -> None:
    rig = Rig("a", slots=4)
    for job_id in range(20):
        shuffle = job_id % 5
        rig.submit(job(job_id, 2, map_stage(shuffle, 3)))
        rig.finish()
    dag, tasks = rig.scheduler.parts()
    assert not dag.jobs
    assert not dag.stages
    assert not dag.maps
    assert set(dag.outputs.shuffles) == set(range(5))
    assert not tasks.placing.pools.pools
    assert not any(executor.attempts for executor in tasks.table.members.values())
    rig.tell(*(ev.ShuffleForgotten(shuffle) for shuffle in range(5)))
    assert not dag.outputs.shuffles


def test_a_shared_stage_keeps_its_parents_when_a_job_comes_with_a_shorter_lineage() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 1), map_stage(1, 1, (0,))))
    rig.submit(job(1, 1, map_stage(1, 1)))  # what shuffle 1 reads was saved meanwhile, and its lineage was cut
    rig.scheduler.handle(ev.ShuffleForgotten(ShuffleId(0)), 0.0)
    commands = rig.scheduler.handle(ev.JobCancelled(JobId(0), "not wanted"), 0.0)
    assert cmd.ForgetShuffle(ShuffleId(0)) not in commands
    check(rig.scheduler)
    commands = rig.finish()
    assert cmd.JobDone(1) in commands
    assert cmd.ForgetShuffle(ShuffleId(0)) in commands
