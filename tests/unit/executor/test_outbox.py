"""Reports are kept until they are seen, and what was lost is sent again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.executor import outbox as module
from rddlite.executor.outbox import Outbox
from rddlite.net.messages import AttemptReport, ReportsSeen, TasksEnded


def report(attempt: int, size: int = 1) -> AttemptReport:
    return AttemptReport(attempt, bytes(size))


def test_reports_that_come_together_travel_together():
    outbox = Outbox("0")
    assert outbox.messages() == []
    outbox.add(report(1))
    outbox.add(report(2))
    assert outbox.attempts() == [1, 2]
    assert outbox.messages() == [TasksEnded("0", 1, [report(1), report(2)])]
    assert outbox.messages() == []
    assert outbox.attempts() == [1, 2]
    assert outbox.last_number == 1


def test_what_was_seen_is_forgotten():
    outbox = Outbox("0")
    for attempt in (1, 2, 3):
        outbox.add(report(attempt))
        outbox.messages()
    assert outbox.seen(ReportsSeen(2, 2)) == []
    assert outbox.attempts() == [3]
    assert outbox.unseen() == [TasksEnded("0", 3, [report(3)])]


def test_a_gap_is_sent_again():
    outbox = Outbox("0")
    for attempt in (1, 2, 3):
        outbox.add(report(attempt))
        outbox.messages()
    assert [message.number for message in outbox.seen(ReportsSeen(1, 3))] == [2, 3]
    assert outbox.seen(ReportsSeen(3, 3)) == []
    assert outbox.attempts() == []


def test_large_and_many_reports_are_divided(monkeypatch):
    monkeypatch.setattr(module, "_BYTES_PER_MESSAGE", 100)
    monkeypatch.setattr(module, "_REPORTS_PER_MESSAGE", 3)
    outbox = Outbox("0")
    for attempt, size in enumerate([1, 1, 1, 1, 60, 60, 500, 1]):
        outbox.add(report(attempt, size))
    sizes = [[len(report.outcome) for report in message.reports] for message in outbox.messages()]
    assert sizes == [[1, 1, 1], [1, 60], [60], [500], [1]]


def test_memory_is_bounded_when_nobody_answers(monkeypatch):
    monkeypatch.setattr(module, "_MESSAGES_KEPT", 10)
    outbox = Outbox("0")
    for attempt in range(100):
        outbox.add(report(attempt))
        outbox.messages()
    assert outbox.attempts() == list(range(90, 100))


@given(st.lists(st.sampled_from(["send", "lose", "heartbeat"]), max_size=60))
def test_everything_arrives_in_the_end(steps):
    outbox = Outbox("0")
    arrived: set[int] = set()
    contiguous = 0
    for attempt, step in enumerate([*steps, "send", "heartbeat", "heartbeat"]):
        if step == "heartbeat":
            while contiguous + 1 in arrived:
                contiguous += 1
            arrived |= {message.number for message in outbox.seen(ReportsSeen(contiguous, outbox.last_number))}
        else:
            outbox.add(report(attempt))
            for message in outbox.messages():
                if step == "send":
                    arrived.add(message.number)
    assert arrived == set(range(1, outbox.last_number + 1))
