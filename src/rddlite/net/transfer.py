"""Bulk bytes between processes: the messages, and both halves of a transfer as machines without sockets.

A *request* names parts of blocks in the order in which they are wanted. The sender cuts them into chunks, many small
parts in one, never more bytes than the receiver has given *credit* for; credit is counted from the start of a request,
so that a message which comes twice changes nothing. Nobody acknowledges: a receiver that hears nothing more asks again,
by a new request that starts at the very byte at which the old one stopped.

Machines are fed with decoded messages and never wait, read or send; whatever a peer says that does not fit raises
`RemoteProtocolError`. Driven by `net/serve.py` and `net/fetch.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rddlite.errors import LocalProtocolError, RemoteProtocolError

MAX_CHUNK = 512 << 10
"""Most bytes of data in one chunk."""
MAX_PARTS = 1024
"""Most parts that one chunk has to do with."""
MAX_WANTED = 4096
"""Most parts that one request names."""
MAX_BODY = 1 << 20
"""Most bytes of a question or an answer."""
MAX_HEADER = MAX_BODY + (1 << 16)
"""Most bytes of a message, without a chunk's data."""

WHOLE, INDEX = -1, -2
"""Parts of a block that are no buckets or pieces: all of it, and what says where its buckets are."""


# From the receiver


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part of a block: a bucket or piece by its number, `WHOLE`, or `INDEX`."""

    block: str
    part: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send these parts in this order, the first one from byte `offset` on, and `credit` bytes for now."""

    request: int
    wanted: list[Wanted]
    offset: int
    credit: int


@dataclass(frozen=True, slots=True)
class Credit:
    """`credit` bytes may have been sent in all since the request began."""

    request: int
    credit: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing more is wanted of this request."""

    request: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, answered once for each time that it is asked."""

    request: int
    topic: str
    body: bytes


# From the sender


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes from `offset` on of the request's `item`th part, which has `length` bytes and `count` records."""

    item: int
    length: int
    count: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """The request's `item`th part cannot be had, or not to its end. The next ones follow."""

    item: int
    why: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What comes next in a request; the bytes of all pieces follow in a frame of their own."""

    request: int
    parts: list[Piece | ItemFailed]


@dataclass(frozen=True, slots=True)
class Gone:
    """The sender has forgotten this request: who still wants something has to ask again."""

    request: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question."""

    request: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A question will have no answer."""

    request: int
    why: str


ToSender = Fetch | Credit | Cancel | Ask
ToReceiver = Chunk | Gone | Answer | NoAnswer


# Who serves, and what becomes of it


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Where a part of a block is: `length` bytes of a file, and how many records they hold.

    They are in one piece from `start` on, unless there are `extents` (start and length of each). With an `inode` it
    must be that file which is found at `path`, which is there as long as `keeps` is referred to.
    """

    path: str
    start: int
    length: int
    count: int
    extents: tuple[tuple[int, int], ...] = ()
    inode: int = 0
    keeps: object = field(default=None, compare=False, repr=False)

    def pieces(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """Where `size` bytes from byte `offset` of it are in the file."""
        for start, length in self.extents or ((self.start, self.length),):
            if offset < length and size > 0:
                taken = min(length - offset, size)
                yield start + offset, taken
                size -= taken
            offset = max(0, offset - length)


class NoSuchBlock(Exception):
    """Who serves has no such bytes, or no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A block server: a name for people, its endpoint, and the key that proves it genuine (empty: none is asked)."""

    name: str
    address: str
    public_key: str = ""


class FetchError(OSError):
    """Bytes could not be had from a source."""

    def __init__(self, source: Source, why: str) -> None:
        super().__init__(f"{source.name} at {source.address}: {why}")
        self.source = source
        self.why = why


class Unreachable(FetchError):
    """The source does not answer, or not as it should; `why` tells how often it was tried."""


class BlockMissing(FetchError):
    """The source does not have this part of a block, the `item`th of those that it was asked for."""

    def __init__(self, source: Source, item: int, why: str) -> None:
        super().__init__(source, why)
        self.item = item


class NotAnswered(FetchError):
    """The source has no answer to a question."""


class Sender:
    """One request's sending half.

    While `is_ready`: look up `unknown` where it is not None and say `found` or `failed`; then `cut` a piece, read its
    bytes, and say `sent`, or `failed` if they are not there.

    Raises:
        RemoteProtocolError: if the request asks for nothing, or for what cannot be.
    """

    __slots__ = ("_at", "_count", "_credit", "_length", "_offset", "_sent", "_wanted", "request")

    def __init__(self, fetch: Fetch) -> None:
        if not 1 <= len(fetch.wanted) <= MAX_WANTED:
            raise RemoteProtocolError(f"a request names 1 to {MAX_WANTED} parts, not {len(fetch.wanted)}")
        if fetch.offset < 0 or fetch.credit < 0:
            raise RemoteProtocolError(f"a request with offset {fetch.offset} and credit {fetch.credit}")
        self.request = fetch.request
        self._wanted = fetch.wanted
        self._at = 0
        self._offset = fetch.offset
        self._length: int | None = None
        self._count = 0
        self._credit = fetch.credit
        self._sent = 0

    @property
    def is_finished(self) -> bool:
        """Whether everything was sent, or told to be missing."""
        return self._at == len(self._wanted)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to send, and credit for it."""
        return self._at < len(self._wanted) and self._sent < self._credit

    @property
    def unknown(self) -> Wanted | None:
        """The part whose place has to be known before anything more can be cut, if there is one."""
        return self._wanted[self._at] if self._length is None and not self.is_finished else None

    def allow(self, credit: int) -> None:
        """The receiver gave credit.

        Raises:
            RemoteProtocolError: if it is less than it was.
        """
        if credit < self._credit:
            raise RemoteProtocolError(f"credit was {self._credit} and cannot fall to {credit}")
        self._credit = credit

    def found(self, length: int, count: int) -> None:
        """The unknown part has so many bytes and records."""
        self._length, self._count = length, count

    def failed(self, why: str) -> ItemFailed:
        """The part at hand cannot be read (any more); what to tell the receiver."""
        failure = ItemFailed(self._at, why)
        self._next()
        return failure

    def cut(self, room: int) -> Piece | ItemFailed | None:
        """What comes next, in at most `room` bytes; None when credit or room is used up, or a part is unknown.

        A piece is cut until it was `sent` or has `failed`.
        """
        if self._length is None:
            return None
        if self._offset and self._offset >= self._length:
            return self.failed(f"it ends at byte {self._length}: nothing is at byte {self._offset}")
        size = min(room, self._credit - self._sent, self._length - self._offset)
        if size <= 0 and self._length:
            return None
        return Piece(self._at, self._length, self._count, self._offset, size)

    def sent(self, piece: Piece) -> None:
        """The piece is on its way."""
        self._sent += piece.size
        self._offset += piece.size
        if self._offset == self._length:
            self._next()

    def _next(self) -> None:
        self._at += 1
        self._offset = 0
        self._length = None


@dataclass(slots=True)
class Arrival:
    """Bytes of a part: which one (counted in what the receiver wants), its length and records, and from where on."""

    item: int
    length: int
    count: int
    offset: int
    data: memoryview

    @property
    def is_last(self) -> bool:
        """Whether the part is complete with this."""
        return self.offset + len(self.data) == self.length


class Receiver:
    """One request's receiving half, through as many requests as it takes.

    `due` bytes may still come by the credit given, `held` bytes came and were not taken yet: their sum is what this
    transfer may occupy.
    """

    __slots__ = ("_at", "_count", "_credit", "_first", "_length", "_offset", "_request", "_wanted", "due", "held")

    def __init__(self, wanted: Sequence[Wanted], offset: int = 0) -> None:
        if not 1 <= len(wanted) <= MAX_WANTED:
            raise LocalProtocolError(f"a request names 1 to {MAX_WANTED} parts, not {len(wanted)}")
        self._wanted = wanted
        self._request = -1
        self._first = 0
        self._at = 0
        self._offset = offset
        self._length: int | None = None
        self._count = 0
        self._credit = 0
        self.due = 0
        self.held = 0

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self._at == len(self._wanted)

    def ask(self, request: int, credit: int) -> Fetch:
        """Ask for what has not come yet; what comes by an earlier request is not accepted any more."""
        self._request = request
        self._first = self._at
        self._credit = self.due = credit
        return Fetch(request, list(self._wanted[self._at :]), self._offset, credit)

    def grant(self, more: int) -> Credit:
        """Give credit for so many bytes more."""
        self._credit += more
        self.due += more
        return Credit(self._request, self._credit)

    def lost(self) -> None:
        """The request's connection is gone: nothing is due until it is asked again."""
        self._request = -1
        self.due = 0

    def take(self, size: int) -> None:
        """So many of the bytes that came are somebody else's now."""
        self.held -= size

    def receive(self, chunk: Chunk, data: memoryview) -> list[Arrival | ItemFailed]:
        """What a chunk brings, item numbers counted from the first part ever wanted.

        Raises:
            RemoteProtocolError: if it is not exactly what has to come next. Nothing of it counts then.
        """
        if chunk.request != self._request:
            raise RemoteProtocolError(f"a chunk of request {chunk.request}, not {self._request}")
        if len(data) > self.due:
            raise RemoteProtocolError(f"{len(data)} bytes came where {self.due} were allowed")
        if not 1 <= len(chunk.parts) <= MAX_PARTS:
            raise RemoteProtocolError(f"a chunk of {len(chunk.parts)} parts")
        before = (self._at, self._offset, self._length, self._count)
        try:
            arrivals = self._arrivals(chunk.parts, data)
        except RemoteProtocolError:
            self._at, self._offset, self._length, self._count = before
            raise
        self.due -= len(data)
        self.held += len(data)
        if self.is_finished:
            self.due = 0
        return arrivals

    def _arrivals(self, parts: list[Piece | ItemFailed], data: memoryview) -> list[Arrival | ItemFailed]:
        arrivals: list[Arrival | ItemFailed] = []
        start = 0
        for part in parts:
            item = self._first + part.item
            if item != self._at or self.is_finished:
                raise RemoteProtocolError(f"part {item} came where part {self._at} was to come")
            if isinstance(part, ItemFailed):
                arrivals.append(ItemFailed(item, part.why))
                self._next()
            else:
                self._check(part)
                arrivals.append(Arrival(item, part.length, part.count, part.offset, data[start : start + part.size]))
                start += part.size
                self._offset += part.size
                if self._offset == part.length:
                    self._next()
        if start != len(data):
            raise RemoteProtocolError(f"a chunk of {len(data)} bytes says that it has {start}")
        return arrivals

    def _check(self, piece: Piece) -> None:
        if piece.offset != self._offset:
            raise RemoteProtocolError(f"byte {piece.offset} of a part came where byte {self._offset} was to come")
        if self._length is not None and (piece.length, piece.count) != (self._length, self._count):
            raise RemoteProtocolError(f"a part of {self._length} bytes became one of {piece.length}")
        if piece.count < 0 or not 0 <= piece.size <= piece.length - piece.offset or (piece.length and not piece.size):
            raise RemoteProtocolError(f"a piece of {piece.size} bytes at {piece.offset} of {piece.length}")
        self._length, self._count = piece.length, piece.count

    def _next(self) -> None:
        self._at += 1
        self._offset = 0
        self._length = None
