"""A log is enough to run the scheduler again: simulated clusters, written as logs, read back, replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.observe import replay as replaying
from rddlite.observe.eventlog import EventLog
from rddlite.observe.logreader import LogReader
from rddlite.observe.replay import replay
from rddlite.observe.translate import Batch
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.core import Scheduler
from rddlite.schedule.invariants import InvariantBroken
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.simulation import FakeCluster
from tests.helpers.scheduling import Rig, job, map_stage

SEEDS = range(400, 420)


def written(cluster: FakeCluster, directory: Path) -> LogReader:
    """The log of a simulated run."""
    log = EventLog(str(directory), "simulated", Settings(), cluster.options, SystemClock())
    log.start()
    answers = iter(cluster.answers)
    record = log.recording(lambda events, now: next(answers))
    for events, now in cluster.log:
        record(events, now)
    log.close()
    return LogReader(str(directory / "simulated.jsonl"))


class Recorded(Rig):
    """A scheduler that is told events by hand; `batches` is what a log would have of it."""

    def __init__(self, *joined: str) -> None:
        self.batches: list[Batch] = []
        super().__init__(*joined)

    def tell(self, *events: ev.Event, after: float = 0.0) -> list[cmd.Command]:
        commands = super().tell(*events, after=after)
        self.batches.append(Batch(events, self.now, 0.0, tuple(commands)))
        return commands


OPTIONS = SchedulerOptions(launch_ahead=0)


@pytest.fixture
def batches() -> list[Batch]:
    """Those of one job of two stages, and of an executor that fell silent."""
    rig = Recorded("0", "1")
    rig.submit(job(0, 4, map_stage(0, 4)))
    rig.finish()
    rig.silence()
    return rig.batches


def launching(batches: list[Batch]) -> tuple[int, int]:
    """The first batch that is not among the first and launches something, and the position of that command."""
    return next(
        (number, position)
        for number, batch in enumerate(batches)
        for position, command in enumerate(batch.commands)
        if number >= 5 and isinstance(command, cmd.Launch)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_cluster_is_reproduced_from_its_log(seed: int, tmp_path: Path) -> None:
    cluster = FakeCluster(seed).run()
    log = written(cluster, tmp_path)
    assert log.header.options == cluster.options
    replayed = replay(log, log.header.options, is_checked=True)
    assert replayed.difference is None
    assert replayed.batches == len(cluster.log)
    assert replayed.events == sum(len(events) for events, _ in cluster.log)
    assert replayed.commands == sum(map(len, cluster.answers))


def test_what_was_told_by_hand_is_reproduced(batches: list[Batch]) -> None:
    assert replay(batches, OPTIONS, is_checked=True).difference is None


def test_the_first_difference_is_found_and_what_came_before_it(batches: list[Batch]) -> None:
    number, position = launching(batches)
    commands = list(batches[number].commands)
    launch = commands[position]
    assert isinstance(launch, cmd.Launch)
    commands[position] = replace(launch, index=launch.index + 1)
    batches[number] = replace(batches[number], commands=tuple(commands))
    found = replay(batches, OPTIONS).difference
    assert found is not None
    assert (found.number, found.position) == (number + 1, position)
    assert (found.recorded, found.replayed) == (commands[position], launch)
    assert found.before == tuple(batches[number - 3 : number])


def test_missing_and_additional_commands_are_differences(batches: list[Batch]) -> None:
    number, _ = launching(batches)
    batch = batches[number]
    extra = cmd.WantExecutors("?")
    more = replay([*batches[:number], replace(batch, commands=(*batch.commands, extra))], OPTIONS).difference
    assert more is not None
    assert (more.position, more.recorded, more.replayed) == (len(batch.commands), extra, None)
    fewer = replay([*batches[:number], replace(batch, commands=batch.commands[:-1])], OPTIONS).difference
    assert fewer is not None
    assert (fewer.recorded, fewer.replayed) == (None, batch.commands[-1])


def test_other_options_decide_otherwise(batches: list[Batch]) -> None:
    found = replay(batches, replace(OPTIONS, silence=OPTIONS.silence * 2)).difference
    assert found is not None
    assert found.number == len(batches)


class _Failing(Scheduler):
    def handle_all(self, events: Iterable[ev.Event], now: float) -> list[cmd.Command]:
        told = list(events)
        if any(isinstance(event, ev.ProviderFailed) for event in told):
            raise RuntimeError("a bug")
        return super().handle_all(told, now)


def test_an_error_of_the_scheduler_is_reproduced() -> None:
    error = "RuntimeError('a bug')"
    batches = [Batch((ev.Tick(),), 1.0, 0.0, ()), Batch((ev.ProviderFailed("x"),), 2.0, 0.0, (), error)]
    replayed = replay(batches, SchedulerOptions(), make=_Failing)
    assert (replayed.difference, replayed.error, replayed.batches) == (None, error, 2)
    found = replay(batches, SchedulerOptions()).difference
    assert found is not None
    assert (found.number, found.error, found.batch.error) == (2, "", error)


def test_an_error_that_only_the_replay_raises_is_a_difference() -> None:
    batches = [Batch((ev.ProviderFailed("x"),), 2.0, 0.0, ())]
    found = replay(batches, SchedulerOptions(), make=_Failing).difference
    assert found is not None
    assert found.error == "RuntimeError('a bug')"
    assert not found.is_invariant


def test_broken_invariants_are_found_when_asked_for(batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scheduler: Scheduler) -> None:
        raise InvariantBroken("a table")

    monkeypatch.setattr(replaying, "check", broken)
    assert replay(batches, OPTIONS).difference is None
    found = replay(batches, OPTIONS, is_checked=True).difference
    assert found is not None
    assert (found.number, found.error, found.is_invariant) == (1, "InvariantBroken('a table')", True)
