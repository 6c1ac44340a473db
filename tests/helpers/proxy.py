"""A TCP proxy within the test's process: carries bytes between whoever connects and one target, and does them harm.

    with Proxy(("127.0.0.1", 7077)) as proxy:
        start_executor(f"tcp://{proxy.address}")
        proxy.cut()          # all connections end now, with a reset; new ones go through
        proxy.refuse()       # and so do those who try again
        proxy.accept()
        proxy.hold(UP)       # nothing passes from the connecting side to the target; TCP keeps it, as a network does
        proxy.restore()      # and it arrives after all
        proxy.spoil(UP, 20)  # one bit changes on the way, 20 bytes further on

One thread owns all sockets; every method may be called from any other, and returns when it is done.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

UP: Literal["up"] = "up"
DOWN: Literal["down"] = "down"
Direction = Literal["up", "down"]
"""From the connecting side to the target, and back."""

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 1 << 16


@dataclass(eq=False)
class _Stream:
    """Bytes from one socket to another: never more than one chunk under way."""

    source: socket.socket
    sink: socket.socket
    direction: Direction
    waiting: bytes = b""
    is_ended: bool = False
    is_closed: bool = False


@dataclass(eq=False)
class _Pair:
    up: _Stream
    down: _Stream

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.up.source, self.up.sink


@dataclass
class _Order:
    work: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """See the header. `passed` counts bytes by direction, `n_accepted` connections, `n_spoiled` changed bytes."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        self._pairs: list[_Pair] = []
        self._held: set[Direction] = set()
        self._to_spoil: dict[Direction, int] = {}
        self._selector = selectors.DefaultSelector()
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self._woken, self._wake = socket.socketpair()
        self._is_running = True
        self.passed: dict[Direction, int] = {UP: 0, DOWN: 0}
        self.n_accepted = self.n_spoiled = 0
        self._thread = threading.Thread(target=self._run, name="proxy")

    @property
    def address(self) -> str:
        """Where to connect to, as `host:port`."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._do(self._stop)
        self._thread.join()

    # What tests order

    def cut(self) -> None:
        """End all connections with a reset, and lose what is under way."""
        self._do(self._cut)

    def refuse(self) -> None:
        """End all connections, and refuse new ones."""
        self._do(self._refuse)

    def accept(self) -> None:
        """Take new connections again, at the same port."""
        self._do(self._accept_again)

    def hold(self, direction: Direction) -> None:
        """Let nothing pass in one direction. Connections stay open, new ones are taken."""
        self._do(lambda: self._held.add(direction))

    def restore(self) -> None:
        """Let everything pass, also what was held."""
        self._do(self._held.clear)

    def spoil(self, direction: Direction, after: int = 0) -> None:
        """Change one bit in this direction: of the next byte `after` so many others, of whatever connection."""
        self._do(lambda: self._to_spoil.update({direction: after}))

    @property
    def n_open(self) -> int:
        """How many connections there are."""
        return len(self._pairs)

    def _do(self, work: Callable[[], None]) -> None:
        order = _Order(work)
        with self._lock:
            self._orders.append(order)
        self._wake.send(b"!")
        assert order.done.wait(120), "the proxy's thread is gone"

    # The thread

    def _run(self) -> None:
        with contextlib.closing(self._selector), self._woken, self._wake:
            while self._is_running:
                self._watch()
                ready = {key.fileobj for key, _ in self._selector.select()}
                if self._woken in ready:
                    self._obey()
                if self._listener is not None and self._listener in ready:
                    self._accept(self._listener)
                for pair in list(self._pairs):
                    self._carry(pair, ready)

    def _watch(self) -> None:
        """Register anew: this is a test tool for a handful of connections."""
        wanted: dict[socket.socket, int] = {self._woken: selectors.EVENT_READ}
        if self._listener is not None:
            wanted[self._listener] = selectors.EVENT_READ
        for pair in self._pairs:
            for stream in (pair.up, pair.down):
                if stream.direction in self._held or stream.is_closed:
                    continue
                if stream.waiting:
                    wanted[stream.sink] = wanted.get(stream.sink, 0) | selectors.EVENT_WRITE
                elif not stream.is_ended:
                    wanted[stream.source] = wanted.get(stream.source, 0) | selectors.EVENT_READ
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
        for each, events in wanted.items():
            self._selector.register(each, events)

    def _obey(self) -> None:
        self._woken.recv(1)
        with self._lock:
            order = self._orders.pop(0)
        order.work()
        order.done.set()

    def _accept(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(self._target)
        except OSError:  # the target is gone: so says the proxy
            _reset(near)
            return
        self.n_accepted += 1
        for each in (near, far):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append(_Pair(_Stream(near, far, UP), _Stream(far, near, DOWN)))

    def _carry(self, pair: _Pair, ready: set[object]) -> None:
        try:
            for stream in (pair.up, pair.down):
                if stream.direction not in self._held and not stream.is_closed:
                    self._carry_one(stream, ready)
        except OSError:  # one side is gone: so is the other
            self._end(pair)
        else:
            if pair.up.is_closed and pair.down.is_closed:  # kindly: the last bytes may still be on their way
                self._pairs.remove(pair)
                for each in pair.sockets:
                    each.close()

    def _carry_one(self, stream: _Stream, ready: set[object]) -> None:
        if not stream.waiting and not stream.is_ended and stream.source in ready:
            with contextlib.suppress(BlockingIOError):
                stream.waiting = self._as_it_arrives(stream.direction, stream.source.recv(_CHUNK))
                stream.is_ended = not stream.waiting
        if stream.waiting:
            with contextlib.suppress(BlockingIOError):
                sent = stream.sink.send(stream.waiting)
                stream.waiting = stream.waiting[sent:]
                self.passed[stream.direction] += sent
        if stream.is_ended and not stream.waiting:
            stream.sink.shutdown(socket.SHUT_WR)
            stream.is_closed = True

    def _as_it_arrives(self, direction: Direction, data: bytes) -> bytes:
        at = self._to_spoil.pop(direction, None)
        if at is None:
            return data
        if at >= len(data):
            self._to_spoil[direction] = at - len(data)
            return data
        self.n_spoiled += 1
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def _cut(self) -> None:
        for pair in list(self._pairs):
            self._end(pair)

    def _end(self, pair: _Pair) -> None:
        self._pairs.remove(pair)
        for each in pair.sockets:
            _reset(each)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._cut()

    def _accept_again(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self._port))

    def _stop(self) -> None:
        self._refuse()
        self._is_running = False


def _reset(each: socket.socket) -> None:
    """Close so that the other side hears of an error, not of an end."""
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    each.close()
