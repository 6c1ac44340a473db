"""What comes from a worker: frames however they are cut, and nothing else for long."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.executor.channel import ATTEMPT, ChannelBroken, Frame, FrameReader, Kind, decode_name, encode_name
from rddlite.net.wire import MAX_OUTCOME
from tests.helpers.values import TEXT

FRAMES = st.one_of(
    st.tuples(st.just(Kind.HELLO), st.binary(min_size=8, max_size=8)),
    st.tuples(st.sampled_from([Kind.ENDED, Kind.ENDED_WITH_OUTPUT]), st.binary(min_size=8, max_size=60)),
    st.tuples(st.just(Kind.BLOCKS), st.binary(max_size=60)),
    st.tuples(st.just(Kind.SYNCED), st.just(b"")),
)


def packed(frame: Frame) -> bytes:
    kind, body = frame
    return struct.pack("<BQ", kind, len(body)) + body


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 300), max_size=8))
def test_frames_come_out_whole_and_in_order_however_they_were_cut(frames, cuts):
    reader = FrameReader()
    found = [frame for piece in in_pieces(b"".join(map(packed, frames)), cuts) for frame in reader.feed(piece)]
    assert found == frames


@given(st.lists(st.binary(max_size=40) | FRAMES.map(packed), max_size=6))
def test_any_bytes_are_frames_of_a_worker_or_end_the_channel(pieces):
    reader = FrameReader()
    try:
        for piece in pieces:
            for kind, body in reader.feed(piece):
                assert kind in (Kind.HELLO, Kind.ENDED, Kind.ENDED_WITH_OUTPUT, Kind.BLOCKS, Kind.SYNCED)
                assert kind in (Kind.SYNCED, Kind.BLOCKS) or len(body) >= ATTEMPT.size
    except ChannelBroken:
        pass


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (Kind.HELLO, 7),
        (Kind.HELLO, 9),
        (Kind.ENDED, 7),
        (Kind.ENDED, MAX_OUTCOME + 9),
        (Kind.ENDED, (1 << 64) - 1),
        (Kind.ENDED_WITH_OUTPUT, 7),
        (Kind.SYNCED, 1),
        (Kind.TASK, 0),
        (Kind.AHEAD, 0),
        (0, 0),
        (255, 8),
    ],
)
@pytest.mark.parametrize("before", [b"", packed((Kind.SYNCED, b""))[:5]])
def test_what_no_worker_says_is_refused_by_its_header(kind, length, before):
    reader = FrameReader()
    reader.feed(before)
    with pytest.raises(ChannelBroken, match=r"a frame of kind \d+ with \d+ bytes is nothing that a worker says"):
        reader.feed(packed((Kind.SYNCED, b""))[len(before) :] + struct.pack("<BQ", kind, length))


@given(TEXT)
def test_blobs_may_have_any_name(name):
    assert decode_name(encode_name(name)) == name
