"""Why a job failed is told to its root, and it does not matter what came first."""

from __future__ import annotations

from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, unreadable

KILLED = cmd.ExecutorGone("b", "host-b", "its process got SIGKILL")


def spread(n_maps: int = 6, **options: int) -> Rig:
    """Maps on two executors; one reader runs on `a`."""
    rig = Rig("a", "b", slots=n_maps, retry_wait=0.0, **options)
    rig.submit(job(0, 1, map_stage(0, n_maps)))
    rig.finish(MapStage(0))
    return rig


def held_by(rig: Rig, executor: str) -> list[tuple[int, tuple[str, int]]]:
    return [(index, place) for index, place in enumerate(rig.places(0)) if place[0] == executor]


def miss(rig: Rig, index: int, place: tuple[str, int], *others: ev.Event) -> list[cmd.Command]:
    """The reader cannot read this output; other events come in the same batch."""
    (reader,) = rig.running(ResultStage(0))
    rig.launched.pop(reader.attempt)
    return rig.tell(rig.ended(reader, unreadable(0, index, place)), *others)


def test_an_input_that_was_lost_is_told_as_one_sentence() -> None:
    assert str(
        cmd.LostInput(1, 3, "2", "connection refused", cmd.ExecutorGone("2", "X", "its process got SIGKILL"))
    ) == (
        "output 3 of shuffle 1 could not be read from executor 2: connection refused because executor 2 on X was lost: "
        "its process got SIGKILL"
    )
    assert str(cmd.ExecutorGone("2", "", "it refused its keys")) == "executor 2 never joined: it refused its keys"


def test_outputs_lost_with_an_executor_name_its_end() -> None:
    rig = spread()
    count = len(held_by(rig, "b"))
    (note,) = of(cmd.MapOutputsLost, rig.lose("b", KILLED.cause))
    assert note == cmd.MapOutputsLost(0, count, "", "b", KILLED)
    assert note.reason == "executor b on host-b was lost: its process got SIGKILL"


def test_the_end_of_an_executor_explains_what_could_not_be_read_before_it_was_known() -> None:
    rig = spread()
    index, place = held_by(rig, "b")[0]
    commands = miss(rig, index, place, ev.ExecutorLost("b", KILLED.cause))
    first, second = of(cmd.MapOutputsLost, commands)
    assert first == cmd.MapOutputsLost(0, 1, "gone", "b", KILLED)
    assert first.reason == f"gone because {KILLED}"
    assert second == like(cmd.MapOutputsLost, why="", gone=KILLED)


def given_up(loss: ev.ExecutorLost, *, is_before: bool) -> tuple[cmd.LostInput, ...]:
    """Why a job fails with its last reader's report; the loss is told before that report, or after it."""
    rig = spread(stage_max_attempts=2)
    index, place = held_by(rig, "a")[0]
    miss(rig, index, place)
    rig.finish(MapStage(0))
    assert rig.places(0)[index][0] == "b"
    (reader,) = rig.running(ResultStage(0))
    report = rig.ended(reader, unreadable(0, index, rig.places(0)[index]))
    commands = rig.tell(*((loss, report) if is_before else (report, loss)))
    (failed,) = of(cmd.JobFailed, commands)
    assert isinstance(failed.cause, cmd.StageGaveUp)
    return failed.cause.chain


def test_the_order_of_events_does_not_matter_to_what_is_told() -> None:
    loss = ev.ExecutorLost("b", KILLED.cause)
    told = given_up(loss, is_before=False)
    assert [(each.executor, each.gone) for each in told] == [("a", None), ("b", KILLED)]
    assert told == given_up(loss, is_before=True)


def test_a_lost_executor_is_one_setback_however_many_of_its_outputs_are_missed() -> None:
    """Its connection is gone, and readers find out about its outputs one by one before its end is known."""
    rig = spread(stage_max_attempts=2)
    rig.tell(ev.ExecutorSuspected("b", "its connection broke"))
    missed = 0
    while held := held_by(rig, "b"):
        commands = miss(rig, *held[0])
        assert of(cmd.JobFailed, commands) == []
        rig.finish(MapStage(0))
        missed += 1
    assert missed == 3
    rig.lose("b", KILLED.cause)
    index, place = held_by(rig, "a")[0]
    (failed,) = of(cmd.JobFailed, miss(rig, index, place))
    assert [(each.executor, each.gone) for each in failed.cause.chain] == [("b", KILLED), ("a", None)]


def test_an_output_of_an_executor_that_is_there_counts_each_time() -> None:
    rig = spread(stage_max_attempts=2)
    miss(rig, *held_by(rig, "b")[0])
    rig.finish(MapStage(0))
    assert of(cmd.JobFailed, miss(rig, *held_by(rig, "b")[0]))


def test_what_was_known_first_of_the_end_of_an_executor_stays() -> None:
    rig = spread()
    rig.lose("b", "its host refuses connections")
    rig.lose("b", "its process got SIGKILL")
    assert rig.scheduler.parts()[1].table.gone["b"].cause == "its host refuses connections"


def test_waiting_in_vain_names_every_loss() -> None:
    rig = Rig("a", grace=5.0)
    rig.submit(job(0, 1))
    rig.lose("a", "its process got SIGKILL")
    rig.tell(ev.ExecutorLost("c", "its process ended with exit code 1"))
    (failed,) = of(cmd.JobFailed, rig.silence())
    assert failed.cause.chain == (
        cmd.ExecutorGone("a", "host-a", "its process got SIGKILL"),
        cmd.ExecutorGone("c", "", "its process ended with exit code 1"),
    )
