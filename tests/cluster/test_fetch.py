"""Block server and fetcher over real connections: many sources, one window, and both ends of a conversation."""

from __future__ import annotations

import itertools
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import zmq

from rddlite.errors import InternalError, LocalProtocolError, ProviderError
from rddlite.net import monitor, serve
from rddlite.net.address import LOOPBACK, parse_tcp
from rddlite.net.auth import KeyPair, create_keys, secure_client
from rddlite.net.fetch import Fetcher
from rddlite.net.serve import BlockServer
from rddlite.net.transfer import (
    MAX_CHUNK,
    WHOLE,
    Arrival,
    BlockMissing,
    ByteRange,
    Cancel,
    Chunk,
    Credit,
    Fetch,
    Gone,
    ItemFailed,
    NoSuchBlock,
    NotAnswered,
    Piece,
    Source,
    Unreachable,
    Wanted,
)
from rddlite.net.wire import decode_to_receiver, encode_to_sender
from tests.helpers.cluster import wait_until
from tests.helpers.sockets import closed_port
from tests.helpers.strangers import is_ended, n_descriptors, raw

KEYS = create_keys()
SIZE = 6 << 20
CONTENT = random.Random(1).randbytes(SIZE)
PART = 10_000
"""Size of the parts that are served by number."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., BlockServer]]:
    """Starts servers of the content: as a whole, in parts by number; and of what is not there."""

    def resolve(block: str, part: int) -> ByteRange:
        if block != "content":
            raise NoSuchBlock(f"{block} is not here")
        if part == WHOLE:
            return ByteRange(str(path), 0, SIZE, 7)
        return ByteRange(str(path), part * PART, PART, part)

    with ExitStack() as stack:

        def start(**options: Any) -> BlockServer:
            options.setdefault("resolve", resolve)
            server = BlockServer(LOOPBACK, KEYS.executors, [KEYS.executors.public], **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    fetcher = Fetcher(KEYS.executors, timeout=3600)
    yield fetcher
    fetcher.close()


def source_of(server: BlockServer, name: str = "executor 1") -> Source:
    return Source(name, server.address, KEYS.executors.public)


def whole(stream: Any, index: int = 0) -> bytes:
    """The next part of a source."""
    data = b""
    while True:
        arrival: Arrival = stream.take(index)
        assert arrival.offset == len(data)
        data += arrival.data
        if arrival.is_last:
            return data


def part(number: int) -> bytes:
    return CONTENT[number * PART : (number + 1) * PART]


def parts(*numbers: int) -> list[Wanted]:
    return [Wanted("content", number) for number in numbers]


def test_one_source_one_part(start, fetcher):
    stream = fetcher.stream([(source_of(start()), parts(WHOLE))])
    assert whole(stream) == CONTENT


def test_parts_come_in_order_with_their_length_and_records(start, fetcher):
    stream = fetcher.stream([(source_of(start()), parts(5, 3, 9))])
    arrivals = [stream.take(0) for _ in range(3)]
    assert [(each.item, each.length, each.count) for each in arrivals] == [(0, PART, 5), (1, PART, 3), (2, PART, 9)]
    assert [bytes(each.data) for each in arrivals] == [part(5), part(3), part(9)]


def test_a_stream_may_start_within_a_part(start, fetcher):
    arrival = fetcher.stream([(source_of(start()), parts(4))], offset=9000).take(0)
    assert (arrival.offset, bytes(arrival.data)) == (9000, part(4)[9000:])


@pytest.mark.parametrize("n_sources", [1, 20])
def test_bytes_in_flight_never_exceed_the_window(start, n_sources):
    """Counted at both ends: what was allowed, and what the servers really sent beyond what was taken."""
    window = 2 << 20
    fetcher = Fetcher(KEYS.executors, window=window, timeout=3600)
    servers = [start() for _ in range(n_sources)]
    stream = fetcher.stream([(source_of(server, f"executor {i}"), parts(WHOLE)) for i, server in enumerate(servers)])
    left = dict.fromkeys(range(n_sources), SIZE)
    taken = 0
    turns = random.Random(3)
    while left:
        index = turns.choice(list(left))
        size = len(stream.take(index).data)
        taken += size
        left[index] -= size
        if not left[index]:
            del left[index]
        assert fetcher.in_flight <= window
        assert sum(server.served for server in servers) - taken <= window
    assert taken == n_sources * SIZE
    fetcher.close()


def test_what_is_not_taken_stops_the_source(start, fetcher):
    fetcher = Fetcher(KEYS.executors, window=1 << 20, timeout=3600)
    server = start()
    stream = fetcher.stream([(source_of(server), parts(WHOLE))])
    stream.take(0)
    until_same(lambda: server.served)
    assert server.served <= (1 << 20) + MAX_CHUNK
    assert whole_rest(stream) == SIZE
    fetcher.close()


def until_same(value: Callable[[], int]) -> None:
    """Wait until a number stands still."""
    before = -1
    while (now := value()) != before:
        before = now
        time.sleep(0.1)


def whole_rest(stream: Any) -> int:
    while not (arrival := stream.take(0)).is_last:
        pass
    return arrival.offset + len(arrival.data)


def test_two_streams_taken_in_turns_do_not_wait_for_each_other(start):
    """The second finds the whole window in use by the first."""
    fetcher = Fetcher(KEYS.executors, window=1 << 20, timeout=3600)
    source = source_of(start())
    streams = [fetcher.stream([(source, parts(WHOLE))]) for _ in range(2)]
    got = [b"", b""]
    while len(got[0]) < SIZE or len(got[1]) < SIZE:
        for i, stream in enumerate(streams):
            if len(got[i]) < SIZE:
                got[i] += stream.take(0).data
    assert got == [CONTENT, CONTENT]
    fetcher.close()


def test_a_missing_part_is_told_and_the_next_ones_follow(start, fetcher):
    wanted = [*parts(1), Wanted("other", 0), *parts(2)]
    stream = fetcher.stream([(source_of(start()), wanted)])
    assert whole(stream) == part(1)
    with pytest.raises(BlockMissing, match="other is not here") as caught:
        stream.take(0)
    assert (caught.value.item, caught.value.source.name) == (1, "executor 1")
    assert whole(stream) == part(2)


def test_what_the_server_stumbles_over_is_told(start, fetcher, caplog):
    def resolve(block: str, part: int) -> ByteRange:
        raise ZeroDivisionError("a bug")

    source = source_of(start(resolve=resolve))
    for _ in range(2):
        with pytest.raises(BlockMissing, match="ZeroDivisionError: a bug"):
            fetcher.stream([(source, parts(1))]).take(0)
    assert "cannot be served" in caplog.text


def test_a_file_that_is_cut_short_while_it_is_served(start, path):
    fetcher = Fetcher(KEYS.executors, window=1 << 20, timeout=3600)
    stream = fetcher.stream([(source_of(start()), parts(WHOLE))])
    stream.take(0)
    os.truncate(path, 2 << 20)
    with pytest.raises(BlockMissing, match="early"):
        whole_rest(stream)
    fetcher.close()


def test_a_file_that_is_deleted_while_it_is_served(start, path):
    fetcher = Fetcher(KEYS.executors, window=1 << 20, timeout=3600)
    stream = fetcher.stream([(source_of(start()), parts(WHOLE))])
    stream.take(0)
    path.unlink()
    with pytest.raises(BlockMissing, match="No such file"):
        whole_rest(stream)
    fetcher.close()


def test_into_a_file(start, fetcher, tmp_path):
    with open(tmp_path / "copy", "wb") as file:
        assert fetcher.fetch_to(source_of(start()), Wanted("content", WHOLE), file) == 7
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_thousands_of_small_parts(start, fetcher):
    numbers = [i % 600 for i in range(4000)]
    stream = fetcher.stream([(source_of(start()), parts(*numbers))])
    assert all(whole(stream) == part(number) for number in numbers)


def test_questions(start, fetcher):
    def answer(topic: str, body: bytes) -> bytes:
        if topic == "twice":
            return 2 * body
        if topic == "bug":
            raise ZeroDivisionError("a bug")
        raise NoSuchBlock("never heard of it")

    source = source_of(start(answer=answer))
    assert fetcher.ask(source, "twice", b"ab") == b"abab"
    for topic, why in [("other", "never heard"), ("bug", "ZeroDivisionError"), ("twice", "more than")]:
        with pytest.raises(NotAnswered, match=why):
            fetcher.ask(source, topic, bytes(600_000))
    assert fetcher.ask(source, "twice", b"") == b""
    with pytest.raises(NotAnswered, match="nobody"):
        fetcher.ask(source_of(start()), "twice")


def test_more_lines_than_are_kept_open(start, monkeypatch):
    monkeypatch.setattr("rddlite.net.lines._MOST_LINES", 3)
    fetcher = Fetcher(KEYS.executors, timeout=3600)
    sources = [source_of(start(), f"executor {i}") for i in range(6)]
    for _ in range(2):
        for source in sources:
            assert whole(fetcher.stream([(source, parts(1))])) == part(1)
            fetcher.settle()
    assert len(fetcher._lines.sources()) == 3
    streams = fetcher.stream([(source, parts(2)) for source in sources])
    assert [whole(streams, i) for i in range(6)] == [part(2)] * 6
    fetcher.close()


def test_nobody_waits_for_more_than_was_asked_for(start, fetcher):
    stream = fetcher.stream([(source_of(start()), parts(1))])
    stream.take(0)
    with pytest.raises(LocalProtocolError, match="has been taken"):
        stream.take(0)


def test_a_stream_that_was_closed_gives_nothing(start, fetcher):
    stream = fetcher.stream([(source_of(start()), parts(WHOLE))])
    stream.take(0)
    stream.close()
    with pytest.raises(InternalError, match="has ended"):
        stream.take(0)
    fetcher.settle()
    assert fetcher.in_flight == 0


def test_settling_ends_all_streams_and_keeps_the_lines(start, fetcher):
    source = source_of(start())
    stream = fetcher.stream([(source, parts(WHOLE))])
    stream.take(0)
    fetcher.settle()
    assert fetcher.in_flight == 0
    with pytest.raises(InternalError, match="has ended"):
        stream.take(0)
    stream.close()
    assert whole(fetcher.stream([(source, parts(3))])) == part(3)
    assert fetcher._lines.sources() == [source]


def test_a_fetcher_can_be_closed_and_used_again(start, fetcher):
    source = source_of(start())
    stream = fetcher.stream([(source, parts(WHOLE))])
    fetcher.close()
    fetcher.close()
    with pytest.raises(InternalError):
        stream.take(0)
    assert whole(fetcher.stream([(source, parts(1))])) == part(1)


def test_nobody_listens(fetcher):
    with closed_port() as port:
        source = Source("executor 9", f"tcp://127.0.0.1:{port}", KEYS.executors.public)
        with pytest.raises(Unreachable, match=r"executor 9 at tcp.*connection refused \(tried 3 times in") as caught:
            fetcher.stream([(source, parts(1))]).take(0)
        assert caught.value.source == source
        with pytest.raises(Unreachable, match="refused"):
            fetcher.ask(source, "anything")


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "\ud800", "ipc:///tmp/nobody", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1\0", "tcp://*:9"],
)
def test_no_address_at_all(fetcher, address):
    with pytest.raises(Unreachable, match="cannot be connected to"):
        fetcher.stream([(Source("executor 9", address, KEYS.executors.public), parts(1))]).take(0)
    with pytest.raises(Unreachable, match="cannot be connected to"):
        fetcher.ask(Source("executor 9", address), "anything")


def test_an_endpoint_that_is_taken(start):
    with pytest.raises(ProviderError, match="cannot be served"):
        BlockServer(start().address, KEYS.executors, [], lambda block, part: ByteRange("", 0, 0, 0))


@pytest.mark.parametrize("own", [create_keys().executors, None], ids=["other keys", "no keys"])
def test_who_has_no_key_of_the_application_gets_nothing(start, own):
    server = start()
    fetcher = Fetcher(own, timeout=3600)
    with pytest.raises(Unreachable):
        fetcher.stream([(source_of(server), parts(1))]).take(0)
    assert server.served == 0
    fetcher.close()


def test_a_server_without_the_key_that_is_expected_is_not_believed(path, fetcher):
    impostor = create_keys().executors
    server = BlockServer(LOOPBACK, impostor, [KEYS.executors.public], lambda block, part: ByteRange(str(path), 0, 9, 0))
    with pytest.raises(Unreachable, match="tried"):
        fetcher.stream([(source_of(server), parts(1))]).take(0)
    assert server.served == 0
    server.close()


# Strangers with a key: whatever they send, others are served


class Stranger:
    """A peer that owns a key and says what it likes."""

    def __init__(self, server: BlockServer, own: KeyPair = KEYS.executors) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        secure_client(self.socket, own, KEYS.executors.public)
        self.socket.connect(server.address)

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *exception: object) -> None:
        self._context.destroy(linger=0)

    def say(self, message: Any) -> None:
        self.socket.send(encode_to_sender(message))

    def hear(self) -> Any:
        header, *data = self.socket.recv_multipart()
        return decode_to_receiver(header), b"".join(data)


def test_garbage_is_counted_and_others_are_served(start, fetcher):
    server = start()
    with Stranger(server) as stranger:
        rubbish = [b"", b"\xc1", bytes(100), b"\x91\x00", encode_to_sender(Fetch(1, [], 0, 5)), bytes(1 << 20)]
        for data in rubbish:
            stranger.socket.send(data)
        stranger.socket.send_multipart([b"two", b"frames"])
        stranger.say(Fetch(1, parts(1), -1, 5))
        stranger.say(Credit(1, -5))
        stranger.say(Cancel(77))
        stranger.say(Fetch(2, parts(1), 0, 1 << 62))
        assert stranger.hear()[0] == Gone(1)
        assert stranger.hear() == (Chunk(2, [Piece(0, PART, 1, 0, PART)]), part(1))
    assert server.refused == len(rubbish) + 2
    assert whole(fetcher.stream([(source_of(server), parts(1))])) == part(1)


def test_an_oversized_frame_ends_the_connection_and_nothing_else(start, fetcher):
    server = start()
    with Stranger(server) as stranger:
        stranger.socket.send(bytes(2 << 20))
        stranger.say(Fetch(1, parts(1), 0, 5))
        assert whole(fetcher.stream([(source_of(server), parts(1))])) == part(1)
    assert server.refused == 0


def test_a_request_number_is_used_once_at_a_time_and_credit_never_falls(start):
    server = start()
    with Stranger(server) as stranger:
        stranger.say(Fetch(1, parts(1), 0, 10))
        assert len(stranger.hear()[1]) == 10
        stranger.say(Fetch(1, parts(2), 0, 10))
        stranger.say(Credit(1, 9))
        stranger.say(Credit(1, 12))
        assert stranger.hear() == (Chunk(1, [Piece(0, PART, 1, 10, 2)]), part(1)[10:12])
    assert server.refused == 2


def test_what_came_to_nothing_does_not_make_the_server_forget_what_came_after_it(start):
    with Stranger(start()) as stranger:
        for nothing in (Cancel(1), Credit(1, 5), Cancel(1)):
            stranger.say(nothing)
        stranger.say(Fetch(2, parts(1), 0, 5))
        assert stranger.hear()[0] == Gone(1)
        assert len(stranger.hear()[1]) == 5
        stranger.say(Credit(2, 9))
        assert stranger.hear() == (Chunk(2, [Piece(0, PART, 1, 5, 4)]), part(1)[5:9])


def test_a_request_may_begin_at_any_byte_and_is_told_of_those_that_are_none(start):
    server = start()
    with Stranger(server) as stranger:
        for number, offset in enumerate([PART, PART + 1, (1 << 64) - 1]):
            stranger.say(Fetch(number, parts(1, 2), offset, 5))
            why = f"it ends at byte {PART}: nothing is at byte {offset}"
            assert stranger.hear() == (Chunk(number, [ItemFailed(0, why)]), b"")
            assert stranger.hear() == (Chunk(number, [Piece(1, PART, 2, 0, 5)]), part(2)[:5])
    assert server.refused == 0


def test_credit_beyond_all_measure_brings_no_more_than_there_is(start):
    server = start()
    with Stranger(server) as stranger:
        stranger.say(Fetch(1, parts(1), 0, (1 << 64) - 1))
        assert stranger.hear()[1] == part(1)
        stranger.say(Credit(1, (1 << 64) - 1))
        assert stranger.hear()[0] == Gone(1)
    assert server.served == PART


def test_a_peer_that_reads_nothing_costs_little_and_stops_nobody(start, fetcher):
    server = start()
    with Stranger(server) as stranger:
        for number in range(20):
            stranger.say(Fetch(number, parts(WHOLE), 0, 1 << 40))
        for _ in range(3):
            assert whole(fetcher.stream([(source_of(server), parts(WHOLE))])) == CONTENT
            assert server.queued <= 2 * serve._MOST_OF_A_PEER + MAX_CHUNK


def test_requests_of_one_peer_are_bounded(start):
    server = start()
    with Stranger(server) as stranger:
        for number in range(serve._REQUESTS_OF_A_PEER + 10):
            stranger.say(Fetch(number, parts(1), 0, 0))
        stranger.say(Cancel(0))
        stranger.say(Fetch(9999, parts(1), 0, 5))
        assert stranger.hear()[0].request == 9999
    assert server.refused == 10


def test_requests_of_a_silent_peer_are_forgotten(start, monkeypatch):
    monkeypatch.setattr(serve, "_IDLE", 0.05)
    with Stranger(start()) as stranger:
        stranger.say(Fetch(1, parts(1), 0, 5))
        assert len(stranger.hear()[1]) == 5
        assert stranger.hear()[0] == Gone(1)


def test_a_stream_goes_on_after_its_request_was_forgotten(start, monkeypatch):
    server = start()
    fetcher = Fetcher(KEYS.executors, window=1 << 20, timeout=3600)
    stream = fetcher.stream([(source_of(server), parts(WHOLE))])
    got = bytes(stream.take(0).data)
    until_same(lambda: server.served)
    monkeypatch.setattr(serve, "_IDLE", 0.05)
    server._inbox.post(None)  # it looks at once
    while server._peers:
        time.sleep(0.01)
    while len(got) < SIZE:
        got += stream.take(0).data
    assert got == CONTENT
    fetcher.close()


def test_closing_gives_everything_back(path):
    before = n_descriptors()
    fetcher = Fetcher(KEYS.executors, timeout=3600)
    for _ in range(3):
        server = BlockServer(
            LOOPBACK, KEYS.executors, [KEYS.executors.public], lambda block, part: ByteRange(str(path), 0, SIZE, 0)
        )
        stream = fetcher.stream([(source_of(server), parts(WHOLE))])
        stream.take(0)
        server.close()
        server.close()
        fetcher.close()
    warm = n_descriptors()  # pyzmq keeps a thread for memory that is not copied, once in a process
    server = BlockServer(LOOPBACK, KEYS.executors, [], lambda block, part: ByteRange(str(path), 0, SIZE, 0))
    server.close()
    assert n_descriptors() == warm
    assert warm - before < 16


def test_who_says_nothing_is_not_kept(start, monkeypatch):
    monkeypatch.setattr(monitor, "_HANDSHAKE_MS", 200)
    with raw(parse_tcp(start().address), b"") as stranger:
        wait_until(lambda: is_ended(stranger), "the server ends the connection")


# What breaks in


class BreaksIn(BaseException):
    """As the end of a killed task does."""


def _break_in(number: int, frame: FrameType | None) -> None:
    raise BreaksIn


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    before = signal.signal(signal.SIGALRM, _break_in)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Unclosed socket:ResourceWarning")
def test_an_exception_at_any_moment_leaves_it_usable(start, fetcher, alarm):
    sources = [source_of(start(), f"executor {i}") for i in range(3)]
    chance = random.Random(7)
    n_broken = 0
    descriptors = []
    for _ in range(150):
        try:
            alarm(chance.uniform(0.0002, 0.02))
            much = parts(*range(50), *[WHOLE] * 20)  # more than comes before the alarm, however fast this machine is
            stream = fetcher.stream([(source, much) for source in sources])
            for i in itertools.cycle(range(3)):
                stream.take(i)
        except BreaksIn:
            n_broken += 1
        except LocalProtocolError:  # everything came, or the alarm went off where Python drops exceptions
            alarm(0)
        descriptors.append(n_descriptors())
        chosen = chance.randrange(3)
        assert whole(fetcher.stream([(sources[chosen], parts(chosen))])) == part(chosen)
    assert n_broken > 100
    assert max(descriptors[75:]) <= max(descriptors[:75]) + 20
    fetcher.settle()
    assert fetcher.in_flight == 0


def test_a_forked_child_has_connections_of_its_own(start, fetcher):
    source = source_of(start())
    stream = fetcher.stream([(source, parts(WHOLE))])
    stream.take(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if whole(fetcher.stream([(source, parts(1))])) == part(1) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert whole_rest(stream) == SIZE


class Making:
    """A part that is being made until `done` is called."""

    def __init__(self, place: ByteRange | None, until: float = math.inf) -> None:
        self.until = until
        self._place = place
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def done(self) -> None:
        os.write(self._write, b"x")

    def place(self) -> ByteRange:
        if self._place is None:
            raise NoSuchBlock("it could not be made")
        return self._place

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.mark.parametrize("is_made", [True, False])
def test_what_is_being_made_holds_up_nobody_else(
    start: Callable[..., BlockServer], path: Path, fetcher: Fetcher, *, is_made: bool
) -> None:
    with closing(Making(ByteRange(str(path), 0, PART, 0) if is_made else None)) as making:

        def resolve(block: str, part: int) -> ByteRange | Making:
            return making if block == "slow" else ByteRange(str(path), part * PART, PART, part)

        source = source_of(start(resolve=resolve))
        with (
            closing(fetcher.stream([(source, [Wanted("slow", 0)])])) as slow,
            closing(fetcher.stream([(source, [Wanted("slow", 0)])])) as as_slow,
            closing(fetcher.stream([(source, [Wanted("content", 3)])])) as other,
        ):
            assert whole(other) == part(3)
            making.done()
            for each in (slow, as_slow):
                if is_made:
                    assert whole(each) == part(0)
                else:
                    with pytest.raises(BlockMissing, match="could not be made"):
                        whole(each)


def test_what_is_not_made_in_time_is_not_there(start: Callable[..., BlockServer], fetcher: Fetcher) -> None:
    with closing(Making(None, until=0.0)) as making:
        source = source_of(start(resolve=lambda block, part: making))
        with (
            closing(fetcher.stream([(source, [Wanted("slow", 0)])])) as slow,
            pytest.raises(BlockMissing, match="could not be made"),
        ):
            whole(slow)
