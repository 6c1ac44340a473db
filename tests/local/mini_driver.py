"""The least that an executor needs of a driver: a hub, a scratch directory, and a process to start.

Everything it starts is accounted for: `stop` fails the test when a process, a socket or a file is left.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rddlite.base.outcome import InlineResult, Success, TaskOutcome
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    Blob,
    ExecutorAlive,
    KillTask,
    Leaving,
    Message,
    Register,
    Registered,
    ReportsSeen,
    RunTask,
    RunTasks,
    Shutdown,
    TasksEnded,
    WorkerOutput,
)
from rddlite.net.wire import unpack_outcome
from rddlite.storage import localdirs

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
NO_BLOBS: dict[str, bytes] = {}


class MiniDriver:
    """Starts one executor and talks to it, in the thread of the test."""

    def __init__(self, slots: int = 1, runner: str = "CallRunner", **settings: Any) -> None:
        self.settings = {key.replace("_", "."): value for key, value in settings.items()}
        self.scratch = localdirs.create(f"test-{uuid.uuid4().hex[:8]}")
        self.inbox = Inbox()
        self.endpoint = f"ipc://{self.scratch.socket_path('driver')}"
        self.hub = Hub(self.endpoint, self.inbox)
        self.outcomes: dict[int, TaskOutcome] = {}
        self.reports: list[TasksEnded] = []
        self.output: list[WorkerOutput] = []
        self.alive: list[ExecutorAlive] = []
        self.registered: list[Register] = []
        self.left: str | None = None
        self.answers_heartbeats = True
        self._n_attempts = 0
        self.process = self._start(slots, runner)

    def _start(self, slots: int, runner: str) -> subprocess.Popen[bytes]:
        paths = [str(ROOT / "src"), str(ROOT)]
        self.executor_scratch = os.path.join(self.scratch.path, "executor-0")
        return subprocess.Popen(
            [
                *[sys.executable, "-m", "rddlite.executor.main", "--endpoint", self.endpoint, "--executor", "0"],
                *["--slots", str(slots), "--scratch", self.executor_scratch, "--driver-pid", str(os.getpid())],
                *["--runner", f"tests.local.stub_runner:{runner}"],
            ],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )

    # Waiting

    def turn(self, timeout: float = 1.0) -> list[Message]:
        """Take in what comes within this time."""
        messages = [message for _, message in self.hub.wait(timeout)]
        for message in messages:
            self._take(message)
        return messages

    def until(self, condition: Callable[[], Any]) -> Any:
        """Take messages in until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen in time"
            assert self.process.poll() is None or self.turn(0.2), f"the executor ended: {self.process.returncode}"
            self.turn(0.2)
        return value

    def _take(self, message: Message) -> None:
        match message:
            case Register():
                self.registered.append(message)
                self.hub.send("0", Registered(json.dumps(self.settings)))
            case ExecutorAlive():
                self.alive.append(message)
                if self.answers_heartbeats:
                    self.hub.send("0", ReportsSeen(message.reports, message.reports))
            case TasksEnded():
                self.reports.append(message)
                for report in message.reports:
                    self.outcomes.setdefault(report.attempt, unpack_outcome(report.outcome))
            case WorkerOutput():
                self.output.append(message)
            case Leaving(_, why):
                self.left = why

    def replace_hub(self) -> None:
        """Break the connection: the same endpoint, served by a new socket that knows nobody."""
        self.hub.close()
        self.registered.clear()
        self.hub = Hub(self.endpoint, self.inbox)

    def wait_ready(self) -> Register:
        """Wait for the executor to register."""
        self.until(lambda: self.registered)
        return self.registered[-1]

    # Tasks

    def submit(self, function: Callable[..., Any], *arguments: Any, blobs: dict[str, bytes] = NO_BLOBS) -> int:
        """Have `function(runner, task, blobs, *arguments)` run in a worker; the attempt."""
        (attempt,) = self.submit_all([(function, arguments)], blobs)
        return attempt

    def submit_all(self, calls: list[tuple[Any, tuple[Any, ...]]], blobs: dict[str, bytes] = NO_BLOBS) -> list[int]:
        """Several tasks in one message; the first two blobs are the payload and the outputs of each."""
        self.wait_ready()
        names = [*blobs, "", ""]
        tasks = []
        for call in calls:
            self._n_attempts += 1
            n = self._n_attempts
            tasks.append(RunTask(n, 1000 + n, n, 2000 + n, 0, names[0], names[1], pickle.dumps(call)))
        sent = [Blob(name, data) for name, data in blobs.items() if data is not None]
        assert self.hub.send("0", RunTasks(sent, tasks))
        return [task.attempt for task in tasks]

    def outcome(self, attempt: int) -> TaskOutcome:
        """Wait for the end of an attempt."""
        self.until(lambda: attempt in self.outcomes)
        return self.outcomes[attempt]

    def result(self, attempt: int) -> Any:
        """Wait for the success of an attempt."""
        outcome = self.outcome(attempt)
        assert isinstance(outcome, Success), outcome
        assert isinstance(outcome.value, InlineResult)
        return pickle.loads(outcome.value.data)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run one task to its success."""
        return self.result(self.submit(function, *arguments))

    def kill(self, attempt: int) -> None:
        """Ask for the end of an attempt."""
        assert self.hub.send("0", KillTask(attempt, "the test wants it"))

    def until_started(self, mark: Path) -> None:
        """Wait until a task has made this file."""
        self.until(mark.exists)

    @property
    def lines(self) -> list[tuple[int, str, str]]:
        """All lines so far: attempt, stream, text."""
        return [(line.attempt, line.stream, line.text) for message in self.output for line in message.lines]

    # The end

    def stop(self) -> None:
        """End the executor and look for what it left."""
        try:
            if self.process.poll() is None:
                self.hub.send("0", Shutdown("the test ends"))
            self.process.wait(PATIENCE)
            self.expect_nothing_left()
        finally:
            self._clean()
        assert not os.path.exists(self.scratch.path)

    def expect_nothing_left(self) -> None:
        """No process of the executor's session and no file of its own."""
        wait_until(lambda: not session(self.process.pid), lambda: f"left: {session(self.process.pid)}")
        wait_until(lambda: not os.path.exists(self.executor_scratch), lambda: f"left: {self.executor_scratch}")

    def _clean(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.hub.close()
        self.inbox.close()
        self.scratch.release()


def wait_until(condition: Callable[[], Any], complaint: Callable[[], str] = lambda: "it did not happen") -> None:
    """Wait for something that happens outside this process."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.01)


def session(leader: int) -> dict[int, str]:
    """Living processes of a session: process id to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found[int(entry.name)] = command
    return found
