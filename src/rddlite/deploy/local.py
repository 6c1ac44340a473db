"""`local[n]`: one executor process of this host, a child of the driver, started again when it dies.

Its end is noticed at once, by a thread that waits for it. The application's scratch directory holds the executor's
files and the private socket; whoever is the last to go removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading

from rddlite.base.config import Settings
from rddlite.base.ids import ExecutorId
from rddlite.base.log import logger
from rddlite.deploy.launch import ExecutorSpec, start_executor
from rddlite.driver.provider import ExecutorEnded, Post, ProviderGaveUp
from rddlite.storage.localdirs import Scratch

_LEAVE_LIMIT = 8.0
_log = logger("deploy")


class LocalProvider:
    """Keeps one executor running. `want` and `stop` are called by the loop thread, `close` by whoever ends it."""

    def __init__(self, settings: Settings, slots: int, endpoint: str, scratch: Scratch) -> None:
        self._settings = settings
        self._slots = slots
        self._endpoint = endpoint
        self._scratch = scratch
        self._lock = threading.Lock()
        self._processes: dict[ExecutorId, subprocess.Popen[bytes]] = {}
        self._waiters: list[threading.Thread] = []
        self._started = 0
        self._is_closing = False
        self._post: Post | None = None

    def start(self, post: Post) -> None:
        """Start the first executor."""
        self._post = post
        self._start_one()

    def want(self) -> None:
        """Start an executor if none runs, up to `executor.restarts` times."""
        with self._lock:
            is_needed = not self._processes and not self._is_closing
        if is_needed:
            self._start_one()

    def knows(self, executor: ExecutorId) -> bool:
        """Whether this executor runs."""
        with self._lock:
            return executor in self._processes

    def stop(self, executor: ExecutorId) -> None:
        """Kill one executor; its zygote and workers die with it."""
        with self._lock:
            process = self._processes.get(executor)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """Its end would be seen anyway: it is a child of this process."""

    def unsuspect(self, executor: ExecutorId) -> None:
        """Nothing was to be found out."""

    def close(self) -> None:
        """End all executors, kindly first, and remove the application's scratch directory."""
        with self._lock:
            self._is_closing = True
            processes = list(self._processes.values())
        for process in processes:
            # The end of its stdin is the order to leave, and needs no working connection.
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process in processes:
            try:
                process.wait(_LEAVE_LIMIT)
            except subprocess.TimeoutExpired:
                _log.warning("executor process %d did not leave within %.0f s: killed", process.pid, _LEAVE_LIMIT)
                process.kill()
                process.wait()
        for waiter in self._waiters:
            waiter.join(_LEAVE_LIMIT)
        self._scratch.release()

    def _start_one(self) -> None:
        assert self._post is not None
        if self._started > self._settings["executor.restarts"]:
            self._post(ProviderGaveUp(f"executors died {self._started} times (executor.restarts)"))
            return
        executor = ExecutorId(str(self._started))
        self._started += 1
        try:
            scratch = self._scratch.subdir(_scratch_name(executor))
            spec = ExecutorSpec(executor, self._endpoint, self._slots, scratch)
            process = start_executor(spec)
        except OSError as error:
            self._post(ProviderGaveUp(f"the executor process could not be started: {error}"))
            return
        with self._lock:
            self._processes[executor] = process
        waiter = threading.Thread(target=self._wait_for, args=(executor, process), name="rddlite-waiter", daemon=True)
        self._waiters.append(waiter)
        waiter.start()

    def _wait_for(self, executor: ExecutorId, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with self._lock:
            self._processes.pop(executor, None)
        assert self._post is not None
        self._post(ExecutorEnded(executor, _describe(status)))
        # One that was killed could not remove its files, and nobody will ask for them any more.
        shutil.rmtree(os.path.join(self._scratch.path, _scratch_name(executor)), ignore_errors=True)


def _scratch_name(executor: ExecutorId) -> str:
    return f"executor-{executor}"


def _describe(status: int) -> str:
    if status < 0:
        return f"its process got {signal.Signals(-status).name}"
    return f"its process ended with exit code {status}"
