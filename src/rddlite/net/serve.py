"""The block server: hands parts of this process's blocks to peers that own a key of the application.

A thread of its own does everything; others only start and `close` it. Peers take turns, and so do the requests of one.
What libzmq holds of a peer is bounded, and of all together: a piece is read when there is room for it, never before,
and its memory is watched until libzmq has given it back. So a peer that stops reading costs a little memory and nobody
any time. Files are opened for each piece, because one that stays open keeps a deleted shuffle on the disk, and read,
never mapped: a mapped file that is cut short kills who reads it.

Peers name blocks, and `resolve` says which bytes of which file that is: no path ever comes from a peer.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

import zmq

from rddlite.base.faults import fault_point
from rddlite.base.log import is_milestone, logger
from rddlite.base.outcome import assert_never
from rddlite.errors import ProviderError, RemoteProtocolError
from rddlite.net.address import needs_ipv6, parse_tcp, to_advertise, to_bind
from rddlite.net.auth import Doorman, KeyPair, secure_server
from rddlite.net.inbox import Inbox
from rddlite.net.monitor import watch_bulk_connections
from rddlite.net.transfer import (
    MAX_BODY,
    MAX_CHUNK,
    MAX_HEADER,
    MAX_PARTS,
    Answer,
    Ask,
    ByteRange,
    Cancel,
    Chunk,
    Credit,
    Fetch,
    Gone,
    ItemFailed,
    NoAnswer,
    NoSuchBlock,
    Piece,
    Sender,
    ToReceiver,
    ToSender,
    Wanted,
)
from rddlite.net.wire import decode_to_sender, encode_to_receiver

_MOST_OF_A_PEER = 4 * MAX_CHUNK
_MOST_IN_ALL = 64 << 20
_SMALL_CHUNK = 64 << 10
"""What a peer with nothing on its way gets while others have used up what there is for all."""
_REQUESTS_OF_A_PEER = 256
_QUEUED_MESSAGES = 2_000
_MESSAGES_AT_ONCE = 200
_CHUNKS_AT_ONCE = 16
_LONGEST_REASON = 500
_CURVE_OVERHEAD = 4096
_IDLE = 300.0
"""Requests of a peer that was silent for so long are forgotten: it asks again if it still lives."""
_PATIENCE = 5.0
_log = logger("net")


class Awaited(Protocol):
    """A part that somebody makes, at most `until` then (of `time.monotonic`)."""

    until: float

    def fileno(self) -> int:
        """A descriptor that is readable when it is known what became of it."""
        ...

    def place(self) -> ByteRange:
        """Where it is now; raises `NoSuchBlock` or OSError. To be asked when the descriptor is readable, or later than
        it was to be made, as often as is needed.
        """
        ...


Resolve = Callable[[str, int], ByteRange | Awaited]
"""Where a part of a block is, or will be; raises `NoSuchBlock` or OSError. Called by the server's thread, with
anything.
"""
AnswerTo = Callable[[str, bytes], bytes]
"""The answer to a question, given its topic and body; raises `NoSuchBlock`. Called by the server's thread."""


class _Request:
    """A sender, and where the part at hand is."""

    __slots__ = ("awaited", "is_waiting", "place", "sender")

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.place: ByteRange | None = None
        self.awaited: Awaited | None = None
        self.is_waiting = False


class _Peer:
    """What is known of one connection."""

    __slots__ = ("has_turn", "heard_at", "identity", "queued", "requests")

    def __init__(self, identity: bytes) -> None:
        self.identity = identity
        self.requests: dict[int, _Request] = {}
        self.queued = 0
        self.has_turn = False
        self.heard_at = 0.0

    def next_ready(self) -> _Request | None:
        """A request that can be served; the one that was served last comes last."""
        for number, request in self.requests.items():
            if request.sender.is_ready and not request.is_waiting:
                del self.requests[number]
                self.requests[number] = request
                return request
        return None


class _OnItsWay(weakref.ref[memoryview]):
    """A piece of memory that libzmq holds."""

    __slots__ = ("peer", "size")
    peer: _Peer
    size: int


class BlockServer:
    """Serves until it is closed. `keys` is the pair by which peers know it, `allowed` the public keys of those that may
    come; without keys (on a host of one's own, to measure) everybody may.

    Raises:
        ProviderError: if `endpoint` is no `tcp://host:port` (port 0 is any free one), or cannot be listened at.
    """

    def __init__(
        self,
        endpoint: str,
        keys: KeyPair | None,
        allowed: Collection[str],
        resolve: Resolve,
        answer: AnswerTo | None = None,
    ) -> None:
        self._resolve = resolve
        self._answer = answer
        self._inbox = Inbox()
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._doorman: Doorman | None = None
        try:
            self.address = self._listen(endpoint, keys, allowed)
            """What peers connect to."""
        except BaseException:
            self._close_all()
            raise
        self.refused = 0
        """Messages that made no sense."""
        self.queued = 0
        """Bytes that libzmq holds now, on their way to peers."""
        self.served = 0
        """Bytes of blocks that were sent so far."""
        self._peers: dict[bytes, _Peer] = {}
        self._turns: deque[_Peer] = deque()
        self._on_their_way: dict[int, _OnItsWay] = {}
        self._awaited: dict[int, Awaited] = {}
        self._poller = zmq.Poller()
        self._looked_at = time.monotonic()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="rddlite-serve", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, at once. May be called twice, from any thread but the server's."""
        self._is_closing = True
        self._inbox.post(None)
        self._thread.join(_PATIENCE)

    # The thread

    def _listen(self, endpoint: str, keys: KeyPair | None, allowed: Collection[str]) -> str:
        options = {
            zmq.ROUTER_MANDATORY: 1,
            zmq.LINGER: 0,
            zmq.SNDHWM: _QUEUED_MESSAGES,
            zmq.RCVHWM: _QUEUED_MESSAGES,
            zmq.MAXMSGSIZE: MAX_HEADER + _CURVE_OVERHEAD,
        }
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        watch_bulk_connections(self._socket)
        self._socket.copy_threshold = 0  # all memory of pieces is watched, however small
        if keys is not None:
            self._doorman = secure_server(self._socket, keys, allowed)
        place = to_bind(endpoint)
        if needs_ipv6(place.host):
            self._socket.setsockopt(zmq.IPV6, 1)
        try:
            self._socket.bind(place.endpoint)
        except zmq.ZMQError as error:
            raise ProviderError(f"blocks cannot be served at {place.endpoint}: {error.strerror}") from error
        bound = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        return to_advertise(endpoint, parse_tcp(bound.rstrip(b"\0").decode()).port)

    def _run(self) -> None:
        poller = self._poller
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._inbox.fileno(), zmq.POLLIN)
        if self._doorman is not None:
            poller.register(self._doorman.socket, zmq.POLLIN)
        try:
            while not self._is_closing:
                ready = poller.poll(self._timeout())
                if self._awaited:
                    self._look_at_awaited({fd for fd, _ in ready})
                if self._doorman is not None:
                    self._doorman.answer()
                self._take_back()
                self._receive()
                self._send_some()
                self._forget_idle()
        finally:
            self._close_all()

    def _timeout(self) -> int:
        """In milliseconds."""
        if self._turns:
            return 0
        due = min((each.until for each in self._awaited.values()), default=math.inf)
        return math.ceil(max(0.0, min(_IDLE / 4, due - time.monotonic())) * 1000)

    def _look_at_awaited(self, ready: set[object]) -> None:
        now = time.monotonic()
        for fd, awaited in list(self._awaited.items()):
            if fd in ready or now >= awaited.until:
                del self._awaited[fd]
                self._poller.unregister(fd)
                for peer in self._peers.values():
                    for request in peer.requests.values():
                        if request.awaited is awaited:
                            request.is_waiting = False
                            self._give_turn(peer)

    def _place_of(self, request: _Request, wanted: Wanted) -> ByteRange | None:
        """None if it is still to be made; the request has to wait."""
        if request.awaited is not None:
            awaited, request.awaited = request.awaited, None
            return awaited.place()
        found = self._resolve(wanted.block, wanted.part)
        if isinstance(found, ByteRange):
            return found
        request.awaited, request.is_waiting = found, True
        if found.fileno() not in self._awaited:
            self._awaited[found.fileno()] = found
            self._poller.register(found.fileno(), zmq.POLLIN)
        return None

    def _close_all(self) -> None:
        if self._doorman is not None:
            self._doorman.close()
        self._socket.close(linger=0)
        self._context.term()
        self._inbox.close()

    def _receive(self) -> None:
        for _ in range(_MESSAGES_AT_ONCE):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                if len(frames) != 2:
                    raise RemoteProtocolError(f"a message has 1 frame, not {len(frames) - 1}")
                self._handle(frames[0], decode_to_sender(frames[1]))
            except RemoteProtocolError as error:
                self.refused += 1
                if is_milestone(self.refused):
                    _log.warning("refused %d messages that made no sense, the last: %s", self.refused, error)

    def _handle(self, identity: bytes, message: ToSender) -> None:
        peer = self._peers.get(identity) or _Peer(identity)
        match message:
            case Fetch():
                self._add(peer, message)
            case Credit():
                request = peer.requests.get(message.request)
                if request is None:
                    self._say(identity, Gone(message.request))
                else:
                    request.sender.allow(message.credit)
            case Cancel():
                peer.requests.pop(message.request, None)
            case Ask():
                self._say(identity, self._answer_to(message))
            case _:
                assert_never(message)
        peer.heard_at = time.monotonic()
        self._give_turn(peer)

    def _add(self, peer: _Peer, message: Fetch) -> None:
        if message.request in peer.requests:
            raise RemoteProtocolError(f"request {message.request} is there already")
        if len(peer.requests) >= _REQUESTS_OF_A_PEER:
            raise RemoteProtocolError(f"more than {_REQUESTS_OF_A_PEER} requests at once")
        peer.requests[message.request] = _Request(Sender(message))
        self._peers[peer.identity] = peer

    def _answer_to(self, message: Ask) -> ToReceiver:
        try:
            if self._answer is None:
                raise NoSuchBlock("nobody answers questions here")
            body = self._answer(message.topic, message.body)
        except NoSuchBlock as error:
            return NoAnswer(message.request, _brief(error))
        except Exception as error:  # whoever answers, the server goes on
            _log.exception("no answer about %.40r", message.topic)
            return NoAnswer(message.request, _brief(f"{type(error).__name__}: {error}"))
        if len(body) > MAX_BODY:
            return NoAnswer(message.request, f"the answer has {len(body)} bytes, more than {MAX_BODY}")
        return Answer(message.request, body)

    # Turns

    def _give_turn(self, peer: _Peer) -> None:
        if not peer.has_turn:
            peer.has_turn = True
            self._turns.append(peer)

    def _send_some(self) -> None:
        for _ in range(_CHUNKS_AT_ONCE):
            if not self._turns:
                return
            peer = self._turns.popleft()
            peer.has_turn = False
            # A peer that has to wait has something on its way, and comes back when that is gone.
            has_room = not peer.queued or (peer.queued < _MOST_OF_A_PEER and self.queued < _MOST_IN_ALL)
            if has_room and self._send_chunk(peer):
                self._give_turn(peer)

    def _send_chunk(self, peer: _Peer) -> bool:
        """Send what comes next; False if there is nothing, or the peer has gone."""
        request = peer.next_ready()
        if request is None:
            self._forget_if_done(peer)
            return False
        parts, data = self._next_parts(request, MAX_CHUNK if self.queued < _MOST_IN_ALL else _SMALL_CHUNK)
        if not parts:
            return True
        sender = request.sender
        if sender.is_finished:
            del peer.requests[sender.request]
        try:
            header = encode_to_receiver(Chunk(sender.request, parts))
            self._socket.send_multipart([peer.identity, header], zmq.SNDMORE | zmq.DONTWAIT)
            self._send_data(peer, data[0] if len(data) == 1 else b"".join(data))
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            peer.requests.clear()  # it has gone, or reads nothing: if it lives it will ask again
        self._forget_if_done(peer)
        return bool(peer.requests)

    def _send_data(self, peer: _Peer, data: bytes) -> None:
        if not data:
            self._socket.send(b"", zmq.DONTWAIT)
            return
        view = memoryview(data)
        watched = _OnItsWay(view, self._inbox.post)
        watched.peer, watched.size = peer, len(data)
        self._on_their_way[id(watched)] = watched
        peer.queued += len(data)
        self.queued += len(data)
        self.served += len(data)
        self._socket.send(view, zmq.DONTWAIT, copy=False)

    def _take_back(self) -> None:
        """Note which memory libzmq has done with, and whose turn it is for that."""
        for watched in self._inbox.drain():
            if watched is not None:
                del self._on_their_way[id(watched)]
                self.queued -= watched.size
                watched.peer.queued -= watched.size
                self._give_turn(watched.peer)

    # Parts

    def _next_parts(self, request: _Request, room: int) -> tuple[list[Piece | ItemFailed], list[bytes]]:
        """The parts of the next chunk and their bytes, `room` of them at most."""
        sender = request.sender
        parts: list[Piece | ItemFailed] = []
        data: list[bytes] = []
        while sender.is_ready and len(parts) < MAX_PARTS:
            try:
                wanted = sender.unknown
                if wanted is not None:
                    request.place = self._place_of(request, wanted)
                    if request.place is None:
                        break
                    sender.found(request.place.length, request.place.count)
                piece = sender.cut(room)
                if piece is None or (parts and _is_better_whole(piece)):
                    break
                if isinstance(piece, Piece):
                    assert request.place is not None
                    data.append(_read(request.place, piece))
                    sender.sent(piece)
                    room -= piece.size
                parts.append(piece)
            except (NoSuchBlock, OSError) as error:
                parts.append(sender.failed(_brief(error)))
            except Exception as error:  # whoever resolves, the server goes on
                _log.exception("a block cannot be served")
                parts.append(sender.failed(_brief(f"{type(error).__name__}: {error}")))
        return parts, data

    def _say(self, identity: bytes, message: ToReceiver) -> None:
        try:
            self._socket.send_multipart([identity, encode_to_receiver(message)], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise

    def _forget_if_done(self, peer: _Peer) -> None:
        is_known = self._peers.get(peer.identity) is peer  # not if it said what came to nothing before it asked
        if is_known and not peer.requests and not peer.queued:
            del self._peers[peer.identity]

    def _forget_idle(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + _IDLE / 4:
            return
        self._looked_at = now
        for peer in list(self._peers.values()):
            if peer.heard_at + _IDLE < now and not peer.queued:
                for number in peer.requests:
                    self._say(peer.identity, Gone(number))
                del self._peers[peer.identity]


def _is_better_whole(piece: Piece | ItemFailed) -> bool:
    """Whether it begins a small part that does not fit: one that comes whole need not be put together."""
    return isinstance(piece, Piece) and piece.size < piece.length <= _SMALL_CHUNK and not piece.offset


def _read(place: ByteRange, piece: Piece) -> bytes:
    """The bytes of a piece.

    Raises:
        OSError: if they cannot be read, or are not there.
    """
    fault_point("serve.block")
    if not piece.size:
        return b""
    fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if place.inode not in (0, os.fstat(fd).st_ino):
            raise OSError(f"{place.path}: another file has taken its place")
        found = [os.pread(fd, size, start) for start, size in place.pieces(piece.offset, piece.size)]
        if not os.path.samestat(os.stat(place.path), os.fstat(fd)):  # it may be written over once its name is gone
            raise OSError(f"{place.path}: another file has taken its place")
    finally:
        os.close(fd)
    data = found[0] if len(found) == 1 else b"".join(found)
    if len(data) < piece.size:
        raise OSError(f"{place.path}: ends {piece.size - len(data)} bytes early")
    return data


def _brief(error: object) -> str:
    return str(error)[:_LONGEST_REASON]
