"""An executor that wants to leave: nothing new, its outputs are moved, nothing is made again, and it is released."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rddlite.base.outcome import FetchFailed, Killed
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.draining import MOST_AT_ONCE
from rddlite.schedule.states import ExecutorState
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage


def leave(rig: Rig, executor: str) -> list[cmd.Command]:
    """It says that it wants to leave."""
    return rig.tell(ev.ExecutorDraining(executor, "asked to"))


def moved(move: cmd.MoveOutputs, *outputs: Any, why: str = "") -> ev.OutputsMoved:
    """The target has these outputs: all that it was asked for unless some are named, or a reason why not."""
    return ev.OutputsMoved(move.source, move.target, outputs if outputs or why else move.outputs, why)


def moves(commands: list[cmd.Command]) -> dict[str, cmd.MoveOutputs]:
    """By target."""
    found = of(cmd.MoveOutputs, commands)
    assert len({move.target for move in found}) == len(found)
    return {move.target: move for move in found}


def mapped(*executors: str, n_maps: int = 6, n_results: int = 2, **options: Any) -> Rig:
    """All maps are done, spread over the executors, and the results run."""
    rig = Rig(*executors, **{"slots": 2, "silence": 1e6, **options})
    rig.submit(job(0, n_results, map_stage(0, n_maps)))
    rig.finish(MapStage(0))
    return rig


def idle(*executors: str, **options: Any) -> Rig:
    """The same, and the job is over; its shuffle can be reached still."""
    rig = mapped(*executors, **options)
    rig.finish()
    return rig


def held(rig: Rig, executor: str) -> tuple[tuple[int, int, int], ...]:
    """What it holds that counts."""
    places = enumerate(rig.scheduler.parts()[0].outputs.shuffles[0].places)
    return tuple((0, index, place[1]) for index, place in places if place is not None and place[0] == executor)


def test_one_that_holds_nothing_is_released_at_once() -> None:
    rig = Rig("a", "b")
    assert leave(rig, "a") == [cmd.ReleaseExecutor("a", "nobody needs anything there")]
    assert [view.state for view in rig.scheduler.executors()] == ["draining", "alive"]
    assert rig.scheduler.next_deadline() == 15.0, "only silence is left to wait for"
    assert of(cmd.DropExecutor, rig.lose("a")) == []
    assert [view.id for view in rig.scheduler.executors()] == ["b"]


def test_what_runs_there_may_end_and_nothing_follows() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 6))
    assert of(cmd.ReleaseExecutor, leave(rig, "a")) == []
    commands = rig.succeed(next(launch for launch in rig.running() if launch.executor == "a"))
    assert of(cmd.Launch, commands) == []
    assert of(cmd.ReleaseExecutor, commands) == [like(cmd.ReleaseExecutor, executor="a")]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_outputs_are_spread_over_those_who_stay_and_nothing_is_made_again() -> None:
    rig = idle("a", "b", "c")
    mine = held(rig, "a")
    epoch = rig.scheduler.outputs_of(0)[0]
    asked = moves(leave(rig, "a"))
    assert set(asked) == {"b", "c"}
    assert sorted(output for move in asked.values() for output in move.outputs) == sorted(mine)
    assert rig.tell(moved(asked["b"])) == []
    assert rig.tell(moved(asked["c"])) == [cmd.ReleaseExecutor("a", "nobody needs anything there")]
    assert rig.scheduler.outputs_of(0)[0] > epoch
    for move in asked.values():
        for _, index, attempt in move.outputs:
            assert rig.places(0)[index] == (move.target, attempt)
    rig.lose("a")
    n_before = len(rig.all_launches)
    rig.submit(job(1, 2, map_stage(0, 6)))
    assert rig.finish()[-1] == cmd.JobDone(1)
    assert len(rig.all_launches) == n_before + 2


def test_the_parts_are_even() -> None:
    rig = Rig("a", slots=30, silence=1e6)
    rig.submit(job(0, 1, map_stage(0, 30)))
    rig.finish(MapStage(0))
    rig.finish()
    for executor in ("b", "c", "d", "e"):
        rig.join(executor)
    sizes = [len(move.outputs) for move in moves(leave(rig, "a")).values()]
    assert sizes == [8, 8, 8, 6]


def test_many_outputs_are_asked_for_in_parts_one_after_another() -> None:
    n_maps = MOST_AT_ONCE + 10
    rig = Rig("a", slots=n_maps, silence=1e6)
    rig.submit(job(0, 1, map_stage(0, n_maps)))
    rig.finish(MapStage(0))
    rig.finish()
    rig.join("b")
    first = moves(leave(rig, "a"))["b"]
    second = moves(rig.tell(moved(first)))["b"]
    assert (len(first.outputs), len(second.outputs)) == (MOST_AT_ONCE, 10)
    assert of(cmd.ReleaseExecutor, rig.tell(moved(second)))


def test_what_one_cannot_take_another_is_asked_for_once() -> None:
    rig = idle("a", "b", "c")
    asked = moves(leave(rig, "a"))
    rig.tell(moved(asked["c"]))
    again = moves(rig.tell(moved(asked["b"], why="disk full")))
    assert set(again) == {"c"}
    assert again["c"].outputs == asked["b"].outputs
    (released,) = rig.tell(moved(again["c"], why="disk full"))
    assert released == cmd.ReleaseExecutor("a", f"nobody could take {len(asked['b'].outputs)} of its map outputs")
    commands = rig.lose("a")
    assert of(cmd.MapOutputsLost, commands) == [like(cmd.MapOutputsLost, count=len(asked["b"].outputs))]


def test_some_of_them_may_be_taken() -> None:
    rig = idle("a", "b", n_maps=8)
    move = moves(leave(rig, "a"))["b"]
    (released,) = rig.tell(moved(move, move.outputs[0], why="checksum"))
    assert released == like(cmd.ReleaseExecutor, why=f"nobody could take {len(move.outputs) - 1} of its map outputs")
    assert rig.places(0)[move.outputs[0][1]][0] == "b"


def test_with_nobody_to_take_them_it_is_released_at_once() -> None:
    rig = idle("a")
    (released,) = leave(rig, "a")
    assert released == like(cmd.ReleaseExecutor, why="nobody could take 6 of its map outputs")


def test_while_jobs_run_others_may_come_and_take_them() -> None:
    rig = mapped("a", n_results=4, drain_limit=60.0)
    assert of(cmd.ReleaseExecutor, leave(rig, "a")) == []
    assert of(cmd.ReleaseExecutor, rig.succeed(*rig.running())) == [], "it holds what the other results need"
    (move,) = of(cmd.MoveOutputs, rig.join("b"))
    assert len(move.outputs) == 6
    assert of(cmd.ReleaseExecutor, rig.tell(moved(move)))
    rig.lose("a")
    assert rig.finish()[-1] == cmd.JobDone(0)
    assert Counter(launch.index for launch in rig.all_launches if launch.key == MapStage(0)) == dict.fromkeys(
        range(6), 1
    )


@pytest.mark.parametrize("end", ["nobody comes", "the job ends"])
def test_others_are_not_waited_for_in_vain(end: str) -> None:
    rig = mapped("a", n_results=4, drain_limit=60.0)
    leave(rig, "a")
    rig.succeed(*rig.running())
    commands = rig.silence() if end == "nobody comes" else rig.tell(ev.JobCancelled(0, "enough"))
    assert of(cmd.ReleaseExecutor, commands) == [like(cmd.ReleaseExecutor, executor="a")]


def test_who_was_sent_out_before_an_output_moved_has_not_failed() -> None:
    """Attempts that wait at an executor know the old places only. They run again, and nothing is counted."""
    rig = mapped("a", "b", n_results=12, launch_ahead=3, stage_max_attempts=2)
    mine = held(rig, "a")
    late = [launch for launch in rig.running() if launch.executor == "b"]
    assert len(late) > 3
    leave(rig, "a")
    commands = rig.succeed(*(launch for launch in rig.running() if launch.executor == "a"))
    (move,) = of(cmd.MoveOutputs, commands)
    rig.tell(moved(move))
    rig.lose("a")
    for launch in late:
        commands = rig.end(launch, FetchFailed(0, mine[0][1], "a", mine[0][2], "no such file"))
        assert of(cmd.AttemptEnded, commands) == [like(cmd.AttemptEnded, status="outdated", accepted=False)]
        assert of(cmd.MapOutputsLost, commands) == of(cmd.StageEnded, commands) == []
        assert [each.index for each in of(cmd.Launch, commands)] == [launch.index]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_an_output_that_moved_and_is_missed_at_its_new_place_is_lost() -> None:
    rig = mapped("a", "b", n_results=2)
    index, attempt = held(rig, "a")[0][1:]
    leave(rig, "a")
    launches = rig.running()
    commands = rig.succeed(*(launch for launch in launches if launch.executor == "a"))
    for move in of(cmd.MoveOutputs, commands):
        rig.tell(moved(move))
    (launch,) = rig.running()
    commands = rig.end(launch, FetchFailed(0, index, "b", attempt, "no such file"))
    assert of(cmd.AttemptEnded, commands) == [like(cmd.AttemptEnded, status="fetch_failed")]
    assert of(cmd.MapOutputsLost, commands)


def test_if_jobs_wait_others_are_asked_for() -> None:
    rig = mapped("a")
    assert of(cmd.WantExecutors, leave(rig, "a")) == [cmd.WantExecutors("executor a leaves: asked to")]
    rig.finish(ResultStage(0))
    assert of(cmd.WantExecutors, leave(rig, "a")) == []


def test_the_limit_releases_it_whatever_runs_there() -> None:
    rig = mapped("a", "b", drain_limit=60.0)
    rig.tell(ev.ExecutorDraining("a", "asked to"), after=5.0)
    assert rig.scheduler.next_deadline() == 65.0
    assert rig.silence() == [cmd.ReleaseExecutor("a", "it could not hand over everything within 60 s")]
    rig.lose("a")
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_an_answer_that_never_comes_is_not_waited_for_beyond_the_limit() -> None:
    rig = idle("a", "b", drain_limit=60.0)
    assert moves(leave(rig, "a"))
    assert rig.silence() == [like(cmd.ReleaseExecutor, executor="a")]


def test_the_drivers_delay_is_not_counted() -> None:
    rig = idle("a", "b", drain_limit=60.0)
    leave(rig, "a")
    assert rig.tell(ev.DriverDelayed(100.0), ev.Tick(), after=100.0) == []
    assert rig.scheduler.next_deadline() == 160.0


def test_a_target_that_is_lost_is_replaced() -> None:
    rig = idle("a", "b", "c", n_maps=8)
    asked = moves(leave(rig, "a"))
    rig.tell(moved(asked["c"]))
    again = moves(rig.lose("b"))
    assert set(again["c"].outputs) >= set(asked["b"].outputs)


@pytest.mark.parametrize("how", ["suspected", "registers again", "leaves too", "quiet"])
def test_a_target_that_may_not_have_heard_is_replaced(how: str) -> None:
    rig = idle("a", "b", "c", quiet=9.0)
    asked = moves(leave(rig, "a"))
    rig.tell(moved(asked["c"]))
    match how:
        case "suspected":
            commands = rig.tell(ev.ExecutorSuspected("b", "cut"))
        case "registers again":
            commands = rig.tell(ev.ExecutorSuspected("b", "cut"), ev.ExecutorReturned("b", frozenset()))
        case "leaves too":
            commands = leave(rig, "b")
        case _:
            commands = rig.tell(ev.Heartbeat("a"), ev.Heartbeat("c"), ev.Tick(), after=9.0)
    again = {move.source: move for move in of(cmd.MoveOutputs, commands)}
    assert (again["a"].target, again["a"].outputs) == ("c", asked["b"].outputs)


def test_the_copy_that_comes_second_is_deleted() -> None:
    rig = idle("a", "b", "c")
    asked = moves(leave(rig, "a"))
    rig.tell(moved(asked["c"]))
    rig.tell(ev.ExecutorSuspected("b", "cut"))
    rig.tell(ev.ExecutorReturned("b", frozenset()))
    again = ev.OutputsMoved("a", "c", asked["b"].outputs)
    rig.tell(again)
    late = rig.tell(moved(asked["b"]))
    assert late == [cmd.ForgetOutput("b", *output) for output in asked["b"].outputs]
    assert rig.tell(again) == [], "told twice"


def test_an_executor_that_leaves_takes_nothing_over() -> None:
    rig = idle("a", "b", "c")
    asked = moves(leave(rig, "a"))
    leave(rig, "b")
    late = rig.tell(moved(asked["b"]))
    assert of(cmd.ForgetOutput, late) == [cmd.ForgetOutput("b", *output) for output in asked["b"].outputs]


def test_what_is_computed_again_or_forgotten_meanwhile_is_deleted_when_its_copy_comes() -> None:
    rig = idle("a", "b")
    move = moves(leave(rig, "a"))["b"]
    rig.tell(ev.ShuffleForgotten(0))
    assert of(cmd.ForgetOutput, rig.tell(moved(move))) == [cmd.ForgetOutput("b", *each) for each in move.outputs]
    assert rig.tell(ev.OutputsMoved("a", "nobody", move.outputs)) == []


def test_the_source_may_be_lost_in_the_middle() -> None:
    rig = idle("a", "b")
    move = moves(leave(rig, "a"))["b"]
    rig.lose("a")
    assert of(cmd.ForgetOutput, rig.tell(moved(move))) == [cmd.ForgetOutput("b", *each) for each in move.outputs]
    rig.submit(job(1, 1, map_stage(0, 6)))
    assert rig.finish()[-1] == cmd.JobDone(1)


def test_a_source_that_is_suspect_goes_on_when_it_is_back() -> None:
    rig = idle("a", "b", "c", n_maps=8, drain_limit=60.0)
    asked = moves(leave(rig, "a"))
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    rig.tell(moved(asked["b"]), moved(asked["c"], why="unreachable"))
    assert rig.scheduler.next_deadline() == 1e6, "its limit is not looked at while it is suspect"
    commands = rig.tell(ev.ExecutorReturned("a", frozenset()))
    assert set(moves(commands)["b"].outputs) == set(asked["c"].outputs)
    assert of(cmd.ReleaseExecutor, rig.tell(moved(moves(commands)["b"])))


def test_one_that_registers_again_after_it_was_released_is_released_again() -> None:
    rig = idle("a", "b")
    move = moves(leave(rig, "a"))["b"]
    assert of(cmd.ReleaseExecutor, rig.tell(moved(move)))
    assert of(cmd.ReleaseExecutor, rig.tell(ev.Heartbeat("a"))) == [], "once"
    assert of(cmd.ReleaseExecutor, rig.tell(ev.ExecutorReturned("a", frozenset())))
    assert of(cmd.ReleaseExecutor, leave(rig, "a"))


def test_a_late_output_of_an_attempt_there_is_moved_too() -> None:
    rig = Rig("a", "b", slots=2, silence=1e6)
    rig.submit(job(0, 2, map_stage(0, 4)))
    leave(rig, "a")
    mine = [launch for launch in rig.running() if launch.executor == "a"]
    commands = rig.succeed(*mine)
    (move,) = of(cmd.MoveOutputs, commands)
    assert {output[1] for output in move.outputs} == {launch.index for launch in mine}
    rig.tell(moved(move))
    assert rig.finish()[-1] == cmd.JobDone(0)
    assert Counter(launch.index for launch in rig.all_launches if launch.key == MapStage(0)) == dict.fromkeys(
        range(4), 1
    )


def test_all_may_leave_at_once() -> None:
    rig = mapped("a", "b")
    commands = rig.tell(ev.ExecutorDraining("a", "asked to"), ev.ExecutorDraining("b", "asked to"))
    assert of(cmd.WantExecutors, commands)
    for launch in rig.running():
        rig.end(launch, Killed("it leaves"))
    assert len(of(cmd.Launch, rig.join("c"))) == 2
    for executor in ("a", "b"):
        rig.lose(executor)
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_one_that_is_excluded_may_leave() -> None:
    rig = idle("a", "b")
    tasks = rig.scheduler.parts()[1]
    tasks.table.exclude(tasks.table.members["a"])
    rig.scheduler.watchers()[0].until["a"] = 50.0
    asked = moves(leave(rig, "a"))
    assert asked
    assert tasks.table.members["a"].state is ExecutorState.DRAINING
    rig.tell(ev.Tick(), after=50.0)
    assert not tasks.table.members["a"].is_usable


def test_excluded_executors_are_asked_when_nobody_better_is_left() -> None:
    rig = idle("a", "b", "c")
    tasks = rig.scheduler.parts()[1]
    tasks.table.exclude(tasks.table.members["c"])
    rig.scheduler.watchers()[0].until["c"] = 1e5
    asked = moves(leave(rig, "a"))
    assert set(asked) == {"b"}
    again = moves(rig.tell(moved(asked["b"], why="disk full")))
    assert set(again) == {"c"}


def test_one_that_is_gone_or_never_was_is_no_matter() -> None:
    rig = Rig("a", "b")
    rig.lose("a")
    assert leave(rig, "a") == [like(cmd.DropExecutor, executor="a")]
    assert leave(rig, "zz") == []
    assert rig.tell(ev.OutputsMoved("zz", "b", ())) == []
