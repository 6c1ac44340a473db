"""Map outputs that go away: found by a reader, reported by their executor, or lost with it."""

from __future__ import annotations

from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, unreadable


def mapped(*joined: str, n_maps: int = 4, n_results: int = 2, **options: int) -> Rig:
    """A job whose maps are done, with its results running."""
    rig = Rig(*joined, slots=n_maps, **options)
    rig.submit(job(0, n_results, map_stage(0, n_maps)))
    rig.finish(MapStage(0))
    return rig


def test_only_the_missing_output_is_made_again_and_the_reader_is_not_charged() -> None:
    rig = mapped("a", max_failures=1, max_deaths=1)
    reader = rig.running()[0]
    commands = rig.end(reader, unreadable(0, 2, rig.places(0)[2]))
    assert of(cmd.MapOutputsLost, commands) == [cmd.MapOutputsLost(0, 1, "gone", "a")]
    assert of(cmd.StageEnded, commands) == [like(cmd.StageEnded, stage=1, attempt=0)]
    assert of(cmd.StageStarted, commands) == [like(cmd.StageStarted, stage=0, attempt=1, n_tasks=1)]
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=MapStage(0), index=2)]
    commands = rig.finish(MapStage(0))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(0), index=reader.index, number=1)]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_the_executor_that_was_named_stays() -> None:
    rig = mapped("a", "b")
    rig.end(rig.running()[0], unreadable(0, 0, rig.places(0)[0]))
    assert [each.id for each in rig.scheduler.executors()] == ["a", "b"]


def test_what_runs_goes_on_while_inputs_are_made_again() -> None:
    rig = mapped("a")
    first, second = rig.running()
    rig.end(first, unreadable(0, 0, rig.places(0)[0]))
    assert of(cmd.DeliverResult, rig.succeed(second)) == [like(cmd.DeliverResult, index=second.index)]


def test_a_reader_that_names_what_was_replaced_is_only_retried() -> None:
    rig = mapped("a")
    first, second = rig.running()
    old = rig.places(0)[0]
    rig.end(first, unreadable(0, 0, old))
    rig.finish(MapStage(0))
    commands = rig.end(second, unreadable(0, 0, old))
    assert of(cmd.MapOutputsLost, commands) == []
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(0), index=second.index)]


def test_nonsense_in_a_report_changes_no_output() -> None:
    rig = mapped("a", stage_max_attempts=9)
    for shuffle, index, place in ((0, 99, ("a", 0)), (0, -1, ("a", 0)), (7, 0, ("a", 0)), (0, 0, ("zz", 0))):
        commands = rig.end(rig.running()[0], unreadable(shuffle, index, place))
        assert of(cmd.MapOutputsLost, commands) == []
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_a_stage_gives_up_after_attempts_without_progress() -> None:
    rig = mapped("a", n_results=1, stage_max_attempts=3)
    for _ in range(2):
        commands = rig.end(rig.running(ResultStage(0))[0], unreadable(0, 1, rig.places(0)[1]))
        assert of(cmd.JobFailed, commands) == []
        rig.finish(MapStage(0))
    commands = rig.end(rig.running(ResultStage(0))[0], unreadable(0, 1, rig.places(0)[1]))
    (failed,) = of(cmd.JobFailed, commands)
    assert failed.cause == cmd.StageGaveUp(
        1,
        "result 0",
        3,
        tuple(cmd.LostInput(0, index, "a", "gone") for index in (1, 1, 1)),
    )


def test_outputs_found_damaged_one_after_another_are_progress() -> None:
    rig = mapped("a", n_results=1, stage_max_attempts=2)
    for index in range(4):
        commands = rig.end(rig.running(ResultStage(0))[0], unreadable(0, index, rig.places(0)[index]))
        assert of(cmd.JobFailed, commands) == []
        rig.finish(MapStage(0))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_progress_starts_the_count_anew() -> None:
    rig = mapped("a", n_results=2, stage_max_attempts=2)
    first, second = rig.running()
    rig.end(first, unreadable(0, 0, rig.places(0)[0]))
    rig.succeed(second)
    rig.finish(MapStage(0))
    commands = rig.end(rig.running()[0], unreadable(0, 0, rig.places(0)[0]))
    assert of(cmd.JobFailed, commands) == []


def test_many_readers_of_one_lost_output_count_as_one_attempt_of_the_stage() -> None:
    rig = mapped("a", n_results=4, stage_max_attempts=2)
    place = rig.places(0)[0]
    for reader in rig.running():
        commands = rig.end(reader, unreadable(0, 0, place))
        assert of(cmd.JobFailed, commands) == []
    rig.finish(MapStage(0))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_an_output_reported_lost_is_made_again_when_it_is_needed() -> None:
    rig = mapped("a", n_results=9)
    holder = rig.places(0)[1][0]
    commands = rig.tell(ev.OutputsLost(holder, 0, (1, 1, 77), "disk full"))
    assert of(cmd.MapOutputsLost, commands) == [cmd.MapOutputsLost(0, 1, "disk full", "a")]
    rig.finish(ResultStage(0))
    assert sum(launch.key == MapStage(0) for launch in rig.all_launches) == 5


def test_a_report_about_another_executors_output_changes_nothing() -> None:
    rig = mapped("a", "b")
    other = {"a": "b", "b": "a"}[rig.places(0)[0][0]]
    assert rig.tell(ev.OutputsLost(other, 0, (0,), "?")) == []
    assert rig.tell(ev.OutputsLost("zz", 5, (0,), "?")) == []


def test_a_lost_output_that_nobody_waits_for_is_not_made_again() -> None:
    """Every reader has been launched: those that miss it will say so."""
    rig = mapped("a", "b", n_results=2)
    commands = rig.tell(ev.OutputsLost(rig.places(0)[0][0], 0, (0,), "gone"))
    assert of(cmd.Launch, commands) == []
    assert rig.finish()[-1] == cmd.JobDone(0)
    assert sum(launch.key == MapStage(0) for launch in rig.all_launches) == 4


def test_losing_an_executor_loses_its_outputs_and_only_those() -> None:
    rig = mapped("a", "b", n_results=20)
    held = [index for index, place in enumerate(rig.places(0)) if place[0] == "a"]
    assert held
    assert len(held) < 4
    commands = rig.lose("a")
    assert of(cmd.MapOutputsLost, commands) == [like(cmd.MapOutputsLost, shuffle=0, count=len(held))]
    rig.finish()
    assert [launch.index for launch in rig.all_launches if launch.key == MapStage(0)] == [0, 1, 2, 3, *held]


def test_outputs_lost_between_jobs_are_made_again_by_the_next_one() -> None:
    rig = mapped("a", "b")
    rig.finish()
    rig.lose("a")
    commands = rig.submit(job(1, 1, map_stage(0, 4)))
    assert of(cmd.StageSkipped, commands) == []
    assert 0 < len(rig.running(MapStage(0))) < 4
    assert rig.finish()[-1] == cmd.JobDone(1)


def test_the_inputs_of_a_lost_output_are_needed_only_if_they_are_lost_too() -> None:
    rig = Rig("a", "b", slots=1)
    plans = (map_stage(0, 2), map_stage(1, 2, (0,)))
    rig.submit(job(0, 4, *plans))
    rig.finish(MapStage(0))
    rig.finish(MapStage(1))
    commands = rig.lose("a")
    (started,) = of(cmd.StageStarted, commands)
    assert started.key == MapStage(0), "the output of shuffle 1 cannot be made without that of shuffle 0"
    rig.finish()
    counts = {key: sum(launch.key == key for launch in rig.all_launches) for key in (MapStage(0), MapStage(1))}
    assert counts == {MapStage(0): 3, MapStage(1): 3}


def test_an_output_lost_while_its_stage_runs_is_part_of_the_same_attempt() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1, map_stage(0, 6)))
    rig.succeed(*rig.running())
    commands = rig.lose("a")
    assert of(cmd.StageStarted, commands) == []
    assert rig.finish()[-1] == cmd.JobDone(0)
    indices = sorted(launch.index for launch in rig.all_launches if launch.key == MapStage(0))
    assert indices == [0, 0, 1, 2, 2, 3, 4, 5]


def test_a_running_stage_waits_when_its_inputs_are_lost_and_then_goes_on() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 5, map_stage(0, 2)))
    rig.finish(MapStage(0))
    survivor = rig.running(ResultStage(0))[1]
    assert survivor.executor == "b"
    commands = rig.lose("a")
    assert of(cmd.StageEnded, commands) == [like(cmd.StageEnded, stage=1, why="outputs of shuffles 0 were lost")]
    assert of(cmd.Launch, commands) == []
    commands = rig.succeed(survivor)
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=MapStage(0), executor="b")]
    commands = rig.finish()
    assert [each.index for each in of(cmd.DeliverResult, commands)] == [0, 2, 3, 4]
    assert commands[-1] == cmd.JobDone(0)


def test_epochs_rise_with_every_change() -> None:
    rig = mapped("a", n_results=1)
    epoch, _ = rig.scheduler.outputs_of(0)
    rig.end(rig.running()[0], unreadable(0, 0, rig.places(0)[0]))
    rig.finish(MapStage(0))
    assert rig.scheduler.outputs_of(0)[0] > epoch
