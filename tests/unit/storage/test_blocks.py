"""What is kept of cached partitions: frames read back as written, and what goes first when there is no room."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rddlite.base.cached import Form, Kept, News
from rddlite.errors import NotPicklable
from rddlite.storage.blocks import FOLDER, BlockStore, InMemory, write_frames
from rddlite.storage.frames import Frames, FrameWriter


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    (tmp_path / FOLDER).mkdir()
    return str(tmp_path)


def live(cache: int, partition: int, size: int, seconds: float, *, to_disk: bool = False) -> InMemory:
    return InMemory((cache, partition), [[cache, partition]], size, seconds, to_disk)


def kept_of(news: News | None) -> list[tuple[int, int, Form]]:
    assert news is not None
    return [(each.cache, each.partition, each.form) for each in news.kept]


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
def test_frames_are_read_any_number_of_times(tmp_path: Path, *, in_file: bool) -> None:
    batches = [[1, "a"], [(2, [3])], [{"x": None}]]
    frames = write_frames(iter(batches), str(tmp_path / "block") if in_file else None)
    assert [list(frames.batches()) for _ in range(2)] == [batches, batches]
    assert [entry.name for entry in tmp_path.iterdir()] == (["block"] if in_file else [])


def test_arrays_are_writable_and_everybody_has_their_own() -> None:
    frames = write_frames(iter([[np.arange(10_000)]]), None)
    ((first,),), ((second,),) = frames.batches(), frames.batches()
    first[0] = 7
    assert second[0] == 0
    ((third,),) = frames.batches()
    assert third[0] == 0
    assert not third.flags.owndata, "the array was copied"


def test_nothing_at_all_can_be_kept(tmp_path: Path) -> None:
    assert list(write_frames(iter([]), None).batches()) == []
    assert list(write_frames(iter([]), str(tmp_path / "empty")).batches()) == []


def test_what_cannot_be_pickled_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotPicklable, match="generator"):
        write_frames(iter([[1], [(x for x in ())]]), str(tmp_path / "block"))
    assert list(tmp_path.iterdir()) == []


def test_frames_are_copied_from_memory_to_a_file(tmp_path: Path) -> None:
    memory, file = FrameWriter(), FrameWriter(str(tmp_path / "block"))
    memory.add([1, 2])
    file.copy(memory)
    file.add([3])
    memory.abandon()
    assert list(file.finish().batches()) == [[1, 2], [3]]


def test_memory_of_frames_goes_with_them() -> None:
    before = set(os.listdir("/proc/self/fd"))
    frames = write_frames(iter([[1]]), None)
    reading = frames.batches()
    del frames
    assert next(reading) == [1], "who reads is not disturbed"
    assert set(os.listdir("/proc/self/fd")) - before == set() or len(os.listdir("/proc/self/fd")) <= len(before) + 1


def test_blocks_are_found_and_told(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    assert store.find((1, 2)) is None
    store.put(live(1, 2, 100, 0.5))
    store.put(live(1, 2, 999, 9.9))  # made twice: the first stays
    found = store.find((1, 2))
    assert found is not None
    assert list(found) == [[1, 2]]
    assert store.held == 100
    assert store.take_news() == News((Kept(1, 2, Form.LIVE, 100, 0.5),), ())
    assert store.take_news() is None
    store.drop([(1, 2), (1, 3)])
    assert store.take_news() == News((), ((1, 2),))


def test_what_is_cheapest_to_bring_back_goes_first(scratch: str) -> None:
    store = BlockStore(scratch, 300)
    store.put(live(1, 0, 100, 5.0))
    store.put(live(2, 0, 100, 1.0))
    store.put(live(3, 0, 100, 3.0))
    assert store.make_room((4, 0), 100, 4.0 / 100)
    assert not store.has((2, 0))
    assert store.has((1, 0))
    assert store.has((3, 0))
    assert (store.n_evicted, store.bytes_evicted) == (1, 100)


def test_what_is_dear_does_not_go_for_what_is_cheap_until_it_is_old(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    store.put(live(1, 0, 100, 5.0))
    assert not store.make_room((2, 0), 50, 0.01)
    assert store.has((1, 0))


def test_partitions_of_one_rdd_make_no_room_for_each_other(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    store.put(live(1, 0, 100, 0.0))
    assert not store.make_room((1, 1), 50, 100.0)
    assert store.has((1, 0))


def test_nothing_goes_for_what_would_not_fit_anyway(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    store.put(live(1, 0, 100, 0.0))
    assert not store.make_room((2, 0), 101, 100.0)
    assert store.has((1, 0))


def test_what_may_go_to_disk_goes_there(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    store.put(live(1, 0, 100, 0.0, to_disk=True))
    assert store.make_room((2, 0), 100, 1.0)
    assert store.held == 0
    found = store.find((1, 0))
    assert found is not None
    assert list(found) == [[1, 0]]
    assert kept_of(store.take_news()) == [(1, 0, Form.FILE)]
    store.drop_caches({1})
    assert os.listdir(os.path.join(scratch, FOLDER)) == []
    assert store.take_news() == News((), ((1, 0),))


def test_shrinking_evicts_the_cheapest(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    for cache, seconds in ((1, 3.0), (2, 1.0), (3, 2.0)):
        store.put(live(cache, 0, 100, seconds))
    store.shrink(150)
    assert [store.has((cache, 0)) for cache in (1, 2, 3)] == [True, False, False]


def test_a_file_that_is_damaged_is_no_frames(scratch: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        Frames.at(os.path.join(scratch, "nothing"))


def test_news_travel() -> None:
    news = News((Kept(1, 2, Form.FRAMES, 3, 0.5, 7), Kept(1, 3, Form.FILE, 3, 0.5)), ((4, 5),))
    assert News.unpack(news.pack()) == news
    assert News.unpack(news.pack()).kept[0].form is Form.FRAMES


def test_a_file_for_others_stays_when_memory_is_needed(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    memory = InMemory((1, 0), [[1, 2]], 100, 0.5, to_disk=False, copies=2)
    frames = write_frames(iter([[1, 2]]), store.path((1, 0)))
    store.filed((1, 0), frames, 0.5, 2)
    store.put(memory)
    file = Kept(1, 0, Form.FILE, frames.size, 0.5, copies=2)
    assert store.take_news() == News((file, Kept(1, 0, Form.LIVE, 100, 0.5, copies=2)), ())
    store.shrink(0)
    assert store.take_news() == News((file,), ())
    found = store.find((1, 0))
    assert found is not None
    assert list(found) == [[1, 2]]
    store.put(memory)
    store.drop([(1, 0)])
    assert store.take_news() == News((file,), ())
    store.drop_caches({1})
    assert store.take_news() == News((), ((1, 0),))
    assert store.find((1, 0)) is None


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
def test_frames_are_copied_as_they_are(tmp_path: Path, *, in_file: bool) -> None:
    batches = [[1, "a"], [np.arange(3)], [None] * 300_000]
    frames = write_frames(iter(batches), str(tmp_path / "block") if in_file else None)
    copy = frames.copied_to(str(tmp_path / "copy"))
    assert copy.is_sound
    assert copy.size == frames.size
    assert [len(batch) for batch in copy.batches()] == [2, 1, 300_000]


def test_objects_that_are_cheap_to_make_again_are_released(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    store.put(live(1, 0, 100, 1.0))
    store.put(live(2, 0, 100, 5.0))
    store.put(live(3, 0, 100, 0.5, to_disk=True))
    frames = write_frames(iter([[1]]), None)
    store.put(InMemory((4, 0), frames, frames.size, 0.0, to_disk=False))
    assert store.release(1000, 0.02) == 100
    assert [store.has((cache, 0)) for cache in (1, 2, 3, 4)] == [False, True, True, True]
    assert store.release(1000, 1.0) == 100
    assert store.release(1000, 1.0) == 0
    assert os.listdir(os.path.join(scratch, FOLDER)) == []
    assert store.n_evicted == 2


def test_what_cannot_be_pickled_is_dropped_when_it_has_to_go(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    store.put(InMemory((1, 0), [[lambda: 1, (x for x in ())]], 100, 1.0, to_disk=True))
    store.shrink(0)
    assert store.take_news() == News((), ((1, 0),))
    assert os.listdir(os.path.join(scratch, FOLDER)) == []


def test_one_of_several_copies_without_a_file_gets_one_when_memory_is_needed(scratch: str) -> None:
    store = BlockStore(scratch, 100)
    store.put(InMemory((1, 0), [[1, 2]], 100, 0.5, to_disk=True, copies=2))
    store.shrink(0)
    assert kept_of(store.take_news()) == [(1, 0, Form.FILE)]
    found = store.find((1, 0))
    assert found is not None
    assert list(found) == [[1, 2]]


def test_a_copy_of_objects_stays_beside_them_while_nothing_else_needs_the_room(scratch: str) -> None:
    store = BlockStore(scratch, 10_000)
    objects = [[("a", 1)], [("b", 2), ("c", 3)]]
    store.put(InMemory((1, 0), objects, 1000, 1.0, to_disk=False))
    copy = store.copied((1, 0))
    assert copy is not None
    assert list(copy.batches()) == objects
    assert store.copied((1, 0)) is copy
    assert store.make_room((2, 0), 8999, 1e9), "only the copy has to go"
    assert store.held == 1000
    assert store.copied((1, 0)) is not copy
    store.drop([(1, 0)])
    assert store.copied((1, 0)) is None


def test_no_copy_stays_where_there_is_no_room(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    store.put(InMemory((1, 0), [[("a", 1)]], 1000, 1.0, to_disk=False))
    first, second = store.copied((1, 0)), store.copied((1, 0))
    assert first is not None
    assert second is not None
    assert first is not second


def test_what_cannot_be_pickled_has_no_copy(scratch: str) -> None:
    store = BlockStore(scratch, 1000)
    store.put(InMemory((1, 0), [[(x for x in ())]], 100, 1.0, to_disk=False))
    with pytest.raises(NotPicklable):
        store.copied((1, 0))
    assert store.held == 100
