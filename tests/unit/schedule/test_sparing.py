"""Parents whose outputs are lost, and which nobody will read, because what is made of them is cached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rddlite.base.outcome import FetchFailed
from rddlite.plan.model import JobPlan, MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import of
from tests.helpers.scheduling import Rig, job, map_stage


def cached_job(job_id: int = 0, n_tasks: int = 2) -> JobPlan:
    """Two map stages, one above the other; what is made of the second one is cached."""
    plan = job(job_id, n_tasks, map_stage(0), map_stage(1, parents=(0,)))
    return replace(plan, result=replace(plan.result, has_cached=True))


def filled(**options: Any) -> Rig:
    """After a job that has filled the cache, and the loss of an executor with half of the map outputs."""
    rig = Rig("a", "b", **options)
    assert of(cmd.FindCached, rig.submit(cached_job())) == [cmd.FindCached(2, ResultStage(0), 1, range(2), (1,))]
    rig.tell(ev.CachedFound(2, 1, ()))
    rig.finish()
    rig.lose("b")
    rig.join("c")
    return rig


def asked(commands: list[cmd.Command]) -> cmd.FindCached:
    (find,) = of(cmd.FindCached, commands)
    return find


def answer(rig: Rig, find: cmd.FindCached, *shuffles: int) -> list[cmd.Command]:
    return rig.tell(ev.CachedFound(find.stage, find.question, shuffles))


def started(commands: list[cmd.Command]) -> list[Any]:
    return [each.key for each in of(cmd.StageStarted, commands)]


def untold(shuffle: int) -> FetchFailed:
    return FetchFailed(shuffle, 0, "", 0, "it was not told where")


def test_nothing_is_asked_where_all_outputs_are_there() -> None:
    rig = Rig("a", "b")
    answer(rig, asked(rig.submit(cached_job())))
    rig.finish()
    commands = rig.submit(cached_job(1))
    assert not of(cmd.FindCached, commands)
    assert started(commands) == [ResultStage(1)]


def test_nothing_is_asked_for_stages_without_anything_cached() -> None:
    rig = Rig("a", "b")
    assert not of(cmd.FindCached, rig.submit(job(0, 2, map_stage(0))))


def test_parents_of_what_is_cached_are_not_computed_again() -> None:
    rig = filled()
    find = asked(rig.submit(cached_job(1)))
    assert not rig.running()
    assert started(answer(rig, find, 1)) == [ResultStage(1)]
    assert {each.key for each in rig.running()} == {ResultStage(1)}
    assert of(cmd.JobDone, rig.finish()) == [cmd.JobDone(1)]


def test_they_are_where_something_is_missing() -> None:
    rig = filled()
    find = asked(rig.submit(cached_job(1)))
    assert started(answer(rig, find)) == [MapStage(0)]
    assert of(cmd.JobDone, rig.finish()) == [cmd.JobDone(1)]


def test_what_other_jobs_need_of_them_is_computed_all_the_same() -> None:
    rig = filled()
    answer(rig, asked(rig.submit(cached_job(1))), 1)
    assert started(rig.submit(job(2, 2, map_stage(0), map_stage(1, parents=(0,))))) == [MapStage(0)]
    assert len(of(cmd.JobDone, rig.finish())) == 2


def test_a_task_that_misses_them_after_all_brings_them_back_and_is_charged_nothing() -> None:
    rig = filled(stage_max_attempts=1, max_failures=1)
    answer(rig, asked(rig.submit(cached_job(1))), 1)
    first, second = rig.running()
    commands = rig.end(first, untold(1))
    assert [each.status for each in of(cmd.AttemptEnded, commands)] == ["outdated"]
    assert started(commands) == [MapStage(0)]
    assert not of(cmd.FindCached, commands), "it was told wrong once"
    assert not started(rig.end(second, untold(1)))
    assert of(cmd.JobDone, rig.finish()) == [cmd.JobDone(1)]


def test_tasks_that_do_find_their_partitions_go_on_meanwhile() -> None:
    rig = filled()
    answer(rig, asked(rig.submit(cached_job(1))), 1)
    first, second = rig.running()
    rig.end(first, untold(1))
    rig.succeed(second)
    rig.finish(MapStage(0))
    rig.finish(MapStage(1))
    (left,) = rig.running()
    assert left.index == first.index
    rig.succeed(left)


def test_when_an_executor_is_lost_it_is_asked_again() -> None:
    rig = filled(slots=1)
    answer(rig, asked(rig.submit(cached_job(1, 4))), 1)
    commands = rig.lose("a")
    find = asked(commands)
    assert find.shuffles == (1,)
    assert find.tasks == range(4)
    commands = answer(rig, find)
    assert [each.why for each in of(cmd.StageEnded, commands)] == ["outputs of shuffles 1 were lost"]
    assert of(cmd.JobDone, rig.finish()) == [cmd.JobDone(1)]


def test_an_answer_to_an_older_question_is_not_heeded() -> None:
    rig = filled()
    old = asked(rig.submit(cached_job(1)))
    new = asked(rig.lose("a"))
    assert new.question > old.question
    assert not answer(rig, old, 1)
    assert started(answer(rig, new)) == [MapStage(0)]


def test_an_answer_to_a_job_that_was_cancelled_changes_nothing() -> None:
    rig = filled()
    find = asked(rig.submit(cached_job(1)))
    rig.tell(ev.JobCancelled(1, "enough"))
    assert not answer(rig, find, 1)


def test_what_had_to_wait_for_other_inputs_asks_again_before_it_starts() -> None:
    rig = filled()
    plan = job(1, 2, map_stage(0), map_stage(1, parents=(0,)), map_stage(2), parents=(1, 2))
    find = asked(rig.submit(replace(plan, result=replace(plan.result, has_cached=True))))
    assert find.shuffles == (1, 2)
    assert started(answer(rig, find, 1)) == [MapStage(2)]
    find = asked(rig.finish(MapStage(2)))
    assert find.shuffles == (1,)
    assert started(answer(rig, find)) == [MapStage(0)]
    assert of(cmd.JobDone, rig.finish()) == [cmd.JobDone(1)]


def test_a_parent_that_runs_for_others_stops_when_the_last_that_needs_it_is_spared_it() -> None:
    rig = filled()
    find = asked(rig.submit(cached_job(1)))
    rig.submit(job(2, 2, map_stage(0), map_stage(1, parents=(0,))))
    assert rig.running(MapStage(0))
    rig.tell(ev.JobCancelled(2, "enough"))
    commands = answer(rig, find, 1)
    assert of(cmd.Kill, commands)
    assert [each.key for each in of(cmd.Launch, commands)] == [ResultStage(1)] * 2


def test_map_stages_are_asked_about_the_outputs_that_they_lack() -> None:
    rig = Rig("a", "b")
    plan = job(0, 2, map_stage(0), replace(map_stage(1, 4, parents=(0,)), has_cached=True))
    answer(rig, asked(rig.submit(plan)))
    rig.finish()
    kept = [index for index, place in enumerate(rig.places(1)) if place[0] == "a"]
    rig.lose("b")
    rig.join("c")
    find = asked(rig.submit(replace(plan, job_id=1, result=replace(plan.result, key=ResultStage(1)))))
    assert find.key == MapStage(1)
    assert find.shuffles == (0,)
    assert sorted([*find.tasks, *kept]) == [0, 1, 2, 3]
    assert started(answer(rig, find, 0)) == [MapStage(1)]
    rig.finish(MapStage(1))
    assert rig.running(ResultStage(1))
