"""Both halves of a transfer: the same bytes by every way in which chunks, credit and broken lines can interleave."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import LocalProtocolError, RemoteProtocolError
from rddlite.net import wire
from rddlite.net.transfer import (
    MAX_WANTED,
    Answer,
    Arrival,
    Chunk,
    Credit,
    Fetch,
    ItemFailed,
    Piece,
    Receiver,
    Sender,
    ToReceiver,
    ToSender,
    Wanted,
)
from tests.unit.net.test_wire import values_of

CONTENT = random.Random(5).randbytes(5000)


class Blocks:
    """What a sender serves: for each part its bytes, or None where there are none."""

    def __init__(self, lengths: list[int | None]) -> None:
        self.parts = [None if length is None else CONTENT[i : i + length] for i, length in enumerate(lengths)]
        self.wanted = [Wanted("b", i) for i in range(len(lengths))]

    def next_chunk(self, sender: Sender, room: int, most_parts: int = 3) -> tuple[Chunk, bytes] | None:
        """As the server does it."""
        parts: list[Piece | ItemFailed] = []
        data = b""
        while sender.is_ready and len(parts) < most_parts:
            unknown = sender.unknown
            if unknown is not None:
                content = self.parts[unknown.part]
                if content is None:
                    parts.append(sender.failed("not here"))
                    continue
                sender.found(len(content), unknown.part)
            piece = sender.cut(room - len(data))
            if piece is None:
                break
            if isinstance(piece, Piece):
                content = self.parts[piece.count]
                assert content is not None
                data += content[piece.offset : piece.offset + piece.size]
                sender.sent(piece)
            parts.append(piece)
        return (Chunk(sender.request, parts), data) if parts else None


LENGTHS = st.lists(st.one_of(st.none(), st.integers(0, 60)), min_size=1, max_size=12)


@given(LENGTHS, st.data())
def test_the_same_bytes_by_every_way(lengths, data):
    """Whatever is delayed, cut small, granted late or lost with its line, each part arrives once and whole."""
    blocks = Blocks(lengths)
    receiver = Receiver(blocks.wanted)
    got: dict[int, bytes] = {}
    failed: list[int] = []
    to_sender: list[Fetch | Credit] = []
    to_receiver: list[tuple[Chunk, bytes]] = []
    sender: Sender | None = None
    n_asked = 0
    steps = ["connect", "deliver", "grant", "send", "arrive", "break"]
    n_steps = 0
    while not receiver.is_finished:
        n_steps += 1
        step = data.draw(st.sampled_from(steps)) if n_steps < 60 else steps[n_steps % 5]
        if step == "break":
            receiver.lost()
            sender, to_sender, to_receiver = None, [], []
            n_asked += 1
            to_sender.append(receiver.ask(n_asked, data.draw(st.integers(0, 40))))
        elif step == "connect" and not n_asked:
            n_asked = 1
            to_sender.append(receiver.ask(1, 5))
        elif step == "grant" and n_asked and not receiver.due:
            to_sender.append(receiver.grant(data.draw(st.integers(1, 40)) if n_steps < 60 else 40))
        elif step == "deliver" and to_sender:
            message = wire.decode_to_sender(wire.encode_to_sender(to_sender.pop(0)))
            if isinstance(message, Fetch):
                sender = Sender(message)
            elif sender is not None:
                sender.allow(message.credit)
        elif step == "send" and sender is not None:
            chunk = blocks.next_chunk(sender, data.draw(st.integers(1, 50)) if n_steps < 60 else 50)
            if chunk is not None:
                to_receiver.append(chunk)
        elif step == "arrive" and to_receiver:
            header, content = to_receiver.pop(0)
            chunk_again = wire.decode_to_receiver(wire.encode_to_receiver(header))
            assert isinstance(chunk_again, Chunk)
            for arrival in receiver.receive(chunk_again, memoryview(content)):
                if isinstance(arrival, ItemFailed):
                    failed.append(arrival.item)
                else:
                    assert len(got.setdefault(arrival.item, b"")) == arrival.offset
                    assert (arrival.length, arrival.count) == (lengths[arrival.item], arrival.item)
                    got[arrival.item] += arrival.data
    assert got == {i: part for i, part in enumerate(blocks.parts) if part is not None}
    assert failed == [i for i, length in enumerate(lengths) if length is None]
    assert receiver.due == 0
    assert receiver.held == sum(len(part) for part in got.values())


@given(LENGTHS, st.integers(1, 30), st.integers(1, 30))
def test_never_more_than_was_allowed(lengths, first, step):
    blocks = Blocks(lengths)
    sender = Sender(Fetch(1, blocks.wanted, 0, first))
    allowed, came = first, 0
    while not sender.is_finished:
        chunk = blocks.next_chunk(sender, 100)
        if chunk is None:
            allowed += step
            sender.allow(allowed)
        else:
            came += len(chunk[1])
            assert came <= allowed


def test_small_parts_share_a_chunk_and_a_large_one_takes_several():
    blocks = Blocks([3, 0, 4, 25])
    sender = Sender(Fetch(9, blocks.wanted, 0, 100))
    chunks = []
    while not sender.is_finished:
        chunks.append(blocks.next_chunk(sender, 10, most_parts=9))
    assert [[piece.size for piece in chunk.parts] for chunk, _ in chunks] == [[3, 0, 4, 3], [10], [10], [2]]


def test_it_starts_at_the_offset_of_the_first_part():
    blocks = Blocks([10, 5])
    sender = Sender(Fetch(1, blocks.wanted, 7, 100))
    chunk, data = blocks.next_chunk(sender, 100)
    assert [(piece.offset, piece.size) for piece in chunk.parts] == [(7, 3), (0, 5)]
    assert data == blocks.parts[0][7:] + blocks.parts[1]


@pytest.mark.parametrize("offset", [10, 11])
def test_a_part_that_ends_before_the_offset_has_failed(offset):
    sender = Sender(Fetch(1, [Wanted("b", 0)], offset, 100))
    sender.found(10, 1)
    failure = sender.cut(100)
    assert isinstance(failure, ItemFailed)
    assert "10" in failure.why
    assert sender.is_finished


def test_what_fails_midway_is_told_and_the_next_part_follows():
    sender = Sender(Fetch(1, [Wanted("b", 0), Wanted("b", 1)], 0, 100))
    receiver = Receiver([Wanted("b", 0), Wanted("b", 1)])
    receiver.ask(1, 100)
    sender.found(10, 1)
    piece = sender.cut(4)
    sender.sent(piece)
    failure = sender.failed("cut short")
    sender.found(2, 1)
    last = sender.cut(9)
    arrivals = receiver.receive(Chunk(1, [piece, failure, last]), memoryview(b"abcdef"))
    assert [type(arrival) for arrival in arrivals] == [Arrival, ItemFailed, Arrival]
    assert arrivals[1] == ItemFailed(0, "cut short")
    assert (bytes(arrivals[2].data), arrivals[2].is_last) == (b"ef", True)
    assert receiver.is_finished


@pytest.mark.parametrize(
    "fetch",
    [
        Fetch(1, [], 0, 1),
        Fetch(1, [Wanted("b", 0)] * (MAX_WANTED + 1), 0, 1),
        Fetch(1, [Wanted("b", 0)], -1, 1),
        Fetch(1, [Wanted("b", 0)], 0, -1),
    ],
)
def test_requests_that_cannot_be(fetch):
    with pytest.raises(RemoteProtocolError):
        Sender(fetch)


def test_credit_never_falls():
    sender = Sender(Fetch(1, [Wanted("b", 0)], 0, 10))
    sender.allow(10)
    with pytest.raises(RemoteProtocolError, match="fall"):
        sender.allow(9)


def test_more_parts_than_a_request_may_name():
    with pytest.raises(LocalProtocolError):
        Receiver([Wanted("b", 0)] * (MAX_WANTED + 1))


GOOD = Piece(0, 10, 2, 0, 4)


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        ([], 0),
        ([Piece(1, 10, 2, 0, 4)], 4),  # not what comes next
        ([Piece(-1, 10, 2, 0, 4)], 4),
        ([Piece(0, 10, 2, 1, 4)], 4),  # a hole
        ([Piece(0, 3, 2, 0, 4)], 4),  # longer than itself
        ([Piece(0, -1, 2, 0, 0)], 0),
        ([Piece(0, 10, -2, 0, 4)], 4),
        ([Piece(0, 10, 2, 0, -4)], 0),
        ([Piece(0, 10, 2, 0, 0)], 0),  # nothing, of something
        ([GOOD], 3),  # other bytes than it says
        ([GOOD], 5),
        ([Piece(0, 50, 2, 0, 21)], 21),  # more than was allowed
        ([GOOD, Piece(0, 11, 2, 4, 4)], 8),  # another length than before
        ([GOOD, Piece(0, 10, 3, 4, 4)], 8),
        ([Piece(0, 0, 0, 0, 0), Piece(1, 0, 0, 0, 0), Piece(2, 0, 0, 0, 0)], 0),  # more parts than were wanted
        ([ItemFailed(1, "")], 0),
        ([GOOD, ItemFailed(2, "")], 4),
    ],
)
def test_chunks_that_cannot_be_change_nothing(parts, size):
    receiver = Receiver([Wanted("b", 0), Wanted("b", 1)])
    receiver.ask(1, 20)
    with pytest.raises(RemoteProtocolError):
        receiver.receive(Chunk(1, parts), memoryview(bytes(size)))
    assert (receiver.due, receiver.held) == (20, 0)
    (arrival,) = receiver.receive(Chunk(1, [GOOD]), memoryview(b"abcd"))
    assert (arrival.offset, bytes(arrival.data)) == (0, b"abcd")


def test_a_chunk_of_an_earlier_request_is_not_taken():
    receiver = Receiver([Wanted("b", 0)])
    receiver.ask(1, 20)
    receiver.lost()
    assert receiver.due == 0
    receiver.ask(2, 20)
    with pytest.raises(RemoteProtocolError):
        receiver.receive(Chunk(1, [GOOD]), memoryview(bytes(4)))


def test_what_was_taken_is_not_held():
    receiver = Receiver([Wanted("b", 0)])
    receiver.ask(1, 20)
    receiver.receive(Chunk(1, [GOOD]), memoryview(bytes(4)))
    assert (receiver.due, receiver.held) == (16, 4)
    receiver.take(4)
    assert (receiver.due, receiver.held) == (16, 0)
    assert receiver.grant(4) == Credit(1, 24)


INTS = st.integers(-3, 12)
PARTS = st.lists(st.one_of(st.builds(Piece, INTS, INTS, INTS, INTS, INTS), st.builds(ItemFailed, INTS, st.text())))


@given(st.lists(st.tuples(st.integers(0, 2), PARTS, st.binary(max_size=12)), max_size=6))
def test_whatever_a_sender_says_is_taken_or_refused(messages):
    receiver = Receiver([Wanted("b", i) for i in range(3)])
    receiver.ask(1, 30)
    for request, parts, data in messages:
        try:
            receiver.receive(Chunk(request, parts), memoryview(data))
        except RemoteProtocolError:
            continue
    assert receiver.due >= 0
    assert receiver.held <= 30


@given(values_of(ToSender))
def test_what_receivers_say_survives_its_bytes(message):
    assert wire.decode_to_sender(wire.encode_to_sender(message)) == message


@given(values_of(ToReceiver))
def test_what_senders_say_survives_its_bytes(message):
    assert wire.decode_to_receiver(wire.encode_to_receiver(message)) == message


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data):
    for decode in (wire.decode_to_sender, wire.decode_to_receiver):
        try:
            decode(data)
        except RemoteProtocolError:
            continue


@given(values_of(ToSender), st.data())
def test_damaged_messages_are_refused_or_read(message, data):
    packed = bytearray(wire.encode_to_sender(message))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = wire.decode_to_sender(bytes(packed))
    except RemoteProtocolError:
        return
    if isinstance(decoded, Fetch):
        try:
            Sender(decoded)
        except RemoteProtocolError:
            return


def test_neither_side_takes_what_the_other_says():
    with pytest.raises(RemoteProtocolError):
        wire.decode_to_sender(wire.encode_to_receiver(Answer(1, b"x")))
    with pytest.raises(LocalProtocolError):
        wire.encode_to_sender(Answer(1, b""))
