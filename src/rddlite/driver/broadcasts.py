"""The driver's side of broadcasts: their files, who has pieces of them, and their removal everywhere.

Files are made by user threads, read by workers of this host, and handed out piece by piece by the block server's
thread, which also answers who else has some. All of it is guarded by one lock that nobody holds for long. Executors are
told by the loop what they have to delete.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

from rddlite.base.clock import Clock
from rddlite.base.ids import BroadcastData, BroadcastId, ExecutorId, parse_block
from rddlite.net.transfer import ByteRange, NoSuchBlock
from rddlite.shared.pieces import FOLDER, SMALL, WHOLE_TOPIC, BroadcastSpec, file_of, piece_span
from rddlite.shared.swarm import TOPIC, Holders, HoldersAnswer, Place, pack_answer, unpack_ask

PlaceOf = Callable[[ExecutorId], Place]
Forget = Callable[[BroadcastId, Callable[[], None]], None]
"""Have executors delete a broadcast, then call back; from any thread, also the garbage collector's."""
_TELL_LIMIT = 10.0
_ids = itertools.count()


class Broadcasts:
    """Owner of the files of all broadcasts of an application, in `scratch`. Unless `are_served`, all workers can read
    them there.
    """

    def __init__(self, scratch: str, clock: Clock, *, are_served: bool = True) -> None:
        self.are_served = are_served
        self._scratch = scratch
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[BroadcastId, tuple[BroadcastSpec, Holders]] = {}
        self._place_of: PlaceOf | None = None
        self._forget: Forget | None = None
        self._check_usable: Callable[[], None] | None = None
        self._on_close: list[Callable[[], None]] = []

    def connect(self, place_of: PlaceOf, forget: Forget, check_usable: Callable[[], None]) -> None:
        """Learn where executors are, how they are told, and what refuses a use after the end."""
        self._place_of, self._forget, self._check_usable = place_of, forget, check_usable

    def when_closed(self, close: Callable[[], None]) -> None:
        """Call this at the end, perhaps more than once: of what serves the files."""
        self._on_close.append(close)

    def close(self) -> None:
        """Serve nothing any more. The files go with the scratch directory. Safe to call twice."""
        for close in self._on_close:
            close()

    # User threads

    def add(self, write: Callable[[str], tuple[int, bytes]]) -> BroadcastSpec:
        """A new broadcast, whose file `write(path)` makes; it answers with size and checksums."""
        broadcast = BroadcastId(next(_ids))
        os.makedirs(os.path.join(self._scratch, FOLDER), mode=0o700, exist_ok=True)
        spec = BroadcastSpec(broadcast, *write(file_of(self._scratch, broadcast)))
        with self._lock:
            self._known[broadcast] = (spec, Holders(spec.n_pieces))
        return spec

    def check_usable(self) -> None:
        """Refuse if the context was stopped.

        Raises:
            ContextStopped: if so.
        """
        if self._check_usable is not None:
            self._check_usable()

    def unpersist(self, broadcast: BroadcastId, blocking: bool) -> None:
        """Have executors delete what they have of it; who needs it again gets it again."""
        with self._lock:
            if broadcast in self._known:
                self._known[broadcast][1].forget_all()
        self._tell(broadcast, blocking)

    def destroy(self, broadcast: BroadcastId, blocking: bool) -> None:
        """Delete it here and on executors."""
        with self._lock:
            self._known.pop(broadcast, None)
        self._remove(broadcast)
        self._tell(broadcast, blocking)

    def dropped(self, broadcast: BroadcastId) -> None:
        """The program has no handle any more. Takes no lock: the garbage collector may interrupt one who holds it."""
        if self._forget is not None and self._known.pop(broadcast, None) is not None:
            self._forget(broadcast, lambda: self._remove(broadcast))

    def _tell(self, broadcast: BroadcastId, blocking: bool) -> None:
        if self._forget is not None:
            told = threading.Event()
            self._forget(broadcast, told.set)
            if blocking:
                told.wait(_TELL_LIMIT)

    def _remove(self, broadcast: BroadcastId) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file_of(self._scratch, broadcast))

    # The block server's thread

    def find(self, block: str, piece: int) -> ByteRange:
        """Where a piece is.

        Raises:
            NoSuchBlock: if it is not here.
        """
        try:
            named = parse_block(block)
            if not isinstance(named, BroadcastData):
                raise ValueError("it has broadcasts only")
            with self._lock:
                spec, _ = self._known[named.broadcast]
            return ByteRange(file_of(self._scratch, spec.id), *piece_span(spec.size, piece), 0)
        except (ValueError, KeyError, IndexError) as error:
            raise NoSuchBlock(f"the driver has no part {piece} of {block!r:.50}: {error}") from error

    def answer(self, topic: str, body: bytes) -> bytes:
        """Who has pieces of a broadcast; or, for a small one, its file itself.

        Raises:
            NoSuchBlock: for a question that cannot be understood, or has no answer.
        """
        if topic == WHOLE_TOPIC:
            return self._whole(body)
        try:
            ask = unpack_ask(body)
        except ValueError as error:
            raise NoSuchBlock(f"not a question about {TOPIC}: {error}") from error
        if topic != TOPIC or self._place_of is None:
            raise NoSuchBlock(f"the driver knows nothing of {topic!r:.50}")
        with self._lock:
            known: Any = self._known.get(ask.broadcast)
            if known is None:
                return pack_answer(HoldersAnswer(False, (), ()))
            return pack_answer(known[1].asked(ask, self._place_of, self._clock.now()))

    def _whole(self, body: bytes) -> bytes:
        place = self.find(body.decode("ascii", "replace"), 0)
        if place.length > SMALL:
            raise NoSuchBlock(f"a file of {place.length} bytes is no answer")
        try:
            with open(place.path, "rb") as file:
                return file.read(place.length)
        except OSError as error:
            raise NoSuchBlock(f"it cannot be read: {error}") from error
