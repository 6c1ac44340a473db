"""Everything that can be told to the scheduler, and everything it can answer, survives the way through a log."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.ids import ExecutorId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, InlineResult, MapStatus, Raised, Success
from rddlite.observe.translate import WITHOUT_BYTES, Elided, Schema, UnknownForm
from rddlite.plan.model import JobPlan, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import SchedulerOptions

SCHEMA = Schema()


def through(value: Any) -> Any:
    """What becomes of an event on its way through a line of JSON."""
    (back,) = SCHEMA.unpack_events(json.loads(json.dumps(SCHEMA.pack_events([value]))))
    return back


def told(value: Any) -> Any:
    """A value as plain data in which nothing is left out but what a log leaves out."""
    if is_dataclass(value):
        left_out = WITHOUT_BYTES.get(type(value), ())
        return type(value).__name__, {
            field.name: _size(part) if field.name in left_out else told(part)
            for field in fields(value)
            for part in (getattr(value, field.name),)
        }
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, frozenset):
        return "frozenset", sorted(value)
    if isinstance(value, dict):
        return "dict", [(told(key), told(part)) for key, part in value.items()]
    if isinstance(value, tuple):
        return "tuple", [told(part) for part in value]
    return type(value).__name__, value


def _size(value: bytes | None) -> int | None:
    if value is None:
        return None
    return value.size if isinstance(value, Elided) else len(value)


@pytest.mark.parametrize("cls", get_args(ev.Event), ids=lambda cls: cls.__name__)
def test_every_event_comes_back_as_it_was(cls: type) -> None:
    @settings(max_examples=25)
    @given(st.from_type(cls))
    def check(event: Any) -> None:
        assert told(through(event)) == told(event)

    check()


@pytest.mark.parametrize("cls", get_args(cmd.Command), ids=lambda cls: cls.__name__)
def test_every_command_comes_back_as_it_was(cls: type) -> None:
    @settings(max_examples=25)
    @given(st.from_type(cls))
    def check(command: Any) -> None:
        (back,) = SCHEMA.unpack_commands(json.loads(json.dumps(SCHEMA.pack_commands([command]))))
        assert told(back) == told(command)

    check()


@given(st.from_type(SchedulerOptions))
def test_options_come_back_as_they_were(options: SchedulerOptions) -> None:
    assert told(SCHEMA.unpack_options(json.loads(json.dumps(SCHEMA.pack_options(options))))) == told(options)


def test_what_is_left_out_are_fields_of_bytes_that_exist() -> None:
    for cls, names in WITHOUT_BYTES.items():
        assert names <= {field.name for field in fields(cls) if "bytes" in str(field.type)}


def test_bytes_that_nothing_depends_on_become_their_number() -> None:
    event = ev.TaskEnded(ExecutorId("0"), 1, Success(InlineResult(b"secret"), TaskMetrics(), b"sums"))
    assert "secret" not in json.dumps(SCHEMA.pack_events([event]))
    outcome = through(event).outcome
    assert (outcome.value.data.size, outcome.accumulators.size) == (6, 4)
    assert repr(outcome.value.data) == "<6 bytes>"
    again = through(through(event))
    assert again.outcome.value.data.size == 6


def test_pickled_exceptions_are_left_out_and_what_decides_about_them_is_kept() -> None:
    failure = Failure("ValueError", "no", "user", "full", b"pickled", "job.py:1", "record", "map", "job.py:2", True)
    back = through(ev.TaskEnded(ExecutorId("0"), 1, Raised(failure, True))).outcome.failure
    assert back.pickled == b""
    assert (back.type_name, back.location, back.record, back.is_transient) == ("ValueError", "job.py:1", "record", True)


def test_sizes_and_fingerprints_of_map_outputs_are_kept() -> None:
    status = MapStatus(ExecutorId("0"), 3, bytes(range(256)), 1, 2, b"\xff\x00print")
    assert through(ev.TaskEnded(ExecutorId("0"), 3, Success(status, TaskMetrics()))).outcome.value == status


def submitted(partitions: Any, hosts: Any = (), n_tasks: int = 1) -> ev.JobSubmitted:
    result = StagePlan(ResultStage(0), (), n_tasks, 0, hosts)
    return ev.JobSubmitted(JobPlan(0, partitions, result))


@pytest.mark.parametrize(
    "partitions",
    [range(1_000_000), range(7, 1, -2), tuple(range(100_000)), tuple(range(10_000, 0, -3)), (), (5,), (3, 3, 3)],
    ids=str,
)
def test_partitions_stay_short(partitions: Any) -> None:
    event = submitted(partitions)
    assert len(json.dumps(SCHEMA.pack_events([event]))) < 200
    back = through(event).plan.partitions
    assert (type(back), back) == (type(partitions), partitions)


@pytest.mark.parametrize(
    "partitions",
    [(*range(100), 7), (0,) * 100, tuple(range(50)) * 2, (0, 1, *range(40), 10**18), tuple(i * i for i in range(99))],
    ids=["broken", "equal", "twice", "far", "squares"],
)
def test_partitions_that_are_no_run_come_back_too(partitions: Any) -> None:
    assert through(submitted(partitions)).plan.partitions == partitions


def test_hosts_that_repeat_themselves_stay_short() -> None:
    hosts = tuple((f"host-{i % 7}.example.org", f"host-{i % 5}.example.org") for i in range(10_000))
    event = submitted(range(10_000), hosts)
    assert len(json.dumps(SCHEMA.pack_events([event]))) < 60_000
    assert through(event) == event


def test_text_of_any_kind_comes_back() -> None:
    for text in ("ä\u2028\n\0", "\udcff lone surrogate", '"}'):
        assert through(ev.ProviderFailed(text)) == ev.ProviderFailed(text)


def test_times_come_back_to_the_last_bit() -> None:
    for seconds in (0.1 + 0.2, 1e-300, math.inf, 12345.678901234567):
        assert through(ev.DriverDelayed(seconds)).seconds == seconds


# Logs of other versions


def test_a_log_of_an_older_version_has_defaults_for_what_it_lacks() -> None:
    names = {**SCHEMA.fields, "Heartbeat": ["executor"]}
    assert Schema(names).unpack_events([["Heartbeat", "7"]]) == (ev.Heartbeat(ExecutorId("7")),)


def test_fields_that_this_version_does_not_have_are_left_out() -> None:
    names = {**SCHEMA.fields, "ExecutorLost": ["cause", "colour", "executor"]}
    assert Schema(names).unpack_events([["ExecutorLost", "gone", "red", "7"]]) == (ev.ExecutorLost("7", "gone"),)


def test_unknown_options_are_left_out_and_missing_ones_have_their_defaults() -> None:
    assert SCHEMA.unpack_options({"max_deaths": 9, "colour": 1}) == SchedulerOptions(max_deaths=9)


@pytest.mark.parametrize(
    ("names", "row", "text"),
    [
        ({}, ["Eclipse", 1], "not one of JobSubmitted, .*Eclipse"),
        ({}, ["Heartbeat"], "not the fields of a Heartbeat"),
        ({}, ["TaskEnded", "0", 1, ["Success", 3, 4, 5]], "not"),
        ({}, ["ExecutorReturned", "0", 3], "not"),
        ({}, "Heartbeat", "not one of"),
        ({"ExecutorJoined": ["executor", "host"]}, ["ExecutorJoined", "0", "h"], "has no ExecutorJoined.slots"),
    ],
)
def test_what_cannot_be_read_is_named(names: dict[str, list[str]], row: Any, text: str) -> None:
    with pytest.raises(UnknownForm, match=text):
        Schema(names).unpack_events([row])


# Declarations


@dataclass(frozen=True)
class Left:
    x: int


@pytest.mark.parametrize(
    "hint",
    [object, set[int], list[int], tuple[int, ...] | frozenset[int], bytes | str, Left | tuple[int, ...]],
    ids=str,
)
def test_a_declaration_without_a_form_is_refused_when_the_schema_is_made(hint: Any) -> None:
    with pytest.raises(TypeError, match="event log"):
        Schema().shape_of(hint)


def test_two_classes_of_one_name_are_refused() -> None:
    other = dataclass(type("Tick", (), {"__annotations__": {"x": int}}))
    with pytest.raises(TypeError, match="called Tick"):
        Schema().shape_of(other)
