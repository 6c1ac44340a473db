"""Proof that an executor which nobody here started is gone: its host refuses connections to its port.

While an executor is suspect, a thread knocks at the port of its block server. Only a refusal proves anything: its host
is there, and no process listens. Silence, no route or an open port leave it to the limit of silence. A firewall that
rejects looks like a host that refuses: `docs/guide/clusters.md` says to have it drop.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

from rddlite.base.ids import ExecutorId
from rddlite.base.log import logger
from rddlite.driver.provider import ExecutorEnded
from rddlite.errors import ProviderError
from rddlite.net.address import parse_tcp

_EVERY = 0.5
_PATIENCE_MS = 400
_log = logger("deploy")


class _Target(NamedTuple):
    family: int
    address: tuple[str, int]


class Prober:
    """Knocks at the ports of suspects; posts `ExecutorEnded` with the first refusal. The thread starts with the first.

    `suspect` and `unsuspect` are called by the loop thread, `close` by whoever ends it.
    """

    def __init__(self, post: Callable[[ExecutorEnded], None]) -> None:
        self._post = post
        self._changed = threading.Condition()
        self._targets: dict[ExecutorId, _Target] = {}
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """Knock there until it is refused, or not suspect any more."""
        target = _target(address)
        if target is None:
            return
        with self._changed:
            self._targets[executor] = target
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rddlite-prober", daemon=True)
            self._thread.start()

    def unsuspect(self, executor: ExecutorId) -> None:
        """Leave it alone."""
        with self._changed:
            self._targets.pop(executor, None)

    def close(self) -> None:
        """End the thread, and wait for it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._targets or self._is_closed)
                if self._is_closed:
                    return
                targets = dict(self._targets)
            for executor in refusing(targets):
                self._found(executor, targets[executor])
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed, _EVERY)

    def _found(self, executor: ExecutorId, target: _Target) -> None:
        with self._changed:
            if self._targets.get(executor) != target:
                return  # back, or given up, meanwhile
            del self._targets[executor]
        self._post(ExecutorEnded(executor, f"its host refuses connections to its port {target.address[1]}"))


def refusing(targets: dict[ExecutorId, _Target]) -> list[ExecutorId]:
    """Whose ports are refused now; all are tried at once."""
    refused: list[ExecutorId] = []
    poll = select.poll()
    open_sockets: dict[int, tuple[ExecutorId, socket.socket]] = {}
    with contextlib.ExitStack() as stack:
        for executor, target in targets.items():
            try:
                knock = stack.enter_context(socket.socket(target.family, socket.SOCK_STREAM))
            except OSError as error:  # out of descriptors, for instance: nothing is proved
                _log.warning("executor %s cannot be probed: %s", executor, error)
                continue
            knock.setblocking(False)
            code = knock.connect_ex(target.address)
            if code == errno.ECONNREFUSED:
                refused.append(executor)
            elif code == errno.EINPROGRESS:
                poll.register(knock, select.POLLOUT)
                open_sockets[knock.fileno()] = executor, knock
        while open_sockets and (ready := poll.poll(_PATIENCE_MS)):
            for fd, _ in ready:
                poll.unregister(fd)
                executor, knock = open_sockets.pop(fd)
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
                    refused.append(executor)
    return refused


def _target(address: str) -> _Target | None:
    """Where to knock; None for an address that has no port, or no number."""
    try:
        host, port = parse_tcp(address)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (ProviderError, OSError, UnicodeError):  # a UnicodeError: no host can be called that
        return None
    if not port:
        return None
    return _Target(found[0][0], (host, port))
