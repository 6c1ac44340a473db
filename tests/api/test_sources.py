"""Where RDDs come from: how collections are cut, ranges, and text files."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.oracle import flat, layout


@given(items=st.lists(st.integers()), n=st.integers(1, 12))
def test_parallelize(sc, items, n):
    found = layout(sc.parallelize(items, n))
    assert flat(found) == items
    assert len(found) == n
    size = max(1, min(len(items) // n, 1024))
    batches = [items[i : i + size] for i in range(0, len(items), size)]
    assert found == [flat(batches[i * len(batches) // n : (i + 1) * len(batches) // n]) for i in range(n)]


def test_parallelize_spreads_batches_not_items(sc):
    assert [len(part) for part in layout(sc.parallelize(list(range(11)), 3))] == [3, 3, 5]
    assert layout(sc.parallelize([1], 4)) == [[], [], [], [1]]
    assert [len(part) for part in layout(sc.parallelize(list(range(5000)), 2))] == [2048, 2952]


@pytest.mark.parametrize(
    "collection",
    [(1, 2, 3), {1: "a", 2: "b", 3: "c"}, iter([1, 2, 3]), (x for x in (1, 2, 3)), range(1, 4)],
    ids=lambda collection: type(collection).__name__,
)
def test_parallelize_takes_any_iterable(sc, collection):
    assert sc.parallelize(collection, 2).collect() == [1, 2, 3]


def test_parallelize_strings_bytes_and_sets(sc):
    assert sc.parallelize("abc", 2).collect() == ["a", "b", "c"]
    assert sc.parallelize(b"ab", 2).collect() == [97, 98]
    assert sorted(sc.parallelize({3, 1, 2}, 2).collect()) == [1, 2, 3]


def test_parallelize_takes_a_snapshot(sc):
    inner = [1]
    items = [inner, 2]
    rdd = sc.parallelize(items, 1)
    inner.append("changed")
    items.append("added")
    assert rdd.collect() == [[1], 2]


def test_what_a_task_does_to_a_record_is_seen_by_nobody(sc):
    rdd = sc.parallelize([[1], [2]], 1)
    assert rdd.map(lambda x: x.append(0) or x).collect() == [[1, 0], [2, 0]]
    assert rdd.collect() == [[1], [2]]


ends = st.integers(-30, 30)


@given(start=ends, end=ends, step=ends.filter(bool), n=st.integers(1, 7))
def test_range(sc, start, end, step, n):
    whole = range(start, end, step)
    expected = [list(whole[i * len(whole) // n : (i + 1) * len(whole) // n]) for i in range(n)]
    assert layout(sc.range(start, end, step, n)) == expected
    assert layout(sc.parallelize(whole, n)) == expected


def test_range_with_one_argument_and_without_materialising(sc):
    assert sc.range(3).collect() == [0, 1, 2]
    huge = sc.range(10**18, numSlices=4)
    assert huge.take(2) == [0, 1]
    assert huge.getNumPartitions() == 4


def test_empty(sc):
    assert sc.emptyRDD().getNumPartitions() == 0
    assert sc.emptyRDD().map(str).reduceByKey(max).collect() == []
    assert sc.emptyRDD().union(sc.emptyRDD()).collect() == []
    assert sc.parallelize([], 3).getNumPartitions() == 3


def test_default_partitions(sc):
    assert sc.defaultParallelism == 1
    assert sc.parallelize([1, 2]).getNumPartitions() == sc.defaultParallelism
    assert sc.range(3).getNumPartitions() == sc.defaultParallelism
    assert sc.defaultMinPartitions == min(sc.defaultParallelism, 2)


# Text files


def test_lines_and_nothing_else(sc, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("one\ntwo\r\n\nthree\rfour\x0b\u2028five\nsix".encode())
    assert sc.textFile(str(path)).collect() == ["one", "two", "", "three", "four\x0b\u2028five", "six"]
    assert sc.textFile(path).count() == 6


def test_unicode_or_bytes(sc, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xc3\xa9\nbad \xff\n")
    assert sc.textFile(str(path)).collect() == ["café", "bad �"]
    assert sc.textFile(str(path), use_unicode=False).collect() == [b"caf\xc3\xa9", b"bad \xff"]


def test_directories_globs_lists_and_codecs(sc, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep.txt").write_text("deep\n")
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "b.txt").write_text("b\n")
    (tmp_path / "_hidden").write_text("no\n")
    (tmp_path / ".hidden").write_text("no\n")
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"c\n"))
    (tmp_path / "d.bz2").write_bytes(bz2.compress(b"d\n"))
    (tmp_path / "e.xz").write_bytes(lzma.compress(b"e\n"))
    here = str(tmp_path)
    assert sc.textFile(here).collect() == ["a", "b", "c", "d", "e"]
    assert sc.textFile(f"{here}/*.txt").collect() == ["a", "b"]
    assert sc.textFile(f"{here}/{{b,a}}.txt").collect() == ["a", "b"]
    assert sc.textFile(f"{here}/b.txt,{here}/sub").collect() == ["b", "deep"]
    assert sc.textFile(f"file://{here}/a.txt").collect() == ["a"]
    assert sc.textFile(f"{here}/c.gz", 5).getNumPartitions() == 1


@given(lines=st.lists(st.text("ab é", max_size=6), max_size=40), n=st.integers(1, 9))
def test_splits_lose_and_double_nothing(sc, lines, n, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    rdd = sc.textFile(str(path), n)
    assert rdd.collect() == lines
    assert rdd.getNumPartitions() >= min(n, len(path.read_bytes()) // 20)


def test_a_file_is_not_touched_before_it_is_needed(sc, tmp_path):
    path = tmp_path / "later.txt"
    rdd = sc.textFile(str(path)).map(str.upper).filter(bool)
    path.write_text("x\n")
    assert rdd.collect() == ["X"]


def test_a_listing_is_made_once(sc, tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    rdd = sc.textFile(str(tmp_path))
    n = rdd.getNumPartitions()
    (tmp_path / "b.txt").write_text("y\n")
    assert (rdd.getNumPartitions(), rdd.collect()) == (n, ["x"])


def test_an_rdd_of_files_is_named_by_its_path(sc, tmp_path):
    assert sc.textFile(str(tmp_path)).name() == str(tmp_path)


def test_files_in_shuffles_joins_and_unions(sc, tmp_path):
    (tmp_path / "a.txt").write_text("to be or not to be\n")
    lines = sc.textFile(str(tmp_path / "a.txt"), 2)
    counts = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
    assert counts.collectAsMap() == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert lines.union(lines).count() == 2
    assert lines.coalesce(1).collect() == ["to be or not to be"]
    assert counts.join(lines.map(lambda line: ("be", line))).collect() == [("be", (2, "to be or not to be"))]


def test_memory_files_are_fine_inline(sc):
    import fsspec

    with fsspec.open("memory://rddlite/a.txt", "wb") as file:
        file.write(b"one\ntwo\n")
    assert sc.textFile("memory://rddlite/a.txt").collect() == ["one", "two"]
