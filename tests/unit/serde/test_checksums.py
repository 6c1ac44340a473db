"""The checksum of large buffers: the same with and without numpy, and whatever changed is seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import CorruptBlock
from rddlite.serde import records as frames
from rddlite.serde.checksums import summed
from rddlite.serde.records import decode_frame, encode_records

ROW = 8 * 511


def content(length: int, seed: int) -> bytearray:
    return bytearray(np.random.default_rng(seed).bytes(length))


def without_numpy(data: bytearray, start: int = 0) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "numpy")
        return summed(data, start)


@given(st.integers(0, 3 * ROW), st.integers(0, 2**32 - 1))
def test_numpy_is_not_needed(length, start):
    data = content(length, length)
    assert summed(data, start) == without_numpy(data, start)


def test_sums_wrap_the_same_way():
    data = bytearray(b"\xff" * 2 * ROW)
    assert summed(data) == without_numpy(data)


@given(st.integers(1, 3 * ROW), st.data())
def test_every_flipped_bit_is_seen(length, data):
    before = content(length, length)
    bit = data.draw(st.integers(0, 8 * length - 1))
    after = bytearray(before)
    after[bit // 8] ^= 1 << bit % 8
    assert summed(after) != summed(before)


@pytest.mark.parametrize("number", [2.0, 2.0**-7, 1e300])
def test_a_row_that_was_lost_is_seen_although_it_held_one_number_only(number):
    data = bytearray(np.full(4 * 511, number).tobytes())
    before = summed(data)
    data[ROW : 2 * ROW] = bytes(ROW)
    assert summed(data) != before


def test_rows_that_changed_places_are_seen():
    data = content(3 * ROW, 1)
    assert summed(data[ROW : 2 * ROW] + data[:ROW] + data[2 * ROW :]) != summed(data)


def test_frames_with_large_buffers_are_checked_by_it(monkeypatch):
    monkeypatch.setattr(frames, "LARGE", 2 * ROW)
    arrays = [np.arange(3000.0), np.arange(700), np.arange(1999, dtype="i2")]
    whole = bytearray().join(encode_records(arrays))
    monkeypatch.setattr(frames, "LARGE", 1 << 30)
    assert bytes(whole) != b"".join(encode_records(arrays)), "small buffers have the checksum of their bytes"
    monkeypatch.setattr(frames, "LARGE", 2 * ROW)
    for found, array in zip(decode_frame(whole)[0].records(), arrays, strict=True):
        np.testing.assert_array_equal(found, array)
    for at in range(0, len(whole), 97):
        whole[at] ^= 16
        with pytest.raises(CorruptBlock):
            decode_frame(whole)
        whole[at] ^= 16
