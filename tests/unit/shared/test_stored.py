"""The file of a broadcast: what is written is read, whatever it is, and arrays are not copied."""

from __future__ import annotations

import gc
import sys
import threading
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import BroadcastId
from rddlite.errors import CorruptBlock, NestedRDD, NotPicklable
from rddlite.shared.pieces import PIECE_BYTES, BroadcastSpec, count_pieces, piece_span
from rddlite.shared.stored import read_value, write_value


class Rooms(list[int]):
    """What was mapped and let go, in bytes."""


def no_room(size: int) -> None:
    """Nobody counts."""


def round_trip(folder: Path, value: Any) -> Any:
    path = folder / "value"
    path.unlink(missing_ok=True)
    size, _ = write_value(str(path), value)
    assert path.stat().st_size == size
    return read_value(str(path), size, no_room)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(PLAIN)
def test_values_come_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    assert round_trip(tmp_path_factory.mktemp("stored"), value) == value


@pytest.mark.parametrize("n", [0, 1, 100, 5_000, 1_000_000])
def test_arrays_come_back_and_can_be_written_to(tmp_path: Path, n: int) -> None:
    made = {"a": np.arange(n), "b": [np.ones((n, 3)), "text"], "c": np.asfortranarray(np.eye(n % 997))}
    found = round_trip(tmp_path, made)
    np.testing.assert_array_equal(found["a"], made["a"])
    np.testing.assert_array_equal(found["b"][0], made["b"][0])
    np.testing.assert_array_equal(found["c"], made["c"])
    found["a"][:1] = 7
    found["b"][0][:1] = 7


def test_a_change_stays_with_who_made_it(tmp_path: Path) -> None:
    path = str(tmp_path / "value")
    size, _ = write_value(path, np.zeros(100_000))
    first, second = read_value(path, size, no_room), read_value(path, size, no_room)
    first[:] = 1
    assert second.sum() == 0
    assert read_value(path, size, no_room).sum() == 0


def test_arrays_that_cannot_be_changed_stay_so(tmp_path: Path) -> None:
    made = np.arange(100_000)
    made.flags.writeable = False
    assert not round_trip(tmp_path, made).flags.writeable


def test_who_maps_tells_how_much_and_when_it_is_over(tmp_path: Path) -> None:
    rooms = Rooms()
    path = str(tmp_path / "value")
    size, _ = write_value(path, [np.zeros(10_000), np.zeros(20_000)])
    value = read_value(path, size, rooms.append)
    assert sum(rooms) >= 240_000
    last = value[1]
    del value
    gc.collect()
    assert sum(rooms) >= 240_000
    del last
    gc.collect()
    assert sum(rooms) == 0


def test_without_arrays_nothing_stays_mapped(tmp_path: Path) -> None:
    rooms = Rooms()
    path = str(tmp_path / "value")
    size, _ = write_value(path, b"x" * 10_000_000)
    assert len(read_value(path, size, rooms.append)) == 10_000_000
    assert rooms == []


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module in the place of the user's script."""
    module = types.ModuleType("__main__")
    exec("class Point:\n    def __init__(self, x):\n        self.x = x\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def test_classes_of_the_users_script_travel(tmp_path: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "value")
    size, _ = write_value(path, {"points": [script.Point(1), np.zeros(50_000)]})
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    points = read_value(path, size, no_room)["points"]
    assert points[0].x == 1
    assert points[1].shape == (50_000,)


def test_functions_travel(tmp_path: Path) -> None:
    factor = 3
    assert round_trip(tmp_path, [lambda x: x * factor])[0](4) == 12


class Stubborn:
    def __reduce__(self) -> NoReturn:
        raise NestedRDD("not me")


class Empty:
    def __reduce__(self) -> NoReturn:
        raise MemoryError("no more")


def test_what_cannot_be_pickled_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "value"
    with pytest.raises(NotPicklable, match=r"\['a'\] -> \[1\]"):
        write_value(str(path), {"a": [np.zeros(50_000), threading.Lock()]})
    with pytest.raises(NestedRDD, match=r"not me .*\[1\]"):
        write_value(str(path), [lambda: 1, Stubborn()])
    with pytest.raises(MemoryError, match="no more"):
        write_value(str(path), [Empty()])
    assert not path.exists()


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "value"
    write_value(str(path), 1)
    with pytest.raises(FileExistsError):
        write_value(str(path), 2)


def test_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "value"
    size, _ = write_value(str(path), list(range(1000)))
    with pytest.raises(CorruptBlock, match="damaged"):
        read_value(str(path), size + 1, no_room)
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptBlock, match="damaged"):
        read_value(str(path), size, no_room)
    path.write_bytes(b"x")
    with pytest.raises(CorruptBlock):
        read_value(str(path), 1, no_room)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "value"
    size, _ = write_value(str(path), 1)
    data = bytearray(path.read_bytes())
    data[4] = 9
    data[32:36] = zlib.crc32(data[:32]).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(CorruptBlock, match="version"):
        read_value(str(path), size, no_room)


def test_checksums_are_those_of_the_pieces(tmp_path: Path) -> None:
    path = tmp_path / "value"
    size, checksums = write_value(str(path), b"0123456789" * (PIECE_BYTES // 4))
    spec = BroadcastSpec(BroadcastId(1), size, checksums)
    data = path.read_bytes()
    assert spec.n_pieces == 3
    spans = [piece_span(size, piece) for piece in range(spec.n_pieces)]
    assert [spec.checksum(n) for n in range(3)] == [zlib.crc32(data[at : at + length]) for at, length in spans]
    assert sum(length for _, length in spans) == size


@given(st.integers(1, 5 * PIECE_BYTES))
def test_pieces_cover_a_file_exactly(size: int) -> None:
    spans = [piece_span(size, piece) for piece in range(count_pieces(size))]
    assert [start for start, _ in spans] == [n * PIECE_BYTES for n in range(len(spans))]
    assert sum(length for _, length in spans) == size
    assert all(length > 0 for _, length in spans)
    for piece in (-1, len(spans)):
        with pytest.raises(IndexError):
            piece_span(size, piece)


def test_what_is_read_here_only_has_no_checksums(tmp_path: Path) -> None:
    size, checksums = write_value(str(tmp_path / "value"), [1, "two"], is_served=False)
    assert checksums == b""
    assert read_value(str(tmp_path / "value"), size, no_room) == [1, "two"]
