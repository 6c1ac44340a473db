"""Frames: round trips, damage found wherever it is, arrays without a copy, classes that others cannot import."""

from __future__ import annotations

import mmap
import sys
import threading
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import ConfigError, CorruptBlock, NestedRDD, NotPicklable
from rddlite.serde import closures
from rddlite.serde import records as frames
from rddlite.serde.compress import available
from rddlite.serde.records import (
    BatchSizer,
    Kind,
    decode_frame,
    encode_object,
    encode_pairs,
    encode_records,
    frame_size,
    iter_frames,
)

CODECS = available()
values = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False) | st.booleans(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def joined(pieces: list[Any]) -> bytearray:
    data = bytearray().join(pieces)
    assert len(data) == frame_size(pieces)
    assert len(data) % 8 == 0
    return data


@pytest.mark.parametrize("codec", CODECS)
@given(records=st.lists(values))
def test_records_round_trip(codec: str, records: list[Any]) -> None:
    data = joined(encode_records(records, codec))
    frame, end = decode_frame(data)
    assert end == len(data)
    assert (frame.kind, frame.count) == (Kind.RECORDS, len(records))
    assert frame.records() == records
    assert frame.records() == records


@pytest.mark.parametrize("codec", CODECS)
@given(pairs=st.lists(st.tuples(values, values)))
def test_pairs_round_trip(codec: str, pairs: list[Any]) -> None:
    keys, given_values = [k for k, _ in pairs], [v for _, v in pairs]
    frame, _ = decode_frame(joined(encode_pairs(keys, given_values, codec)))
    assert (frame.kind, frame.count) == (Kind.PAIRS, len(pairs))
    assert frame.records() == pairs
    assert frame.columns() == (keys, given_values)
    as_records, _ = decode_frame(joined(encode_records(pairs, codec)))
    assert as_records.columns() == (keys, given_values)


def test_an_object() -> None:
    frame, _ = decode_frame(joined(encode_object({"a": [1]})))
    assert (frame.kind, frame.count, frame.object(), frame.records()) == (Kind.OBJECT, 1, {"a": [1]}, [{"a": [1]}])
    with pytest.raises(ValueError, match="no single object"):
        decode_frame(joined(encode_records([1])))[0].object()


def test_any_sequence_is_a_batch() -> None:
    assert decode_frame(joined(encode_records((1, 2))))[0].records() == [1, 2]


def test_columns_have_one_length() -> None:
    with pytest.raises(ValueError, match="1 keys for 2 values"):
        encode_pairs([1], [1, 2])


def test_frames_follow_one_another() -> None:
    region = joined(encode_records([1])) + joined(encode_pairs(["k"], [2])) + joined(encode_records([]))
    assert [frame.records() for frame in iter_frames(region)] == [[1], [("k", 2)], []]
    assert list(iter_frames(b"")) == []
    assert decode_frame(region, decode_frame(region)[1])[0].records() == [("k", 2)]


def some_frames() -> list[bytearray]:
    array = np.arange(1000)
    made = [encode_records([array, "text", array[:3]])]
    made += [encode_records(["some text" * 40, 1, 2.5], codec) for codec in CODECS]
    made += [encode_records([array % 7] * 2, codec) for codec in CODECS]
    return [joined(pieces) for pieces in made]


plain = st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False) | st.booleans()


@given(st.lists(st.tuples(plain | st.text(), plain | st.text())), st.booleans())
def test_columns_of_texts_round_trip(pairs: list[Any], text_first: bool) -> None:
    pairs = [("a text", b"bytes")] * text_first + pairs
    keys, others = [k for k, _ in pairs], [v for _, v in pairs]
    loaded = decode_frame(joined(encode_pairs(keys, others)))[0].columns()
    assert loaded == (keys, others)
    assert [list(map(type, column)) for column in loaded] == [list(map(type, column)) for column in (keys, others)]
    assert decode_frame(joined(encode_records(keys)))[0].records() == keys


def test_a_text_that_comes_again_takes_little_room() -> None:
    text = "x" * 100
    assert frame_size(encode_pairs(list(range(1000)), [text] * 1000)) < 10_000
    assert frame_size(encode_pairs([text] * 1000, ["y" * 100] * 1000)) < 10_000


@pytest.mark.parametrize("data", some_frames())
def test_every_flipped_bit_is_found(data: bytearray) -> None:
    for position in range(len(data)):
        bit = 1 << position % 8
        data[position] ^= bit
        with pytest.raises(CorruptBlock, match="offset 0"):
            decode_frame(data)
        data[position] ^= bit
    assert decode_frame(data)


def test_every_bit_of_the_header_matters() -> None:
    data = joined(encode_records(["x"]))
    for position in range(8 * frames.HEADER_SIZE):
        data[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptBlock):
            decode_frame(data)
        data[position // 8] ^= 1 << position % 8


@pytest.mark.parametrize("data", some_frames())
def test_every_truncation_is_found(data: bytearray) -> None:
    first = joined(encode_records([1]))
    for length in range(1, len(data)):
        region = bytes(first + data[:length])
        reading = iter_frames(region)
        next(reading)
        with pytest.raises(CorruptBlock, match=f"offset {len(first)}"):
            next(reading)


def test_what_is_wrong_is_said() -> None:
    data = joined(encode_records([1]))
    with pytest.raises(CorruptBlock, match="no frame starts at offset 8"):
        decode_frame(data + data, 8)
    with pytest.raises(CorruptBlock, match="truncated frame at offset 999: 0 bytes of a header"):
        decode_frame(data, 999)
    newer = bytearray(data)
    newer[4] = 9
    newer[frames._HEAD.size : frames._HEAD.size + 4] = frames.zlib.crc32(newer[: frames._HEAD.size]).to_bytes(
        4, "little"
    )
    with pytest.raises(CorruptBlock, match="version 9"):
        decode_frame(newer)


def test_arrays_are_neither_written_nor_read_by_copy() -> None:
    array = np.arange(100_000)
    pieces = encode_records([("a", array)])
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), array) for piece in pieces if len(piece))
    data = joined(pieces)
    source = np.frombuffer(data, np.uint8)
    ((_, read),) = decode_frame(data)[0].records()
    assert np.shares_memory(read, source)
    assert read.flags.writeable
    assert read.flags.aligned
    assert np.array_equal(read, array)


def test_arrays_of_a_private_mapping_are_written_to_without_changing_the_file(tmp_path: Any) -> None:
    path = tmp_path / "block"
    path.write_bytes(joined(encode_records([np.zeros(10_000)])))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        (array,) = decode_frame(memoryview(mapped))[0].records()
        assert np.shares_memory(array, np.frombuffer(mapped, np.uint8))
        array += 1
        assert array.sum() == 10_000
        del array
    assert next(iter_frames(path.read_bytes())).records()[0].sum() == 0


@pytest.mark.parametrize("codec", CODECS)
def test_arrays_from_read_only_memory_are_the_readers_own(codec: str) -> None:
    data = bytes(joined(encode_records([np.zeros(10_000)], codec)))
    before = bytes(data)
    (first,) = decode_frame(data)[0].records()
    first += 1
    (second,) = decode_frame(data)[0].records()
    assert second.sum() == 0
    assert data == before


def test_read_only_arrays_stay_read_only() -> None:
    array = np.zeros(10_000)
    array.flags.writeable = False
    (read,) = decode_frame(joined(encode_records([array])))[0].records()
    assert not read.flags.writeable


def test_small_arrays_stay_in_the_pickle_and_shared_ones_are_written_once() -> None:
    small, large = np.arange(10), np.arange(10_000)
    assert len(encode_records([small] * 100)) <= 3  # header, pickle, padding
    frame, _ = decode_frame(joined(encode_records([large, large])))
    first, second = frame.records()
    assert first is second
    assert frame.raw_size < 2 * large.nbytes


@pytest.mark.parametrize("codec", CODECS)
def test_large_values_are_handed_on_and_come_back(codec: str) -> None:
    large = [bytes([i]) * (70_000 + i) for i in range(5)]
    mixed = [*large, b"small", large[0], "text" * 50_000, np.arange(10_000), [large[1]]]
    for records in (large, mixed, [(i, value) for i, value in enumerate(large)]):
        (frame,) = iter_frames(joined(encode_records(records, codec)))
        assert repr(frame.records()) == repr(records)
    (frame,) = iter_frames(joined(encode_pairs([1, 2], large[:2], codec)))
    assert frame.columns() == ([1, 2], large[:2])


def test_large_values_are_not_copied() -> None:
    large = [bytes([i]) * 70_000 for i in range(5)]
    assert all(any(piece is value for piece in encode_records(large)) for value in large)


def test_arrays_that_are_not_contiguous() -> None:
    array = np.arange(20_000).reshape(100, 200)
    read = decode_frame(joined(encode_records([array[:, ::2], array.T])))[0].records()
    assert np.array_equal(read[0], array[:, ::2])
    assert np.array_equal(read[1], array.T)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A `__main__` module as a user's script makes it."""
    module = types.ModuleType("__main__")
    exec(
        "import functools\nclass Point:\n    def __init__(self, x): self.x = x\ndef double(x): return 2 * x\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def test_records_of_the_users_script_are_read_elsewhere(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [encode_records([script.Point(1), script.double]), encode_pairs([1], [script.Point(1)])]
    data = [joined(pieces) for pieces in batches]
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    point, double = decode_frame(data[0])[0].records()
    assert (point.x, double(4)) == (1, 8)
    assert decode_frame(data[1])[0].records()[0][1].x == 1


def test_records_of_the_users_script_beside_large_values(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [(b"x" * 70_000, script.Point(3))]
    pieces = joined(encode_records(records))
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    (frame,) = iter_frames(pieces)
    assert frame.records()[0][1].x == 3


def test_text_that_looks_like_the_users_script_is_just_text(script: types.ModuleType) -> None:
    array = np.arange(1000)
    frame, _ = decode_frame(joined(encode_records(["__main__", array])))
    assert frame.records()[0] == "__main__"
    assert np.array_equal(frame.records()[1], array)


def test_in_executors_main_is_not_the_users(script: types.ModuleType) -> None:
    assert closures.main_is_the_users()
    script.__spec__ = types.SimpleNamespace(name="rddlite.executor.main")
    assert not closures.main_is_the_users()


def test_local_classes_and_functions_travel() -> None:
    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    large = np.arange(10_000)
    frame, _ = decode_frame(joined(encode_records([large, Local(3), lambda x: x + 1])))
    array, local, function = frame.records()
    assert np.array_equal(array, large)
    assert (local.x, function(1)) == (3, 2)


class Holder:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "Holder(" + "x" * 1000 + ")"


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(NotPicklable) as refused:
        encode_records([1, 2, ("key", Holder()), 4])
    text = str(refused.value)
    assert "('key', Holder(xxx" in text
    assert "cannot pickle '_thread.lock' object: reached through tuple -> [1] -> attribute 'lock'" in text
    assert len(text) < 600
    assert isinstance(refused.value.__cause__, TypeError)
    with pytest.raises(NotPicklable, match=r"tuple -> \[0\] -> attribute 'lock'"):
        encode_pairs([1, Holder()], [2, 3])
    with pytest.raises(NotPicklable, match=r"\[0\] -> attribute 'lock'"):
        encode_object([Holder()])


def test_deeply_nested_records_are_explained() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(NotPicklable, match="nested too deeply"):
        encode_records([1, deep])
    while deep:  # taken apart from outside, as freeing it would recurse in C
        deep = deep[0]


def test_recursive_records_round_trip() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    (read,) = decode_frame(joined(encode_records([loop])))[0].records()
    assert read[1] is read


class Refusing:
    def __reduce__(self) -> Any:
        raise NestedRDD("an RDD in a record")


class Hungry:
    def __reduce__(self) -> Any:
        raise MemoryError


def test_errors_on_purpose_pass_through() -> None:
    with pytest.raises(NestedRDD):
        encode_records([Refusing()])
    with pytest.raises(MemoryError):
        encode_records([Hungry()])


def test_unknown_codec() -> None:
    with pytest.raises(ConfigError):
        encode_records([1] * 1000, "snappy")


def test_batches_grow_to_the_target_and_shrink_again() -> None:
    sizer = BatchSizer(target_bytes=1000, max_records=500, first=2)
    sizes = [sizer.size]
    for record_bytes in [1] * 6 + [10] * 3 + [5000] * 2 + [100] * 4:
        sizer.saw(sizer.size, record_bytes * sizer.size)
        sizes.append(sizer.size)
    assert sizes == [2, 8, 32, 128, 500, 500, 500, 100, 100, 100, 1, 1, 4, 10, 10, 10]
    sizer.saw(0, 0)
    assert sizer.size == 10
    assert BatchSizer(max_records=3).size == 3
