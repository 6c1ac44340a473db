"""Sizes in one byte: what is lost, and what is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.sizes import decode_size, encode_size


@given(st.integers(0, 1 << 51))
def test_a_size_in_one_byte_is_off_by_at_most_ten_percent(size):
    code = encode_size(size)
    assert 0 <= code <= 255
    assert abs(decode_size(code) - size) <= 0.1 * size


def test_only_an_empty_bucket_has_size_zero():
    assert encode_size(0) == 0
    assert decode_size(0) == 0
    assert [decode_size(encode_size(size)) for size in (1, 2, 3)] == [1, 2, 3]


def test_sizes_keep_their_order_and_end_at_the_largest_code():
    codes = [encode_size(1 << shift) for shift in range(80)]
    assert codes == sorted(codes)
    assert codes[-1] == 255
