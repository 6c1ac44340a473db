"""Those who have no business at a hub: raw bytes, other protocols, other keys, and a recorder of genuine sessions."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from rddlite.net.auth import KeyPair, secure_client

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = tuple[str, int]


def greeting(mechanism: bytes, version: bytes = b"\3\1") -> bytes:
    """The first 64 bytes of a ZMTP connection."""
    return b"\xff" + bytes(7) + b"\2\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


def command(name: bytes, body: bytes) -> bytes:
    """A ZMTP command in a frame of the right length."""
    content = bytes([len(name)]) + name + body
    return b"\6" + len(content).to_bytes(8, "big") + content


def hello() -> bytes:
    """The first command of a CURVE handshake, with keys that are nobody's."""
    return command(b"HELLO", b"\1\0" + bytes(72) + os.urandom(120))


def raw(address: Address, data: bytes = b"") -> socket.socket:
    """A plain connection, and bytes on it as far as they are taken."""
    connection = socket.create_connection(address, timeout=60)
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed it; reads what came before."""
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(1 << 16):
                return True
    except ConnectionError:
        return True
    return False


def dealer(
    context: Any, endpoint: str, identity: bytes, own: KeyPair | None = None, server_public: str = "", **options: Any
) -> Any:
    """A DEALER of this identity, with keys or without; `options` are libzmq's, in lower case."""
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.LINGER, 0)
    peer.setsockopt(zmq.IDENTITY, identity)
    for name, value in options.items():
        peer.setsockopt(getattr(zmq, name.upper()), value)
    if own is not None:
        secure_client(peer, own, server_public)
    peer.connect(endpoint)
    return peer


def n_descriptors() -> int:
    """Open files of this process."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory that this process uses now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Recorder:
    """Carries one connection to `target`, and keeps what the connecting side said."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.said = b""
        self._thread = threading.Thread(target=self._run, name="recorder")

    @contextlib.contextmanager
    def running(self) -> Iterator[Recorder]:
        """Until the connecting side has hung up."""
        with self._listener:
            self._thread.start()
            yield self
            self._thread.join()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        with near, socket.create_connection(self._target) as far:
            while True:
                ready = select.select([near, far], [], [])[0]
                data = ready[0].recv(1 << 16)
                if not data:
                    return
                if ready[0] is near:
                    self.said += data
                (far if ready[0] is near else near).sendall(data)
