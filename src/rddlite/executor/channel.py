"""Frames between an executor and one worker, over a socketpair: a kind, a length, and bytes.

The executor's end never blocks: what the socket does not take waits here, and the loop asks for writability then. The
worker's end blocks, because a worker has nothing else to do. It trusts the executor, but not the other way round: user
code runs beside it, and may write to any descriptor of its process.
"""

from __future__ import annotations

import enum
import io
import os
import select
import socket
import struct
from collections import deque
from itertools import islice

from rddlite.base.meeting import ASK
from rddlite.net.wire import MAX_OUTCOME

_HEADER = struct.Struct("<BQ")
_HEADER_SIZE = _HEADER.size
_READ = 1 << 18
_JOIN_BELOW = 1 << 16
_PIECES_AT_ONCE = 64
ATTEMPT = struct.Struct("<q")
"""How an attempt's id (or a process id) stands at the beginning of a body."""
HIGHEST_ATTEMPT = (1 << 63) - 1

_LONG = 3600.0
Frame = tuple[int, bytes]


class Kind(enum.IntEnum):
    """What a frame is. To workers: CONFIGURE (JSON), BLOB (its NAME goes before), TASK, AHEAD (a task to be begun with
    its permit only), FORGET (a blob), FORGET_BROADCAST (its number), FORGET_CACHED (JSON: caches, blocks), SYNC, GO_ON.
    From workers: HELLO (process id), BLOCKS (packed `News` of cached partitions), ENDED (attempt and packed outcome),
    ENDED_WITH_OUTPUT (the same of a task that has, or may have, written to a standard stream; the worker waits for
    GO_ON), SYNCED. At barriers a worker asks by MEET (`base.meeting.ASK`, and what it brings), and is answered by MET.
    """

    CONFIGURE = 1
    NAME = 2
    BLOB = 3
    TASK = 4
    FORGET = 5
    SYNC = 6
    HELLO = 7
    ENDED = 8
    SYNCED = 9
    FORGET_BROADCAST = 10
    FORGET_CACHED = 11
    BLOCKS = 12
    AHEAD = 13
    GO_ON = 14
    ENDED_WITH_OUTPUT = 15
    MEET = 16
    MET = 17


_LENGTHS: dict[int, tuple[int, int]] = {
    Kind.HELLO: (ATTEMPT.size, ATTEMPT.size),
    Kind.ENDED: (ATTEMPT.size, ATTEMPT.size + MAX_OUTCOME),
    Kind.ENDED_WITH_OUTPUT: (ATTEMPT.size, ATTEMPT.size + MAX_OUTCOME),
    Kind.SYNCED: (0, 0),
    Kind.BLOCKS: (0, MAX_OUTCOME),
    Kind.MEET: (ASK.size, MAX_OUTCOME),
}
"""What workers say, and how many bytes that has."""
_NO_LENGTH = (1, 0)


def encode_name(digest: str) -> bytes:
    """The body of a frame that names a blob: whatever the driver called it."""
    return digest.encode("utf-8", "surrogatepass")


def decode_name(body: bytes) -> str:
    """The inverse."""
    return body.decode("utf-8", "surrogatepass")


class ChannelBroken(Exception):
    """What came is nothing that a worker says: nothing that follows can be read."""


class FrameReader:
    """Frames of a worker out of pieces of any size. Pure."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0
        """How many bytes the first frame in `_rest` has, as far as that is known."""

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are complete with these bytes.

        Raises:
            ChannelBroken: if one of them is none, or will be.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[Frame] = []
        start, size = 0, len(data)
        self._wanted = _HEADER_SIZE
        while size - start >= _HEADER_SIZE:
            kind, length = _HEADER.unpack_from(data, start)
            least, most = _LENGTHS.get(kind, _NO_LENGTH)
            if not least <= length <= most:
                raise ChannelBroken(f"a frame of kind {kind} with {length} bytes is nothing that a worker says")
            body = start + _HEADER_SIZE
            end = body + length
            if size < end:
                self._wanted = end - start
                break
            frames.append((kind, data[body:end]))
            start = end
        if start < size:
            self._rest += data[start:]
        return frames


class Channel:
    """The executor's end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reader = FrameReader()
        self.is_at_end = False
        """Whether the worker's end is closed and everything was read."""
        self._unsent: deque[bytes | memoryview] = deque()

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    @property
    def is_blocked(self) -> bool:
        """Whether something waits until the socket can take it: call `flush` when it is writable."""
        return bool(self._unsent)

    def add(self, kind: Kind, body: bytes = b"") -> None:
        """Have a frame sent by the next `flush`."""
        header = _HEADER.pack(kind, len(body))
        self._unsent += (header + body,) if len(body) < _JOIN_BELOW else (header, body)

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it. Frames for a worker that is gone go nowhere."""
        unsent = self._unsent
        while unsent:
            try:
                n = self._socket.sendmsg(islice(unsent, _PIECES_AT_ONCE))
            except BlockingIOError:
                return
            except OSError:  # its end is gone: the zygote will tell of the worker's
                unsent.clear()
                return
            while unsent and n >= len(unsent[0]):
                n -= len(unsent.popleft())
            if n:
                unsent[0] = memoryview(unsent[0])[n:]

    def receive(self) -> list[Frame]:
        """Frames that are complete now; one read at most, so ask again while the descriptor is readable.

        Raises:
            ChannelBroken: as `FrameReader.feed`.
        """
        return self._reader.feed(self._read())

    def receive_all(self) -> list[Frame]:
        """All complete frames of what the worker has sent up to now.

        Raises:
            ChannelBroken: as `FrameReader.feed`.
        """
        frames: list[Frame] = []
        while data := self._read():
            frames += self._reader.feed(data)
        return frames

    def close(self) -> None:
        """Close this end."""
        self._unsent.clear()
        self._socket.close()

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return b""
        except ConnectionResetError:  # it went with frames of ours unread
            data = b""
        self.is_at_end = not data
        return data


class ChannelEnded(Exception):
    """The executor's end is closed: there is nothing left to do."""


class WorkerChannel:
    """The worker's end. Used while user code runs by `look_for`, `wait_for_more` and `send` only."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reader = io.BufferedReader(io.FileIO(fd, "rb", closefd=False), 1 << 16)
        self._put_off: deque[Frame] = deque()

    def receive(self) -> Frame:
        """Wait for the next frame.

        Raises:
            ChannelEnded: if there will be none.
        """
        return self._put_off.popleft() if self._put_off else self._next()

    def wait_to_go_on(self) -> None:
        """Wait until the executor says so; what it has sent before is received afterwards.

        Raises:
            ChannelEnded: if it never will.
        """
        while (frame := self._next())[0] != Kind.GO_ON:
            self._put_off.append(frame)

    def look_for(self, kind: Kind) -> bytes | None:
        """The next frame of this kind, if it has come; what came before it is received afterwards."""
        while self._has_come():
            found, body = self._next()
            if found == kind:
                return body
            self._put_off.append((found, body))
        return None

    def wait_for_more(self, seconds: float | None) -> None:
        """Wait until there is more to look at, or for so long.

        Raises:
            ChannelEnded: if there will never be more.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if poll.poll(1000 * min(_LONG, _LONG if seconds is None else max(0.0, seconds))) and not self._has_come():
            raise ChannelEnded

    def _has_come(self) -> bool:
        """Whether something can be read."""
        os.set_blocking(self._fd, False)
        has_come = bool(self._reader.peek(1))
        os.set_blocking(self._fd, True)
        return has_come

    def _next(self) -> Frame:
        header = self._reader.read(_HEADER_SIZE)
        if len(header) < _HEADER_SIZE:
            raise ChannelEnded
        kind, length = _HEADER.unpack(header)
        return kind, self._reader.read(length) if length else b""

    def send(self, kind: Kind, body: bytes = b"") -> None:
        """Send a frame.

        Raises:
            ChannelEnded: if nobody would receive it.
        """
        data = memoryview(_HEADER.pack(kind, len(body)) + body)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise ChannelEnded from error


UNDISTURBED = (
    WorkerChannel._has_come.__code__, WorkerChannel._next.__code__, WorkerChannel.send.__code__,
    WorkerChannel.look_for.__code__,
)  # fmt: skip
"""Code that must not be left half-way, or frames would be torn."""
