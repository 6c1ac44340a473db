"""A map task that ran again and gave other records: what had read the first ones runs again, and nothing else."""

from __future__ import annotations

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Killed, MapStatus, Success
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, unreadable


def write(rig: Rig, launch: cmd.Launch, version: int = 1) -> list[cmd.Command]:
    """A map task ends well; `version` stands for its records."""
    status = MapStatus(launch.executor, launch.attempt, b"", 1, 1, version.to_bytes(8, "little"))
    return rig.end(launch, Success(status, TaskMetrics()))


def write_all(rig: Rig, shuffle: int, version: int = 1) -> list[cmd.Command]:
    """All map tasks of a shuffle that run, and those that are launched for it, end well."""
    commands = []
    while launches := rig.running(MapStage(shuffle)):
        for launch in launches:
            commands += write(rig, launch, version)
    return commands


def reduced(n_results: int = 4, *joined: str) -> Rig:
    """Two maps are written, and all results run."""
    rig = Rig(*(joined or ("a",)), slots=8)
    rig.submit(job(0, n_results, map_stage(0, 2)))
    write_all(rig, 0)
    return rig


def lose(rig: Rig, shuffle: int, index: int) -> list[cmd.Command]:
    """An output is reported lost."""
    holder = next(place for place in [rig.scheduler.parts()[0].outputs.shuffles[shuffle].places[index]] if place)
    return rig.tell(ev.OutputsLost(holder[0], shuffle, (index,), "gone"))


def fail_to_read(rig: Rig, reader: cmd.Launch, index: int) -> list[cmd.Command]:
    """A reader misses an output, which is therefore made again."""
    return rig.end(reader, unreadable(0, index, rig.places(0)[index]))


def test_the_same_records_change_nothing() -> None:
    rig = reduced()
    readers = rig.running()
    rig.succeed(readers[0])
    fail_to_read(rig, readers[1], 0)
    commands = write_all(rig, 0)
    assert of(cmd.RolledBack, commands) == of(cmd.Kill, commands) == []
    assert [each.index for each in of(cmd.Launch, commands)] == [readers[1].index]


def test_results_and_readers_of_other_records_run_again() -> None:
    rig = reduced()
    done, missed, *running = rig.running()
    rig.succeed(done)
    fail_to_read(rig, missed, 0)
    commands = write_all(rig, 0, version=2)
    assert of(cmd.RolledBack, commands) == [cmd.RolledBack(0, 0, "map 0", 3)]
    assert sorted(each.attempt for each in of(cmd.Kill, commands)) == sorted(each.attempt for each in running)
    assert sorted(each.index for each in of(cmd.Launch, commands)) == [0, 1, 2, 3]
    again = {each.index: each for each in of(cmd.Launch, commands)}
    delivered = of(cmd.DeliverResult, rig.succeed(again[done.index]))
    assert delivered == [like(cmd.DeliverResult, index=done.index)], "for the second time"
    for killed in running:
        assert of(cmd.DeliverResult, rig.succeed(killed)) == [], "what it read is not there any more"
    rig.finish()
    assert [each.number for each in rig.all_launches if each.key == ResultStage(0)] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_task_that_never_gives_the_same_records_ends_when_its_losses_do() -> None:
    """Each loss is one roll-back, and nothing is charged for it."""
    rig = Rig("a", slots=8, max_failures=1, max_deaths=1, stage_max_attempts=2)
    rig.submit(job(0, 3, map_stage(0, 2)))
    write_all(rig, 0)
    for version in range(2, 12):
        reader, *others = rig.running(ResultStage(0))
        rig.succeed(others.pop())
        fail_to_read(rig, reader, 0)
        commands = write_all(rig, 0, version)
        assert of(cmd.RolledBack, commands) == [like(cmd.RolledBack, n_tasks=2)]
        assert of(cmd.JobFailed, commands) == []
        for killed in others:
            rig.end(killed, Killed("on request"))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_map_outputs_that_were_made_from_other_records_are_dropped() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 2, map_stage(0, 2), map_stage(1, 3, (0,)), parents=(1,)))
    write_all(rig, 0)
    first, second, third = rig.running(MapStage(1))
    write(rig, first)
    fail_to_read(rig, second, 1)
    commands = write_all(rig, 0, version=2)
    assert of(cmd.RolledBack, commands) == [cmd.RolledBack(0, 1, "map 0", 2)]
    assert of(cmd.MapOutputsLost, commands) == [like(cmd.MapOutputsLost, shuffle=1, count=1)]
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=third.attempt)]
    assert sorted(each.index for each in rig.running(MapStage(1)) if each.attempt > third.attempt) == [0, 1, 2]
    late = write(rig, third)
    assert of(cmd.ForgetOutput, late) == [cmd.ForgetOutput("a", 1, third.index, third.attempt)]
    assert of(cmd.AttemptEnded, late) == [like(cmd.AttemptEnded, accepted=False)]
    write_all(rig, 1)
    assert min(attempt for _, attempt in rig.places(1)) > third.attempt


def three_deep() -> Rig:
    """Shuffle 0 goes into shuffle 1, that into the results, of which one is there."""
    rig = Rig("a", slots=8)
    rig.submit(job(0, 2, map_stage(0, 1), map_stage(1, 2, (0,)), parents=(1,)))
    write_all(rig, 0)
    write_all(rig, 1)
    rig.succeed(rig.running()[0])
    return rig


def test_what_lies_further_down_is_rolled_back_too_because_values_are_not_looked_at() -> None:
    rig = three_deep()
    lose(rig, 0, 0)
    rig.submit(job(1, 1, map_stage(0, 1)))
    (running,) = rig.running(ResultStage(0))
    commands = write_all(rig, 0, version=2)
    assert of(cmd.RolledBack, commands) == [cmd.RolledBack(0, 0, "map 0", 4)]
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=running.attempt)]
    assert sorted(str(each.key) for each in of(cmd.Launch, commands)) == [
        "MapStage(shuffle=1)", "MapStage(shuffle=1)", "ResultStage(job=1)",
    ]  # fmt: skip
    commands = write_all(rig, 1)
    assert len(of(cmd.Launch, commands)) == 2
    assert cmd.JobDone(0) in rig.finish()


def test_outputs_of_jobs_that_are_over_are_dropped_too() -> None:
    """A later job would otherwise mix them with outputs that are made again from other records."""
    rig = three_deep()
    rig.finish()
    lose(rig, 0, 0)
    rig.submit(job(1, 1, map_stage(0, 1)))
    commands = write_all(rig, 0, version=2)
    assert of(cmd.MapOutputsLost, commands) == [like(cmd.MapOutputsLost, shuffle=1, count=2)]
    assert of(cmd.RolledBack, commands) == [cmd.RolledBack(0, 0, "map 0", 2)]
    rig.submit(job(2, 1, map_stage(0, 1), map_stage(1, 2, (0,)), parents=(1,)))
    assert len(rig.running(MapStage(1))) == 2


def test_a_shuffle_of_which_nothing_is_left_is_remembered() -> None:
    """All its outputs are lost between two jobs; what was made from them is still there, in part."""
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 1, map_stage(0, 1), map_stage(1, 4, (0,)), parents=(1,)))
    write_all(rig, 0)
    write_all(rig, 1)
    rig.finish()
    ((holder, _),) = rig.places(0)
    rig.lose(holder)
    rig.submit(job(1, 1, map_stage(0, 1), map_stage(1, 4, (0,)), parents=(1,)))
    commands = write_all(rig, 0, version=2)
    assert of(cmd.RolledBack, commands) == [like(cmd.RolledBack, shuffle=0)]
    rig.finish(MapStage(1))
    again = [each.index for each in rig.all_launches if each.key == MapStage(1)][4:]
    assert sorted(again) == [0, 1, 2, 3]


def test_a_shuffle_is_forgotten_with_its_fingerprints() -> None:
    rig = reduced()
    rig.finish()
    lose(rig, 0, 0)
    lose(rig, 0, 1)
    assert rig.scheduler.parts()[0].outputs.shuffles, "what was there is remembered"
    rig.tell(ev.ShuffleForgotten(0))
    assert not rig.scheduler.parts()[0].outputs.shuffles


def test_many_maps_that_differ_roll_back_once() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 3, map_stage(0, 5)))
    write_all(rig, 0)
    reader = rig.running()[0]
    rig.succeed(rig.running()[1])
    holder = rig.places(0)[0][0]
    rig.tell(ev.OutputsLost(holder, 0, (0, 1, 2, 3, 4), "gone"))
    rig.end(reader, unreadable(0, 0, (holder, 0)))
    commands = write_all(rig, 0, version=2)
    assert of(cmd.RolledBack, commands) == [like(cmd.RolledBack, n_tasks=2)]
    assert sorted(each.index for each in of(cmd.Launch, commands) if each.key == ResultStage(0)) == [0, 1, 2]


def test_other_records_before_anybody_could_read_the_first_change_nothing() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 1, map_stage(0, 2)))
    first, second = rig.running()
    write(rig, first, 1)
    lose(rig, 0, first.index)
    (again,) = [each for each in rig.running() if each.index == first.index]
    assert of(cmd.RolledBack, write(rig, again, 2)) == []
    assert of(cmd.Launch, write(rig, second, 1)) == [like(cmd.Launch, key=ResultStage(0))]


def test_a_late_output_with_other_records_rolls_back_as_well() -> None:
    """A killed attempt of an earlier job gives the output that a later one misses."""
    rig = reduced(2)
    reader, done = rig.running()
    rig.succeed(done)
    lose(rig, 0, 0)
    rig.end(reader, unreadable(0, 0, ("a", 0)))
    (again,) = rig.running(MapStage(0))
    rig.tell(ev.JobCancelled(0, "stop"))
    rig.submit(job(1, 2, map_stage(0, 2)))
    (other,) = [each for each in rig.running(MapStage(0)) if each is not again]
    commands = write(rig, again, 2)
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=other.attempt)]
    assert of(cmd.RolledBack, commands) == [], "nothing is left of the job that had read the first records"
    assert len(of(cmd.Launch, commands)) == 2


def test_copies_of_slow_readers_are_killed_too() -> None:
    rig = Rig("a", "b", slots=4)
    rig.submit(job(0, 2, map_stage(0, 1)))
    write_all(rig, 0)
    tasks = rig.scheduler.parts()[1]
    reader = rig.running()[0]
    other = next(each for each in tasks.table.members.values() if each.id != reader.executor)
    copy = tasks.copy(tasks.table.members[reader.executor].attempts[reader.attempt], other)
    lose(rig, 0, 0)
    rig.submit(job(1, 1, map_stage(0, 1)))
    commands = write_all(rig, 0, version=2)
    assert {each.attempt for each in of(cmd.Kill, commands)} >= {reader.attempt, copy}
    assert of(cmd.RolledBack, commands) == [like(cmd.RolledBack, n_tasks=2)]


def test_outputs_without_a_fingerprint_are_taken_as_they_are() -> None:
    rig = Rig("a", slots=8)
    rig.submit(job(0, 2, map_stage(0, 1)))
    rig.finish(MapStage(0))
    rig.succeed(rig.running()[0])
    lose(rig, 0, 0)
    rig.submit(job(1, 1, map_stage(0, 1)))
    assert of(cmd.RolledBack, write_all(rig, 0, 7)) == []


def test_a_shuffle_without_maps_carries_nothing() -> None:
    rig = Rig("a", slots=8)
    maps = (map_stage(0, 1), map_stage(1, 0, (0,)), map_stage(2, 2, (1,)))
    rig.submit(job(0, 1, *maps, parents=(0, 2)))
    write_all(rig, 2)
    write_all(rig, 0)
    rig.finish()
    lose(rig, 0, 0)
    rig.submit(job(1, 1, *maps, parents=(0,)))
    commands = write_all(rig, 0, 2)
    assert of(cmd.MapOutputsLost, commands) == []
    assert rig.scheduler.parts()[0].outputs.is_complete(2)
