"""A message is cut into as few frames as possible, and nothing else is put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import RemoteProtocolError
from rddlite.net import frames
from rddlite.net.frames import cut, join


@pytest.fixture(autouse=True, scope="module")
def _short_frames() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "MAX_FRAME", 4)
        yield


@given(st.binary(max_size=50))
def test_what_was_cut_is_joined(data):
    pieces = [bytes(frame) for frame in cut(data)]
    assert join(pieces) == data
    assert len(pieces) == max(1, -(-len(data) // 4))


def test_a_short_message_is_not_copied():
    data = bytes(4)
    assert cut(data)[0] is data
    assert join([data]) is data


@given(st.lists(st.binary(max_size=6), max_size=5))
def test_other_frames_are_refused(pieces):
    try:
        data = join(pieces)
    except RemoteProtocolError:
        return
    assert [bytes(frame) for frame in cut(data)] == pieces
