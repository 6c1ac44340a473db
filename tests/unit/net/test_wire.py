"""Every message survives its bytes; no bytes raise anything but `RemoteProtocolError`."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Killed, MapStatus, Raised, Success, TaskOutcome
from rddlite.errors import LocalProtocolError, RemoteProtocolError
from rddlite.net import wire
from rddlite.net.messages import (
    AttemptReport,
    Blob,
    ExecutorAlive,
    FromDriver,
    FromExecutor,
    KillTask,
    Leaving,
    Message,
    RunTask,
    RunTasks,
    TasksEnded,
)
from tests.helpers.values import values_of

fixed = settings(max_examples=150, derandomize=True, database=None)
WRITERS_AND_READERS = [
    (Message, wire.encode, wire.decode),
    (TaskOutcome, wire.pack_outcome, wire.unpack_outcome),
    (RunTask, wire.pack_task, wire.unpack_task),
]
READERS = [read for _, _, read in WRITERS_AND_READERS]
TASK = RunTask(7, 3, 1, 1, 0, "digest", "", b"source")


@pytest.mark.parametrize(("kind", "write", "read"), WRITERS_AND_READERS)
@fixed
@given(data=st.data())
def test_a_message_survives_its_bytes(kind, write, read, data):
    message = data.draw(values_of(kind))
    again = read(write(message))
    assert again == message
    assert type(again) is type(message)


@pytest.mark.parametrize("read", READERS)
@fixed
@given(data=st.binary(max_size=60))
def test_random_bytes_raise_nothing_else(read, data):
    expect_message_or_refusal(read, data)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 63) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@pytest.mark.parametrize("read", READERS)
@fixed
@given(value=JUNK | st.lists(JUNK, min_size=1, max_size=12).map(lambda row: [len(row) % 14, *row]))
def test_valid_msgpack_of_any_shape_raises_nothing_else(read, value):
    expect_message_or_refusal(read, msgpack.packb(value))


@pytest.mark.parametrize(("kind", "write", "read"), WRITERS_AND_READERS)
@fixed
@given(data=st.data())
def test_mutated_messages_raise_nothing_else(kind, write, read, data):
    whole = bytearray(write(data.draw(values_of(kind))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "delete"])):
            case "set":
                whole[at] = data.draw(st.integers(0, 255))
            case "cut":
                del whole[max(at, 1) :]
            case "insert":
                whole[at:at] = data.draw(st.binary(min_size=1, max_size=5))
            case _ if len(whole) > 1:
                del whole[at]
    expect_message_or_refusal(read, bytes(whole))


def expect_message_or_refusal(read: Any, data: bytes) -> None:
    try:
        message = read(data)
    except RemoteProtocolError:
        return
    assert is_dataclass(message)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a message"),
        (msgpack.packb([99, "x"]), "no message has the tag 99"),
        (msgpack.packb([-1, "x"]), "no message has the tag -1"),
        (msgpack.packb([True, "x"]), "no message has the tag True"),
        (msgpack.packb(["Leaving", "0", "why"]), "no message has the tag 'Leaving'"),
        (msgpack.packb([4, "0"]), "Leaving has 2 fields, not 1"),
        (msgpack.packb([4, "0", "why", 1]), "Leaving has 2 fields, not 3"),
        (msgpack.packb([4, "0", 17]), r"Leaving\.why cannot be of type int"),
        (msgpack.packb([4, "0", None]), r"Leaving\.why cannot be of type NoneType"),
        (msgpack.packb([1, "0", True, [], [], 0]), r"ExecutorAlive\.memory cannot be of type bool"),
        (msgpack.packb([1, "0", 1, ["2"], [], 0]), "a list cannot hold"),
        (msgpack.packb([1, "0", 1, [2], [["x"]], 0]), "a list cannot hold"),
        (msgpack.packb([2, "0", 1, [[1]]]), "AttemptReport has 2 fields, not 1"),
        (msgpack.packb([2, "0", 1, [7]]), "a list cannot hold"),
        (msgpack.packb([4, "0", "why"]) + b"\x00", "not a message"),
        (msgpack.packb({"tag": 4}), "must be an array"),
        (msgpack.packb([]), "must be an array"),
        (b"\x91" * 5000 + b"\x01", "not a message"),
        (b"\xdd\xff\xff\xff\xff", "not a message"),
        (msgpack.packb([4, "0"])[:-1] + b"\xa2\xff\xfe", "not a message"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(data, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        wire.decode(data)


class Text(str):
    __slots__ = ()


@dataclass(frozen=True)
class Stranger:
    x: int = 1


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Leaving("0", 7), r"Leaving\.why cannot be of type int"),
        (Leaving("0", Text("x")), r"Leaving\.why cannot be of type Text"),
        (KillTask(1 << 64, "why"), "cannot be sent"),
        (KillTask(True, "why"), r"KillTask\.attempt cannot be of type bool"),
        (RunTasks([Blob("d", bytearray(b"x"))], []), r"Blob\.data cannot be of type bytearray"),
        (RunTasks([], (TASK,)), r"RunTasks\.tasks cannot be of type tuple"),
        (RunTasks([], [TASK, None]), "a list cannot hold"),
        (Stranger(), "a Stranger is not among"),
        (None, "a NoneType is not among"),
        (AttemptReport(1, b""), "a AttemptReport is not among"),
    ],
)
def test_what_cannot_be_sent_is_a_local_error(message, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        wire.encode(message)


def test_an_outcome_of_wrong_parts_is_a_local_error():
    with pytest.raises(LocalProtocolError, match=r"Killed\.why cannot be of type NoneType"):
        wire.pack_outcome(Killed(None))
    with pytest.raises(LocalProtocolError, match=r"Success\.value cannot be of type str"):
        wire.pack_outcome(Success("not encoded", TaskMetrics()))
    with pytest.raises(LocalProtocolError, match=r"Raised\.failure cannot be of type ValueError"):
        wire.pack_outcome(Raised(ValueError("x"), True))


def test_sizes_are_limited_by_direction(monkeypatch):
    monkeypatch.setattr(wire, "MAX_TO_DRIVER", 100)
    big = bytes(200)
    with pytest.raises(LocalProtocolError, match="larger than 100"):
        wire.encode(TasksEnded("0", 1, [AttemptReport(1, big)]))
    monkeypatch.setattr(wire, "MAX_OUTCOME", 50)
    with pytest.raises(LocalProtocolError, match="larger than 50"):
        wire.pack_outcome(Success(InlineResult(big), TaskMetrics()))
    blob = RunTasks([Blob("d", big)], [])
    assert wire.decode(wire.encode(blob), 1000) == blob
    with pytest.raises(RemoteProtocolError, match="more than the 100"):
        wire.decode(wire.encode(blob), 100)


def test_integral_numbers_are_welcome_where_fractions_are():
    alive = ExecutorAlive("0", 1, [2], [[3, 4, 0.5]], 0)
    assert wire.decode(wire.encode(alive)) == alive


def test_an_error_leaves_nothing_behind_for_the_next_message():
    status = MapStatus("0", 1, b"\x01", 10, 1)
    good = Success(status, TaskMetrics())
    with pytest.raises(LocalProtocolError):
        wire.pack_outcome(replace(good, accumulators="text"))
    assert wire.unpack_outcome(wire.pack_outcome(good)) == good


def test_directions_do_not_overlap():
    assert not set(get_args(FromExecutor)) & set(get_args(FromDriver))
