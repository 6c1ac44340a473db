"""A log is enough to run the scheduler again: simulated clusters, written as logs, read back, replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.observe.eventlog import EventLog
from rddlite.observe.logreader import LogReader
from rddlite.observe.replay import replay
from rddlite.observe.translate import Batch
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.core import Scheduler
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.simulation import FakeCluster

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


def batches_of(cluster: FakeCluster) -> list[Batch]:
    pairs = zip(cluster.log, cluster.answers, strict=True)
    return [Batch(events, now, 0.0, tuple(commands)) for (events, now), commands in pairs]


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


def test_the_first_difference_is_found_and_what_came_before_it(tmp_path: Path) -> None:
    batches = batches_of(FakeCluster(SEEDS[0]).run())
    at, batch = next((i, batch) for i, batch in enumerate(batches) if len(batch.commands) > 2 and i > 5)
    position, launch = next((i, each) for i, each in enumerate(batch.commands) if isinstance(each, cmd.Launch))
    other = replace(launch, index=launch.index + 1)
    batches[at] = replace(batch, commands=(*batch.commands[:position], other, *batch.commands[position + 1 :]))
    found = replay(batches, FakeCluster(SEEDS[0]).options).difference
    assert found is not None
    assert (found.number, found.position, found.recorded, found.replayed) == (at + 1, position, other, launch)
    assert found.before == tuple(batches[at - 3 : at])


def test_missing_and_additional_commands_are_differences() -> None:
    batches = batches_of(FakeCluster(SEEDS[0]).run())
    options = FakeCluster(SEEDS[0]).options
    at, batch = next((i, batch) for i, batch in enumerate(batches) if batch.commands)
    extra = cmd.WantExecutors("?")
    more = replay([*batches[:at], replace(batch, commands=(*batch.commands, extra))], options).difference
    assert more is not None
    assert (more.position, more.recorded, more.replayed) == (len(batch.commands), extra, None)
    fewer = replay([*batches[:at], replace(batch, commands=batch.commands[:-1])], options).difference
    assert fewer is not None
    assert (fewer.recorded, fewer.replayed) == (None, batch.commands[-1])


def test_other_options_decide_otherwise() -> None:
    cluster = FakeCluster(SEEDS[0]).run()
    options = replace(cluster.options, silence=0.001)
    assert replay(batches_of(cluster), options).difference is not None


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


def test_broken_invariants_are_found_when_asked_for() -> None:
    def broken(options: SchedulerOptions) -> Scheduler:
        scheduler = Scheduler(options)
        scheduler.parts()[1].table.n_alive += 1
        return scheduler

    batches = [Batch((ev.Tick(),), 1.0, 0.0, ())]
    assert replay(batches, SchedulerOptions(), make=broken).difference is None
    found = replay(batches, SchedulerOptions(), make=broken, is_checked=True).difference
    assert found is not None
    assert found.error.startswith("InvariantBroken('counts of alive executors")
    assert found.is_invariant
