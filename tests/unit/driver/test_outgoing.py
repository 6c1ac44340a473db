"""When executors are told to forget: map outputs at once, blobs with what they are told next, unless it brings them."""

from __future__ import annotations

from typing import Any

import pytest

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.driver.outgoing import Outgoing
from rddlite.driver.roster import Roster
from rddlite.net.messages import Blob, Forget, Register, ReportsSeen, RunTask, RunTasks
from rddlite.plan.model import ResultStage
from rddlite.schedule.commands import Launch

A, B = ExecutorId("a"), ExecutorId("b")


class Sent:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []

    def send(self, peer: str, message: Any) -> bool:
        self.messages.append((peer, message))
        return True

    def take(self) -> list[tuple[str, Any]]:
        taken, self.messages = self.messages, []
        return taken


class Blobs:
    """Every launch brings one blob, which has the name that was given last."""

    name = "p"

    def task(self, launch: Launch) -> tuple[list[Blob], RunTask]:
        task = RunTask(launch.attempt, launch.stage, launch.index, launch.index, 0, self.name, "", b"", b"")
        return [Blob(self.name, b"payload")], task


class Voice:
    def __init__(self) -> None:
        self.sent, self.blobs, self.roster = Sent(), Blobs(), Roster()
        self.says = Outgoing(self.sent, self.roster, self.blobs, lambda *_: None)  # type: ignore[arg-type]
        self.n_launched = 0
        self.joined(A)

    def joined(self, executor: ExecutorId) -> None:
        self.roster.join(Register(1, executor, "host", 1, 1, [2], "3.11", "0", "0", "/scratch", [], "", ""))

    def launch(self, name: str, executor: ExecutorId = A) -> None:
        self.blobs.name = name
        attempt, self.n_launched = AttemptId(self.n_launched), self.n_launched + 1
        self.says.launch(Launch(executor, attempt, StageId(0), ResultStage(JobId(0)), 0, 0))

    def told(self) -> list[tuple[str, str, list[str]]]:
        """To whom, what, and the names of the blobs that came with it or are to go."""
        return [
            (peer, type(said).__name__, said.digests if isinstance(said, Forget) else _brought(said))
            for peer, said in self.sent.take()
        ]


def _brought(message: Any) -> list[str]:
    return [blob.digest for blob in message.blobs] if isinstance(message, RunTasks) else []


@pytest.fixture
def voice() -> Voice:
    return Voice()


def test_blobs_are_forgotten_after_the_next_tasks(voice: Voice) -> None:
    voice.says.forget_blobs(["old"], [])
    voice.says.forget_blobs(["older", "old"], [])
    assert voice.told() == []
    voice.launch("new")
    voice.says.flush()
    assert voice.told() == [("a", "RunTasks", ["new"]), ("a", "Forget", ["old", "older"])]
    voice.launch("newer")
    voice.says.flush()
    assert voice.told() == [("a", "RunTasks", ["newer"])]


def test_what_the_next_tasks_bring_again_stays(voice: Voice) -> None:
    voice.says.forget_blobs(["p", "q"], [])
    voice.launch("p")
    voice.says.flush()
    assert voice.told() == [("a", "RunTasks", ["p"]), ("a", "Forget", ["q"])]


def test_what_is_forgotten_before_its_tasks_are_sent_goes_after_them(voice: Voice) -> None:
    voice.says.forget_blobs(["p"], [])
    voice.launch("p")
    voice.says.forget_blobs(["p"], [])
    voice.says.flush()
    assert voice.told() == [("a", "RunTasks", ["p"]), ("a", "Forget", ["p"])]


def test_the_answer_to_a_heartbeat_brings_it_at_the_latest(voice: Voice) -> None:
    voice.says.forget_blobs(["p"], [])
    voice.says.answer_heartbeat(A, 0)
    assert [type(said) for _, said in voice.sent.take()] == [ReportsSeen, Forget]
    voice.says.answer_heartbeat(A, 0)
    assert [type(said) for _, said in voice.sent.take()] == [ReportsSeen]


def test_map_outputs_are_deleted_at_once_and_take_the_blobs_along(voice: Voice) -> None:
    voice.joined(B)
    voice.says.forget_blobs(["p"], [])
    voice.launch("q", B)
    voice.says.flush()
    voice.sent.take()
    voice.says.forget_blobs(["r"], [ShuffleId(3)])
    assert voice.sent.take() == [("a", Forget(["p", "r"], [3], [], [], [])), ("b", Forget(["r"], [3], [], [], []))]


def test_executors_that_are_gone_are_told_nothing_and_later_ones_only_what_concerns_them(voice: Voice) -> None:
    voice.says.forget_blobs(["p"], [])
    voice.joined(B)
    voice.roster.leave(A)
    voice.says.forget_blobs(["q"], [])
    voice.says.answer_heartbeat(B, 0)
    assert voice.told() == [("b", "ReportsSeen", []), ("b", "Forget", ["q"])]


def test_who_is_out_of_reach_is_told_when_it_is_back(voice: Voice) -> None:
    voice.says.forget_blobs(["p", "q"], [])
    voice.roster.suspect(A)
    voice.says.answer_heartbeat(A, 0)
    assert voice.told() == [("a", "ReportsSeen", [])]
    voice.says.forget_blobs([], [ShuffleId(3)])
    assert voice.told() == [("a", "Forget", ["p", "q"])]
    voice.joined(A)
    voice.launch("p")
    voice.says.flush()
    assert voice.told() == [("a", "RunTasks", ["p"]), ("a", "Forget", ["q"])]


def test_what_could_not_be_sent_is_said_again(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []

    def out_of_reach(executor: ExecutorId, what: str) -> None:
        failed.append(what)
        voice.roster.suspect(executor)

    says = Outgoing(voice.sent, voice.roster, voice.blobs, out_of_reach)  # type: ignore[arg-type]
    monkeypatch.setattr(Sent, "send", lambda *_: False)
    says.forget_blobs(["p"], [ShuffleId(3)])
    says.forget_blobs(["q"], [])
    says.answer_heartbeat(A, 0)
    assert failed == ["Forget", "ReportsSeen"]
    monkeypatch.undo()
    voice.joined(A)
    says.answer_heartbeat(A, 0)
    assert voice.told() == [("a", "ReportsSeen", []), ("a", "Forget", ["p", "q"])]
