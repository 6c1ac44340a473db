"""Feeds the events of a log to a fresh scheduler, at the times they came, and compares each of its answers.

The scheduler has no clock, no I/O and nothing random, so that the same events give the same commands: a difference is a
bug (or another version), and its first one is what a bug report needs. Commands are compared in the form in which a log
has them, so bytes that it does not have count by their number.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rddlite.observe.translate import Batch, Schema
from rddlite.schedule.commands import Command
from rddlite.schedule.core import Scheduler
from rddlite.schedule.events import Event
from rddlite.schedule.invariants import InvariantBroken, check
from rddlite.schedule.options import SchedulerOptions

_BATCHES_BEFORE = 3
MakeScheduler = Callable[[SchedulerOptions], Scheduler]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay left the log: the `number`-th batch (from 1), the position in its commands, and both answers.

    None for a command means that there is none at this position; `error` is what the replay raised, if it did. With
    `is_invariant` that is a broken invariant, and the commands are alike.
    `before` are the batches that came before, the oldest first.
    """

    number: int
    batch: Batch
    before: tuple[Batch, ...]
    position: int
    recorded: Command | None
    replayed: Command | None
    error: str = ""
    is_invariant: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, up to the end or to the first difference. `error` is one that was reproduced."""

    batches: int
    events: int
    commands: int
    difference: Difference | None = None
    error: str = ""


def replay(
    batches: Iterable[Batch], options: SchedulerOptions, *, is_checked: bool = False, make: MakeScheduler = Scheduler
) -> Replayed:
    """Run these batches again. With `is_checked`, the scheduler's invariants are checked after each of them."""
    scheduler, schema = make(options), Schema()
    before: deque[Batch] = deque(maxlen=_BATCHES_BEFORE)
    n_batches = n_events = n_commands = 0
    error = ""
    for batch in batches:
        n_batches += 1
        commands, error = _again(scheduler, batch.events, batch.now)
        position = _difference(schema, batch, commands, error)
        if position is not None:
            recorded, replayed = _at(batch.commands, position), _at(commands, position)
            difference = Difference(n_batches, batch, tuple(before), position, recorded, replayed, error)
            return Replayed(n_batches, n_events, n_commands, difference)
        if is_checked and not error and (broken := _broken(scheduler)):
            difference = Difference(n_batches, batch, tuple(before), len(commands), None, None, broken, True)
            return Replayed(n_batches, n_events, n_commands, difference)
        n_events += len(batch.events)
        n_commands += len(commands)
        before.append(batch)
    return Replayed(n_batches, n_events, n_commands, error=error)


def _again(scheduler: Scheduler, events: tuple[Event, ...], now: float) -> tuple[list[Command], str]:
    try:
        return scheduler.handle_all(events, now), ""
    except Exception as error:  # what was recorded may be just this
        return [], repr(error)


def _broken(scheduler: Scheduler) -> str:
    try:
        check(scheduler)
    except InvariantBroken as error:
        return repr(error)
    return ""


def _difference(schema: Schema, batch: Batch, commands: list[Command], error: str) -> int | None:
    """The first position at which the commands differ, if they or the errors do."""
    recorded, replayed = _texts(schema, batch.commands), _texts(schema, commands)
    if error == batch.error and recorded == replayed:
        return None
    pairs = enumerate(zip(recorded, replayed, strict=False))
    shorter = min(len(recorded), len(replayed))
    return next((i for i, (one, other) in pairs if one != other), shorter)


def _at(commands: Sequence[Command], position: int) -> Command | None:
    return commands[position] if position < len(commands) else None


def _texts(schema: Schema, commands: Iterable[Command]) -> list[str]:
    return list(map(json.dumps, schema.pack_commands(commands)))
