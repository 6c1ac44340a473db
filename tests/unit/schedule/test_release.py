"""Map outputs that are of use only if something is lost: deleted where one executor has all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rddlite.plan.model import JobPlan, MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, unreadable


def chain(job_id: int = 0, passing: tuple[int, ...] = (0, 1)) -> JobPlan:
    """Three shuffles, each made from the one before."""
    maps = (map_stage(0), map_stage(1, parents=(0,)), map_stage(2, parents=(1,)))
    return replace(job(job_id, 1, *maps), passing=frozenset(passing))


def released(commands: Any) -> list[int]:
    return [each.shuffle for each in of(cmd.ReleaseShuffle, commands)]


def test_outputs_go_when_the_next_shuffle_is_complete() -> None:
    rig = Rig("a")
    rig.submit(chain())
    assert released(rig.finish(MapStage(0))) == []
    assert released(rig.finish(MapStage(1))) == [0]
    assert released(rig.finish(MapStage(2))) == [1]
    assert released(rig.finish()) == []
    assert of(cmd.Launch, rig.submit(chain(1))) == [like(cmd.Launch, key=chain(1).result.key)]


def test_where_several_executors_are_all_is_kept() -> None:
    rig = Rig("a", "b")
    rig.submit(chain())
    assert released(rig.finish()) == []


def test_what_the_result_reads_is_kept_whatever_is_said() -> None:
    rig = Rig("a")
    rig.submit(chain(passing=(0, 1, 2)))
    assert released(rig.finish()) == [0, 1]


def test_all_readers_must_be_complete() -> None:
    rig = Rig("a")
    maps = (map_stage(0), map_stage(1, 1, parents=(0,)), map_stage(2, 1, parents=(0,)))
    rig.submit(replace(job(0, 1, *maps, parents=(1, 2)), passing=frozenset({0})))
    rig.finish(MapStage(0))
    first, second = rig.running()
    assert released(rig.succeed(first)) == []
    assert released(rig.succeed(second)) == [0]


def test_what_another_job_has_in_its_plan_is_kept() -> None:
    rig = Rig("a", slots=4)
    rig.submit(chain())
    rig.submit(replace(job(1, 1, map_stage(0)), passing=frozenset({0})))
    assert released(rig.finish(MapStage(0)) + rig.finish(MapStage(1))) == []


def test_a_later_job_lets_go_what_was_kept_before() -> None:
    rig = Rig("a")
    rig.submit(chain(passing=()))
    assert released(rig.finish()) == []
    commands = rig.submit(chain(1))
    assert sorted(released(commands)) == [0, 1]
    assert rig.finish()[-1] == cmd.JobDone(1)


def test_nor_is_what_was_made_from_it_missed_when_that_was_let_go_before() -> None:
    rig = Rig("a")
    rig.submit(chain(passing=(1,)))
    assert released(rig.finish()) == [1]
    assert released(rig.submit(chain(1))) == [0]
    assert rig.finish()[-1] == cmd.JobDone(1)


def test_what_was_let_go_is_computed_again_when_it_is_needed() -> None:
    rig = Rig("a")
    rig.submit(chain())
    rig.finish(MapStage(0)), rig.finish(MapStage(1)), rig.finish(MapStage(2))
    commands = rig.end(rig.running()[0], unreadable(2, 0, rig.places(2)[0]))
    assert {each.key for each in of(cmd.Launch, commands)} == {MapStage(0)}
    assert released(rig.finish(MapStage(0))) == []
    assert released(rig.finish(MapStage(1))) == [0]
    assert {(each.key, each.index) for each in rig.running()} == {(MapStage(2), 0)}
    commands = rig.finish()
    assert released(commands) == [1]
    assert commands[-1] == cmd.JobDone(0)


def test_the_end_of_the_executor_is_survived() -> None:
    rig = Rig("a")
    rig.submit(chain())
    rig.finish(MapStage(0)), rig.finish(MapStage(1))
    rig.lose("a")
    rig.join("b")
    commands = rig.finish()
    assert released(commands) == [0, 1]
    assert commands[-1] == cmd.JobDone(0)


def test_what_the_program_wants_gone_goes_also_where_there_are_several_executors() -> None:
    rig = Rig("a", "b")
    rig.submit(chain(passing=()))
    rig.finish()
    assert rig.tell(ev.ShuffleReleased(2), ev.ShuffleReleased(1)) == [cmd.ReleaseShuffle(2), cmd.ReleaseShuffle(1)]
    assert rig.tell(ev.ShuffleReleased(2)) == []
    commands = rig.submit(chain(1, passing=()))
    assert {each.key for each in of(cmd.Launch, commands)} == {MapStage(1)}
    assert rig.finish()[-1] == cmd.JobDone(1)


def test_what_an_unfinished_job_has_in_its_plan_is_not_let_go() -> None:
    rig = Rig("a")
    rig.submit(chain(passing=()))
    rig.finish(MapStage(0))
    assert rig.tell(ev.ShuffleReleased(0)) == []
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_a_shuffle_of_which_nothing_is_there_cannot_be_let_go() -> None:
    assert Rig("a").tell(ev.ShuffleReleased(7)) == []
