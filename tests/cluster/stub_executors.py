"""Many executors in one process and one thread: real connections and real messages, and tasks that compute nothing.

    python -m tests.cluster.stub_executors DRIVER KEY_FILE FIRST COUNT

Each registers, sends heartbeats, answers every task with its own name, and leaves when it is told to. At the end a line
of JSON on stdout says how many registered, and how many tasks each had. An executor says how many heartbeats it has
sent where others tell their memory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

import zmq

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Success
from rddlite.net.auth import read_key_file, secure_client
from rddlite.net.frames import cut, join
from rddlite.net.limits import needed_limit
from rddlite.net.messages import (
    PROTOCOL,
    AttemptReport,
    ExecutorAlive,
    Leaving,
    Message,
    Register,
    Registered,
    RunTasks,
    Shutdown,
    TasksEnded,
)
from rddlite.net.monitor import watch_connections
from rddlite.net.wire import MAX_TO_EXECUTOR, decode, encode, pack_outcome
from rddlite.serde.closures import cloudpickle_version
from rddlite.serde.records import encode_records
from rddlite.version import __version__

PYTHON = "{}.{}.{}".format(*sys.version_info[:3])


@dataclass(eq=False)
class Stub:
    """One executor."""

    name: str
    socket: Any
    heartbeat: float = 0.0
    beat_at: float = 0.0
    n_beats: int = 0
    n_tasks: int = 0
    n_reports: int = 0
    is_registered: bool = False

    def say(self, message: Message) -> None:
        self.socket.send_multipart(cut(encode(message)))

    def register(self) -> None:
        who = Register(
            PROTOCOL, self.name, f"host-{self.name}", os.getpid(), 1, [], PYTHON, __version__, cloudpickle_version(),
            "", [],
        )  # fmt: skip
        self.say(who)

    def hear(self, now: float) -> bool:
        """Take what came; False when it was told to leave."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return True
            match decode(join(frames), MAX_TO_EXECUTOR):
                case Registered(settings):
                    self.is_registered = True
                    self.heartbeat = Settings(json.loads(settings))["executor.heartbeat"]
                    self.beat_at = now + self.heartbeat
                case RunTasks(_, tasks):
                    self._answer([task.attempt for task in tasks])
                case Shutdown(why):
                    self.say(Leaving(self.name, why))
                    return False

    def beat(self, now: float) -> None:
        if self.is_registered and now >= self.beat_at:
            self.beat_at = now + self.heartbeat
            self.n_beats += 1
            self.say(ExecutorAlive(self.name, self.n_beats, [], [], self.n_reports))

    def _answer(self, attempts: list[int]) -> None:
        value = InlineResult(b"".join(bytes(piece) for piece in encode_records([self.name])))
        self.n_tasks += len(attempts)
        self.n_reports += 1
        outcome = pack_outcome(Success(value, TaskMetrics()))
        reports = [AttemptReport(attempt, outcome) for attempt in attempts]
        self.say(TasksEnded(self.name, self.n_reports, reports))


def main(driver: str, key_file: str, first: int, count: int) -> None:
    keys = read_key_file(key_file)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A connection and the mailbox of its socket.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed_limit(count, 2, 100), hard), hard))
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, count + 10)
    stubs: dict[Any, Stub] = {}
    poller = zmq.Poller()
    for i in range(first, first + count):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, str(i).encode())
        socket.setsockopt(zmq.LINGER, 2_000)
        secure_client(socket, keys.executors, keys.driver_public)
        watch_connections(socket)
        socket.connect(driver)
        poller.register(socket, zmq.POLLIN)
        stubs[socket] = Stub(str(i), socket)
        stubs[socket].register()
    everyone = list(stubs.values())
    while stubs:
        ready = poller.poll(200)
        now = time.monotonic()
        for socket, _ in ready:
            if not stubs[socket].hear(now):
                poller.unregister(socket)
                del stubs[socket]
                socket.close()
        for stub in stubs.values():
            stub.beat(now)
    context.term()
    told = {"registered": sum(stub.is_registered for stub in everyone), "tasks": [stub.n_tasks for stub in everyone]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
