"""Blocks of other hosts: the same frames in map order however their bytes are cut, and each loss named."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.base.metrics import TaskMetrics
from rddlite.net.transfer import Unreachable
from rddlite.shuffle import fetcher
from rddlite.shuffle.fetcher import Reach
from rddlite.shuffle.format import read_index
from rddlite.shuffle.locations import MapLocation
from rddlite.shuffle.reader import BlockLost, IndexCache, read_blocks
from tests.unit.shuffle.outputs import SHUFFLE, buckets, keyed, target, write
from tests.unit.shuffle.sources import Sources, Spoil

RECORDS = [(f"key {i}", i) for i in range(300)]
N_MAPS, N_REDUCES = 4, 3


@pytest.fixture
def scratch(tmp_path):
    return outputs(tmp_path)


def outputs(scratch: Path, n: int = N_MAPS) -> Path:
    for i in range(n):
        write(keyed(N_REDUCES), target(scratch, i, attempt=i + 1), [RECORDS[i * 10 :]])
    return scratch


def location(map_index: int, executor: int, scratch: Path) -> MapLocation:
    address = f"tcp://10.0.0.{executor}:1"
    return MapLocation(ExecutorId(str(executor)), str(scratch), AttemptId(map_index + 1), address, "")


def table(scratch: Path, executors: Sequence[int] = (1, 2, 1, 3)) -> dict[Any, list[MapLocation]]:
    return {SHUFFLE: [location(i, executor, scratch) for i, executor in enumerate(executors)]}


def fetched(sources: Sources, reduce_index: int, metrics: TaskMetrics | None = None, **options: Any) -> list[Any]:
    tables = options.pop("tables", table(sources.scratch))
    reach = Reach(options.pop("own", "0"), "key", lambda: sources)
    frames = read_blocks(tables, SHUFFLE, reduce_index, metrics or TaskMetrics(), reach, indexes=IndexCache())
    return [record for frame in frames for record in frame.records()]


def expected(scratch: Path, n: int = N_MAPS) -> list[list[Any]]:
    return buckets(scratch, N_REDUCES, [i + 1 for i in range(n)])


def test_the_same_as_from_files_and_in_map_order(scratch):
    sources = Sources(scratch)
    metrics = TaskMetrics()
    assert [fetched(sources, i, metrics) for i in range(N_REDUCES)] == expected(scratch)
    sizes = sum(path.stat().st_size for path in (scratch / "shuffle").glob("*.data"))
    assert (metrics.shuffle_bytes_read, metrics.remote_bytes_read) == (sizes, sizes)
    assert metrics.shuffle_records_read == sum(300 - 10 * i for i in range(N_MAPS))
    assert metrics.remote_blocks_read == N_MAPS * N_REDUCES
    assert metrics.fetch_wait_seconds == sources.seconds_waited > 0
    assert sources.open == []


def test_all_are_asked_before_the_first_is_used(scratch):
    sources = Sources(scratch)
    frames = read_blocks(table(scratch), SHUFFLE, 0, TaskMetrics(), Reach("0", "", lambda: sources))
    next(frames)
    assert [(name, block.split("-")[2]) for name, block, _ in sources.asked] == [
        ("executor 1", "0"), ("executor 1", "2"), ("executor 2", "1"), ("executor 3", "3"),
    ]  # fmt: skip


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_however_the_bytes_are_cut(tmp_path_factory, sizes):
    scratch = outputs(tmp_path_factory.mktemp("s"), 2)
    next_size = itertools.cycle(sizes)
    sources = Sources(scratch, lambda left: next(next_size))
    got = fetched(sources, 1, tables=table(scratch, (1, 2)))
    assert got == expected(scratch, 2)[1]


def test_byte_by_byte(scratch):
    assert fetched(Sources(scratch, lambda left: 1), 0) == expected(scratch)[0]


def test_own_and_neighbouring_outputs_are_read_from_files(scratch):
    (scratch / "token").write_text("secret")
    tables = table(scratch)
    tables[SHUFFLE][1] = tables[SHUFFLE][1]._replace(token="secret")
    sources, metrics = Sources(scratch), TaskMetrics()
    assert fetched(sources, 0, metrics, tables=tables, own="1") == expected(scratch)[0]
    assert [name for name, _, _ in sources.asked] == ["executor 3"]
    assert metrics.remote_blocks_read == 1
    assert metrics.shuffle_records_read == len(expected(scratch)[0])


def test_a_wrong_token_proves_nothing(scratch):
    (scratch / "token").write_text("another")
    tables = {SHUFFLE: [row._replace(token="secret") for row in table(scratch)[SHUFFLE]]}
    sources = Sources(scratch)
    assert fetched(sources, 0, tables=tables) == expected(scratch)[0]
    assert len(sources.asked) == N_MAPS


def test_nothing_is_connected_where_all_is_near(scratch):
    def connect() -> Sources:
        raise AssertionError("nobody is elsewhere")

    rows = [row._replace(address="") for row in table(scratch)[SHUFFLE]]
    frames = read_blocks({SHUFFLE: rows}, SHUFFLE, 0, TaskMetrics(), Reach("0", "", connect), indexes=IndexCache())
    assert [record for frame in frames for record in frame.records()] == expected(scratch)[0]


def test_one_that_was_gone_before_is_lost(scratch):
    tables = table(scratch)
    tables[SHUFFLE][2] = MapLocation(ExecutorId("1"), "", AttemptId(3))
    with pytest.raises(BlockLost, match="was gone when this task was sent out") as caught:
        fetched(Sources(scratch), 0, tables=tables)
    assert (caught.value.map_index, caught.value.executor) == (2, "1")


# What goes wrong


def once(spoil: Spoil, block: str = "shuffle-4-2-3") -> Spoil:
    """Only the first time that this block is asked for."""
    times = [0]

    def spoiled(name: str, data: bytes) -> bytes | None:
        times[0] += name == block
        return spoil(name, data) if name == block and times[0] == 1 else data

    return spoiled


def always(spoil: Spoil, block: str = "shuffle-4-2-3") -> Spoil:
    return lambda name, data: spoil(name, data) if name == block else data


def flipped(name: str, data: bytes) -> bytes:
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


def cut_short(name: str, data: bytes) -> bytes:
    return data[:-8]


def missing(name: str, data: bytes) -> None:
    return None


@pytest.mark.parametrize("spoil", [flipped, cut_short, missing])
@pytest.mark.parametrize("size", [64, 1 << 20])
def test_what_is_good_the_second_time_is_no_loss(scratch, spoil, size):
    sources = Sources(scratch, lambda left: size)
    sources.spoils.append(once(spoil))
    assert fetched(sources, 0) == expected(scratch)[0]
    assert [block for _, block, _ in sources.asked].count("shuffle-4-2-3") == 2
    assert sources.open == []


def lost(sources: Sources, reduce_index: int = 0) -> BlockLost:
    with pytest.raises(BlockLost) as caught:
        fetched(sources, reduce_index)
    found = caught.value
    assert (found.shuffle, found.map_index, found.executor, found.attempt) == (SHUFFLE, 2, "1", 3)
    assert "shuffle-4-2-3" in found.why
    assert "tcp://10.0.0.1:1" in found.why
    assert sources.open == []
    return found


@pytest.mark.parametrize(
    ("spoil", "word"), [(flipped, "checksum"), (cut_short, "truncated"), (missing, "no such file")]
)
def test_what_is_bad_twice_is_lost(scratch, spoil, word):
    sources = Sources(scratch)
    sources.spoils.append(always(spoil))
    assert word in lost(sources).why


def test_both_reasons_are_told(scratch):
    sources = Sources(scratch)
    sources.spoils += [once(flipped), second_time_missing()]
    why = lost(sources).why
    assert why.index("checksum") < why.index("fetched once more") < why.index("no such file")


def second_time_missing() -> Spoil:
    times = [0]

    def spoiled(name: str, data: bytes) -> bytes | None:
        times[0] += name == "shuffle-4-2-3"
        return None if times[0] == 2 and name == "shuffle-4-2-3" else data

    return spoiled


def test_good_frames_before_a_bad_one_are_not_fetched_again(tmp_path):
    scratch = tmp_path
    for i in range(2):
        write(keyed(1), target(scratch, i, attempt=i + 1, buffer_bytes=2000), [RECORDS, RECORDS])
    sources = Sources(scratch)
    sources.spoils.append(once(flipped, "shuffle-4-1-2"))
    metrics = TaskMetrics()
    got = fetched(sources, 0, metrics, tables=table(scratch, (1, 2)))
    assert got == buckets(scratch, 1, [1, 2])[0]
    offsets = [offset for _, block, offset in sources.asked if block == "shuffle-4-1-2"]
    assert offsets[0] == 0
    assert offsets[1] > 0
    assert metrics.shuffle_bytes_read == sum(path.stat().st_size for path in (scratch / "shuffle").glob("*.data"))


@given(st.data())
def test_every_flipped_bit_is_found(tmp_path_factory, data):
    scratch = outputs(tmp_path_factory.mktemp("s"))
    bit = data.draw(st.integers(0, 1 << 16))

    def flip(name: str, content: bytes) -> bytes:
        at = bit % (8 * len(content))
        return content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]

    sources = Sources(scratch, lambda left: 500)
    sources.spoils.append(always(flip))
    lost(sources)


def test_a_source_that_cannot_be_reached(scratch):
    sources = Sources(scratch)
    sources.dead.add("executor 1")
    with pytest.raises(BlockLost) as caught:
        fetched(sources, 0)
    assert caught.value.map_index == 0
    assert "connection refused (tried 5 times in 1.0 s)" in caught.value.why
    assert isinstance(caught.value.__cause__, Unreachable)
    assert sources.open == []


def test_fewer_records_than_the_index_says(scratch):
    path = scratch / "shuffle" / "shuffle-4-2-3.index"
    good = read_index(str(path))
    good.counts[0] += 1
    path.write_bytes(good.to_bytes())
    sources = Sources(scratch)
    with pytest.raises(BlockLost, match="differs from its index by 1 records"):
        fetched(sources, 0)


def test_who_stops_early_wants_nothing_more(scratch):
    sources = Sources(scratch)
    frames = read_blocks(table(scratch), SHUFFLE, 0, TaskMetrics(), Reach("0", "", lambda: sources))
    next(frames)
    assert sources.open
    frames.close()
    assert sources.open == []


def test_settling_reaches_what_fetches_only_if_there_is_any(scratch):
    sources = Sources(scratch)
    reach = Reach("0", "", lambda: sources)
    reach.settle()
    assert sources.n_settled == 0
    reach.fetching()
    reach.settle()
    assert sources.n_settled == 1


# Arrays


def test_arrays_of_a_frame_within_a_piece_hold_on_to_nothing_else(tmp_path):
    values = [(0, np.arange(2000.0))]
    write(keyed(1), target(tmp_path, 0, attempt=1), [values])
    sources = Sources(tmp_path)
    ((_, array),) = fetched(sources, 0, tables=table(tmp_path, (1,)))
    assert (array == values[0][1]).all()
    assert array.flags.writeable
    owner = array.base
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    assert len(owner) == array.nbytes


def test_an_array_over_many_pieces_is_put_together_once(tmp_path):
    values = [(0, np.arange(50_000.0))]
    write(keyed(1), target(tmp_path, 0, attempt=1), [values])
    sources = Sources(tmp_path, lambda left: 10_007)
    ((_, array),) = fetched(sources, 0, tables=table(tmp_path, (1,)))
    assert (array == values[0][1]).all()
    assert array.flags.writeable
    assert array.flags.aligned


# Rounds


def many(n_maps: int, n_sources: int) -> list[tuple[int, MapLocation]]:
    return [(i, location(i, i % n_sources, Path("/s"))) for i in range(n_maps)]


def rounds(n_maps: int, n_sources: int) -> list[list[int]]:
    return [[i for i, _ in part] for part in fetcher.cut_rounds(many(n_maps, n_sources))]


def test_few_sources_are_asked_all_at_once():
    assert rounds(1000, 64) == [list(range(1000))]


def test_many_sources_are_asked_in_rounds_of_consecutive_maps():
    assert rounds(200, 100) == [list(range(start, min(start + 32, 200))) for start in range(0, 200, 32)]


def test_what_a_request_may_name_bounds_a_round():
    assert [len(part) for part in rounds(5000, 1)] == [4096, 904]


def test_one_round_is_always_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(fetcher, "_SOURCES_AT_ONCE", 2)
    monkeypatch.setattr(fetcher, "_SOURCES_OF_A_ROUND", 2)
    outputs(tmp_path, 9)
    sources = Sources(tmp_path)
    tables = table(tmp_path, range(9))
    assert fetched(sources, 0, tables=tables, own="none") == expected(tmp_path, 9)[0]
    assert sources.most_open == 2
    assert sources.open == []
