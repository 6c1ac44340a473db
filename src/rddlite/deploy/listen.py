"""`rdd://host:port`: the driver listens, and executors that others start join it whenever they like.

Who has the keys may join; they are in a file that only this user can read. Nothing is started or killed here: an
executor that is given up is told to end, and forgotten. That one is gone is found out by `deploy/probe.py`.
"""

from __future__ import annotations

import contextlib
import os
import shlex

from rddlite.base.ids import ExecutorId
from rddlite.deploy.probe import Prober
from rddlite.driver.provider import ExecutorEnded, Post
from rddlite.errors import AuthRefused
from rddlite.net.auth import ExecutorKeys, read_key_file, write_key_file
from rddlite.storage.localdirs import Scratch


class KeyFile:
    """The file that hands the keys of this application to executors; of mode 0600."""

    def __init__(self, path: str, keys: ExecutorKeys) -> None:
        """Write it.

        Raises:
            AuthRefused: if it cannot be written.
        """
        self.path = os.path.abspath(path)
        self._keys = keys
        write_key_file(self.path, keys)

    def remove(self) -> None:
        """Remove it, unless another application has put its own there meanwhile. Harmless when called again."""
        with contextlib.suppress(AuthRefused, OSError):
            if read_key_file(self.path) == self._keys:
                os.unlink(self.path)


def join_command(endpoint: str, key_file: str) -> str:
    """What to type on a host that is to join."""
    return f"rddlite executor --driver {shlex.quote(endpoint)} --key-file {shlex.quote(key_file)}"


class JoiningProvider:
    """Waits for executors to come by `join_command`, `most` at a time. Called by the loop thread; `close` by whoever
    ends it.
    """

    def __init__(self, key_file: KeyFile, scratch: Scratch, most: int, join_command: str) -> None:
        self.join_command: str | None = join_command
        self._most = most
        self._key_file = key_file
        self._scratch = scratch
        self._gone: set[ExecutorId] = set()
        self._post: Post | None = None
        self._prober: Prober | None = None

    def start(self, post: Post) -> None:
        """Nothing is started: executors come by themselves."""
        self._post = post
        self._prober = Prober(self.found_gone)

    def want(self) -> None:
        """Nobody can be called."""

    def stop(self, executor: ExecutorId) -> None:
        """Nothing of this executor is taken any more; whether it ends is its own affair."""
        self._gone.add(executor)

    def objection(self, executor: ExecutorId, n_others: int) -> str | None:
        """Anybody with the keys may take part who was not given up before, while there is room."""
        if executor in self._gone:
            return f"executor {executor} was given up as lost, and what it did was done again: start another one"
        if n_others >= self._most:
            return f"there are {n_others} executors already: raise cluster.maxExecutors at the driver"
        return None

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """Find out whether it is gone."""
        assert self._prober is not None
        self._prober.suspect(executor, address)

    def unsuspect(self, executor: ExecutorId) -> None:
        """It is back, or gone."""
        assert self._prober is not None
        self._prober.unsuspect(executor)

    def leaving(self, executor: ExecutorId) -> None:
        """Whether another one comes is not decided here."""

    def found_gone(self, ended: ExecutorEnded) -> None:
        """Take the proof that an executor is gone; from any thread."""
        assert self._post is not None
        self._gone.add(ended.executor)
        self._post(ended)

    def close(self) -> None:
        """Nobody can join any more; removes the application's scratch directory."""
        if self._prober is not None:
            self._prober.close()
        self._key_file.remove()
        self._scratch.release()
