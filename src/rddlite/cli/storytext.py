"""A story and a replay as text for people and as values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rddlite.base.units import show_seconds
from rddlite.observe.logreader import Header, LogReader
from rddlite.observe.replay import Difference, Replayed
from rddlite.observe.story import ExecutorLife, Incident, Story
from rddlite.observe.translate import Schema
from rddlite.schedule.commands import Command
from rddlite.schedule.events import Event

_MOST_INCIDENTS = 40
_MOST_TURNS = 10
_MOST_SHOWN = 8


def story_text(log: LogReader, story: Story) -> Iterator[str]:
    """The lines of the whole story."""
    yield from _head(log.header)
    end = "complete" if log.ending.kind == "complete" else f"{log.ending.kind}: {log.ending.why}"
    counts = f"{_n(len(story.jobs), 'job')}, {_n(len(story.executors), 'executor')}"
    yield f"{show_seconds(story.seconds)}, {counts}; the log is {end}"
    yield ""
    for life in story.executors:
        yield from _life(life)
    for job in story.jobs:
        yield ""
        yield f"at {_at(job.began)}:"
        yield str(job.summary)
        yield from _incidents(job.incidents)
    if story.incidents:
        yield ""
        yield "besides:"
        yield from _incidents(story.incidents)


def _head(header: Header) -> Iterator[str]:
    yield f"{header.name} ({header.application}), process {header.pid} on {header.host}"
    master = header.settings.get("master")
    began = datetime.fromtimestamp(header.started).astimezone().isoformat(" ", "seconds")
    yield f"rddlite {header.rddlite}, Python {header.python}, master {master}, began {began}"


def _life(life: ExecutorLife) -> Iterator[str]:
    failed = f", {life.failed} failed" if life.failed else ""
    until = "" if life.left is None else f" to {_at(life.left)}: {life.why}"
    what = f"executor {life.id} on {life.host}, {_n(life.slots, 'slot')}, {_n(life.attempts, 'attempt')}{failed}"
    yield f"{what}, from {_at(life.joined)}{until}"
    for at, text in life.turns[:_MOST_TURNS]:
        yield f"  {_at(at):>10}  {text}"
    if len(life.turns) > _MOST_TURNS:
        yield f"  and {len(life.turns) - _MOST_TURNS} more turns (--json has them)"


def _incidents(incidents: Sequence[Incident]) -> Iterator[str]:
    width = max((len(each.what) for each in incidents), default=0)
    for each in incidents[:_MOST_INCIDENTS]:
        times = f" ({each.count} times)" if each.count > 1 else ""
        yield f"  {_at(each.at):>10}  {each.what.ljust(width)}  {each.text}{times}"
    if len(incidents) > _MOST_INCIDENTS:
        yield f"  and {len(incidents) - _MOST_INCIDENTS} more (--json has them)"


def _at(seconds: float) -> str:
    return f"{seconds:.3f} s"


def _n(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def story_json(log: LogReader, story: Story) -> dict[str, Any]:
    """The whole story, as values."""
    return {
        "application": {**asdict(log.header), "seconds": story.seconds, "ending": asdict(log.ending)},
        "executors": [asdict(life) for life in story.executors],
        "jobs": [
            {"began": job.began, **asdict(job.summary), "incidents": [asdict(each) for each in job.incidents]}
            for job in story.jobs
        ],
        "incidents": [asdict(each) for each in story.incidents],
    }


def difference_text(log: LogReader, found: Difference) -> Iterator[str]:
    """The lines that tell of the first difference."""
    schema = Schema()
    at = _at(found.batch.now - log.header.clock)
    what = "reproduced, but the scheduler's invariants are broken" if found.is_invariant else "not reproduced"
    yield f"{what}: batch {found.number}, at {at}, line {log.line} of {log.path}"
    for batch in found.before:
        yield f"  before, at {_at(batch.now - log.header.clock)}: {_names(batch.events)} -> {_names(batch.commands)}"
    yield "events:"
    yield from _few([repr(row) for row in schema.pack_events(found.batch.events)])
    same = found.batch.commands[: found.position]
    yield f"commands: {len(found.batch.commands)} recorded, the first {len(same)} of them reproduced"
    yield from _few([repr(row) for row in schema.pack_commands(same)], from_end=True)
    if found.is_invariant:
        yield f"  then: {found.error}"
    else:
        yield f"  recorded: {_one(schema, found.recorded, found.batch.error)}"
        yield f"  replayed: {_one(schema, found.replayed, found.error)}"


def replay_json(log: LogReader, done: Replayed) -> dict[str, Any]:
    """What a replay found, as values."""
    schema, found = Schema(), done.difference
    counts = {"batches": done.batches, "events": done.events, "commands": done.commands, "error": done.error}
    ending = asdict(log.ending)
    if found is None:
        return {"reproduced": True, **counts, "ending": ending, "difference": None}
    difference = {
        "batch": found.number,
        "line": log.line,
        "now": found.batch.now,
        "events": schema.pack_events(found.batch.events),
        "position": found.position,
        "recorded": _json_of(schema, found.recorded),
        "replayed": _json_of(schema, found.replayed),
        "recorded_error": found.batch.error,
        "replayed_error": found.error,
    }
    return {"reproduced": False, **counts, "ending": ending, "difference": difference}


def _json_of(schema: Schema, command: Command | None) -> Any:
    return None if command is None else schema.pack_commands([command])[0]


def _one(schema: Schema, command: Command | None, error: str) -> str:
    if error:
        return f"the scheduler failed: {error}"
    return "nothing more" if command is None else repr(_json_of(schema, command))


def _names(things: Sequence[Event | Command]) -> str:
    names = [type(thing).__name__ for thing in things]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return (", ".join(names[:_MOST_SHOWN]) or "nothing") + more


def _few(lines: Sequence[str], *, from_end: bool = False) -> Iterator[str]:
    left_out = len(lines) - _MOST_SHOWN
    if left_out > 0 and from_end:
        yield f"  ... {left_out} before these"
    yield from (f"  {line}" for line in (lines[-_MOST_SHOWN:] if from_end else lines[:_MOST_SHOWN]))
    if left_out > 0 and not from_end:
        yield f"  ... and {left_out} more"
