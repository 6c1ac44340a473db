"""Gets the file of a broadcast to this executor: once for all its workers, in pieces, from whoever has them.

The worker that is first to need it takes a lock on a file and downloads; others wait for the lock and find the file.
A worker that dies leaves the pieces that it got, and the next one goes on with what is missing. Every piece is checked
against the checksum that came with the function, so a bad holder costs one piece, and is not asked again. A driver that
could not be reached is asked again for a while. Small values come with its first answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple, Protocol

from rddlite.base.faults import fault_point
from rddlite.base.ids import BroadcastData, ExecutorId
from rddlite.base.log import logger
from rddlite.base.units import show_bytes
from rddlite.errors import BroadcastUnavailable
from rddlite.net.samehost import is_same_host
from rddlite.net.transfer import Arrival, BlockMissing, FetchError, NotAnswered, Source, Unreachable, Wanted
from rddlite.shared import swarm
from rddlite.shared.held import Partial, adopt_file
from rddlite.shared.pieces import FOLDER, LOCK, SMALL, WHOLE_TOPIC, BroadcastSpec, file_of, gone, piece_span
from rddlite.shared.swarm import SEED, Downloads, HoldersAnswer, HoldersAsk
from rddlite.storage.localdirs import disk_errors

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.1
_PATIENCE = 60.0
_log = logger("shared")


class PieceStream(Protocol):
    """Parts on their way from several sources (`net.fetch.Stream`)."""

    def take(self, index: int) -> Arrival:
        """What comes next from one source."""
        ...

    def close(self) -> None:
        """Nothing more is wanted."""
        ...


class PieceFetcher(Protocol):
    """What fetches (`net.fetch.Fetcher`, which not every executor loads)."""

    def stream(self, lists: Sequence[tuple[Source, Sequence[Wanted]]]) -> PieceStream:
        """Ask several sources for parts at once."""
        ...

    def ask(self, source: Source, topic: str, body: bytes = b"") -> bytes:
        """The answer to a question."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class Network(NamedTuple):
    """How peers are reached: the driver, the key of all executors, and what fetches."""

    driver: Source
    peers_key: str
    make_fetcher: Callable[[], PieceFetcher]


class Downloader:
    """Gets files to one executor, for one worker. Used by one thread at a time."""

    def __init__(self, scratch: str, executor: str, network: Network) -> None:
        self._scratch = scratch
        self._executor = ExecutorId(executor)
        self._network = network
        self._fetcher: PieceFetcher | None = None

    def obtain(self, spec: BroadcastSpec) -> str:
        """The path of the complete file on this executor; returns when it is there.

        Raises:
            BroadcastDestroyed: if the driver has no such broadcast any more.
            BroadcastUnavailable: if nobody who has it can be reached: another attempt may do better.
            DiskFull: if there is no room for it.
        """
        path = file_of(self._scratch, spec.id)
        os.makedirs(os.path.join(self._scratch, FOLDER), mode=0o700, exist_ok=True)
        with _locked(path + LOCK):
            if not os.path.exists(path):
                fault_point("broadcast.fetch")
                if self._fetcher is None:
                    self._fetcher = self._network.make_fetcher()
                with disk_errors(path):
                    _Download(spec, self._scratch, self._executor, self._network, self._fetcher).run()
        return path

    def rest(self) -> None:
        """Close connections: a task has ended, and later ones will hardly need any."""
        if self._fetcher is not None:
            fetcher, self._fetcher = self._fetcher, None
            fetcher.close()


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock; it goes with this process, however it ends. Two who download at once would only waste time."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class _Download:
    """One download, from the first question to the complete file."""

    def __init__(
        self, spec: BroadcastSpec, scratch: str, executor: ExecutorId, network: Network, fetcher: PieceFetcher
    ) -> None:
        self._spec = spec
        self._scratch = scratch
        self._executor = executor
        self._network = network
        self._fetcher = fetcher
        self._block = str(BroadcastData(spec.id))
        self._failures: dict[str, None] = {}

    def run(self) -> None:
        partial = Partial(self._scratch, self._spec.id, self._spec.size)
        try:
            if self._spec.size <= SMALL:
                self._take_whole(partial)
                return
            downloads = Downloads(partial.have, Random(f"{self._executor} {self._spec.id}").shuffle)
            if self._gather(partial, downloads):
                partial.publish()
        finally:
            partial.close()
        with contextlib.suppress(FetchError):  # only tells others that they may ask here
            self._ask("1" * self._spec.n_pieces, ())

    def _take_whole(self, partial: Partial) -> None:
        try:
            data = self._fetcher.ask(self._network.driver, WHOLE_TOPIC, self._block.encode())
        except NotAnswered:
            raise gone(self._spec) from None
        except Unreachable as error:
            self._failures[f"the driver: {error}"] = None
            raise self._unavailable() from error
        if len(data) != self._spec.size or zlib.crc32(data) != self._spec.checksum(0):
            self._failures["the driver: what it has was damaged"] = None
            raise self._unavailable()
        partial.write(0, 0, memoryview(data))
        partial.publish()

    def _gather(self, partial: Partial, downloads: Downloads) -> bool:
        """Round after round until nothing is missing; False if the file came by another way."""
        wait, moved_at = _FIRST_WAIT, time.monotonic()
        while not downloads.is_complete:
            answer = self._answer(downloads)
            if self._adopt(answer):
                return False
            wanted = downloads.next_round(answer)
            if wanted and self._round(partial, downloads, answer, wanted):
                wait, moved_at = _FIRST_WAIT, time.monotonic()  # what failed, others are asked for in the next one
            elif (not wanted and downloads.has_failed(SEED)) or time.monotonic() > moved_at + _PATIENCE:
                raise self._unavailable()
            else:
                time.sleep(wait)  # others get it now, and this one from them
                wait = min(2 * wait, _LONGEST_WAIT)
        return True

    def _answer(self, downloads: Downloads) -> HoldersAnswer:
        """What the driver knows; nothing for the time being while it cannot be reached."""
        try:
            answer = swarm.unpack_answer(self._ask(downloads.have, downloads.bad))
        except Unreachable as error:
            self._failures[f"the driver: {error}"] = None
            return HoldersAnswer(True, (), ())
        except (NotAnswered, ValueError) as error:
            self._failures[f"the driver: {error}"] = None
            raise self._unavailable() from error
        if not answer.is_known:
            raise gone(self._spec)
        return answer

    def _ask(self, have: str, bad: tuple[ExecutorId, ...]) -> bytes:
        question = HoldersAsk(self._spec.id, self._executor, have, bad)
        return self._fetcher.ask(self._network.driver, swarm.TOPIC, swarm.pack_ask(question))

    def _adopt(self, answer: HoldersAnswer) -> bool:
        """Take the file of an executor of this host, if there is one that has it all."""
        for holder in answer.holders:
            is_near = holder.is_complete and is_same_host(holder.scratch, holder.token)
            if is_near and adopt_file(self._scratch, self._spec.id, holder.scratch):
                return True
        return False

    def _round(
        self, partial: Partial, downloads: Downloads, answer: HoldersAnswer, wanted: dict[ExecutorId, list[int]]
    ) -> bool:
        """Fetch what was planned, as far as it can be had; False if it is worth waiting before the next round."""
        sources = {each.executor: self._source(each.executor, each.address) for each in answer.holders}
        sources[SEED] = self._network.driver
        asked = list(wanted.items())
        lists = [(sources[executor], [Wanted(self._block, piece) for piece in pieces]) for executor, pieces in asked]
        n_got, silent = 0, set()
        with contextlib.closing(self._fetcher.stream(lists)) as stream:
            for turn in range(max(len(pieces) for _, pieces in asked)):
                for index, (executor, pieces) in enumerate(asked):
                    if turn >= len(pieces) or executor in silent or downloads.has_failed(executor):
                        continue
                    try:
                        has_come = self._take(partial, stream, index, executor, pieces[turn])
                    except Unreachable as error:
                        has_come = self._failed(executor, str(error))
                        silent.add(executor)
                    if has_come:
                        downloads.got(pieces[turn])
                        n_got += 1
                    elif executor != SEED or executor not in silent:  # nobody but the driver may be the only one
                        downloads.failed(executor)
        return n_got > 0 or SEED not in silent

    def _take(self, partial: Partial, stream: PieceStream, index: int, executor: ExecutorId, piece: int) -> bool:
        """Write one piece as it comes; whether it came, and is right.

        Raises:
            Unreachable: if its source does not answer.
        """
        _, length = piece_span(self._spec.size, piece)
        checksum = 0
        try:
            while True:
                arrival = stream.take(index)
                if arrival.length != length:
                    return self._failed(executor, f"piece {piece} has {arrival.length} bytes there, not {length}")
                partial.write(piece, arrival.offset, arrival.data)
                checksum = zlib.crc32(arrival.data, checksum)
                if arrival.is_last:
                    break
        except BlockMissing as error:
            return self._failed(executor, str(error))
        if checksum != self._spec.checksum(piece):
            return self._failed(executor, f"piece {piece} was damaged on its way, or there")
        partial.mark(piece)
        return True

    def _failed(self, executor: ExecutorId, why: str) -> bool:
        who = "the driver" if executor == SEED else f"executor {executor}"
        failure = f"{who}: {why}"
        if failure not in self._failures:
            self._failures[failure] = None
            _log.info("broadcast %d: %s", self._spec.id, failure)
        return False

    def _source(self, executor: ExecutorId, address: str) -> Source:
        return Source(f"executor {executor}", address, self._network.peers_key)

    def _unavailable(self) -> BroadcastUnavailable:
        tried = "; ".join(self._failures) or f"nothing came within {_PATIENCE:.0f} s"
        return BroadcastUnavailable(
            f"broadcast {self._spec.id} ({show_bytes(self._spec.size)}) could not be fetched to executor "
            f"{self._executor}: {tried}"
        )
