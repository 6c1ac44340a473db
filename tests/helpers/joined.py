"""Executors that join a listening driver as processes of their own, some through a proxy that does them harm."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rddlite import Context
from tests.helpers.cluster import PATIENCE, wait_until
from tests.helpers.proxy import Proxy

MASTER = "rdd://127.0.0.1:0"
_A_TALK = 1500
"""Bytes: more than a handshake."""


@dataclass(frozen=True)
class Joined:
    """One executor: its process, which nobody but the test ends, and its id."""

    process: subprocess.Popen[bytes]
    id: str

    def stop(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class JoinedCluster:
    """A driver, one executor whose connection to it goes through the proxy, and others that are connected directly."""

    sc: Context
    proxy: Proxy
    far: Joined
    near: list[Joined]

    def state(self, executor: Joined) -> str | None:
        """What the driver thinks of it: alive, suspect, ...; None if it is gone."""
        return next((each.state for each in self.sc.executors if each.id == executor.id), None)

    def wait_gone(self, executor: Joined) -> None:
        """Wait until the driver has given it up."""
        wait_until(lambda: self.state(executor) is None, f"the driver gives up {executor.id}")

    def wait_in_touch(self) -> None:
        """Wait until the far one and the driver are seen to talk with each other."""
        before = dict(self.proxy.passed)
        wait_until(
            lambda: all(self.proxy.passed[way] > before[way] + _A_TALK for way in before), "both sides say something"
        )
        self.wait_alive(self.far)

    def wait_alive(self, executor: Joined) -> None:
        """Wait until the driver thinks that it is well."""
        wait_until(lambda: self.state(executor) == "alive", f"{executor.id} is alive again")


@contextmanager
def joined_cluster(conf: Mapping[str, Any], n_near: int = 1) -> Iterator[JoinedCluster]:
    """The context and all executors; these end with it."""
    with contextlib.ExitStack() as stack:
        sc = stack.enter_context(Context(MASTER, conf=conf))
        endpoint, key_file = where_to_join(sc)
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        proxy = stack.enter_context(Proxy((host, int(port))))
        far = stack.enter_context(join(sc, f"tcp://{proxy.address}", key_file))
        near = [stack.enter_context(join(sc, endpoint, key_file)) for _ in range(n_near)]
        try:
            yield JoinedCluster(sc, proxy, far, near)
        finally:
            sc.stop()  # executors leave when their driver does


def where_to_join(sc: Context) -> tuple[str, str]:
    """Endpoint and key file, from what users are told to type."""
    told = shlex.split(sc.join_command or "")
    return told[told.index("--driver") + 1], told[told.index("--key-file") + 1]


@contextmanager
def join(sc: Context, endpoint: str, key_file: str, *options: str) -> Iterator[Joined]:
    """One executor with one worker, from the moment that it is registered."""
    command = [sys.executable, "-m", "rddlite", "executor", "--driver", endpoint, "--key-file", key_file]
    command += ["--slots", "1", "--memory", "256m", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            yield Joined(process, wait_until(lambda: _id_of(sc, process), "the executor registers"))
        finally:
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _id_of(sc: Context, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "the executor ended"
    return next((each.id for each in sc.executors if each.pid == process.pid), None)
