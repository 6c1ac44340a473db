"""Files that are not lines: whole files, fixed records, pickled records; and what needs Hadoop."""

from __future__ import annotations

import bz2
import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import CorruptBlock, CorruptInput, JobFailed, OutputExists, PathNotFound, Unsupported
from tests.api.oracle import counts, flat, keys, layout, parts_of, rdd_of

contents = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def folder_of(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("in")
    for i, content in enumerate(files):
        (folder / f"{i:02d}.bin").write_bytes(content)
    return str(folder)


@given(files=contents, n=counts)
def test_whole_files(sc, tmp_path_factory, files, n):
    folder = folder_of(tmp_path_factory, files)
    names = [f"file:{folder}/{i:02d}.bin" for i in range(len(files))]
    raw = sc.binaryFiles(folder, n)
    assert raw.collect() == list(zip(names, files, strict=True))
    assert raw.getNumPartitions() == min(n, len(files))
    text = sc.wholeTextFiles(folder, n)
    assert text.collect() == [
        (name, content.decode("utf-8", "replace")) for name, content in zip(names, files, strict=True)
    ]
    assert sc.wholeTextFiles(folder, n, use_unicode=False).values().collect() == files


def test_whole_files_are_spread_by_size(sc, tmp_path):
    for i, size in enumerate([1000, 10, 10, 1000, 10, 10]):
        (tmp_path / f"{i}").write_bytes(bytes(size))
    sizes = sc.binaryFiles(str(tmp_path), 2).values().map(len).glom().collect()
    assert sizes == [[1000, 10, 10], [1000, 10, 10]]


def test_compressed_files(sc, tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one"))
    (tmp_path / "b.bz2").write_bytes(bz2.compress(b"two"))
    (tmp_path / "_hidden").write_text("no")
    assert sc.wholeTextFiles(tmp_path).values().collect() == ["one", "two"]
    assert gzip.decompress(sc.binaryFiles(tmp_path).values().first()) == b"one"
    assert sc.wholeTextFiles(f"{tmp_path}/*.gz").values().collect() == ["one"]


@given(files=st.lists(st.integers(0, 9), min_size=1, max_size=4), length=st.integers(1, 7))
def test_fixed_records(sc, tmp_path_factory, files, length):
    contents = [bytes((i * 31 + k) % 256 for k in range(n * length)) for i, n in enumerate(files)]
    expected = [content[k : k + length] for content in contents for k in range(0, len(content), length)]
    assert sc.binaryRecords(folder_of(tmp_path_factory, contents), length).collect() == expected


def test_many_fixed_records(sc, tmp_path):
    n = 300_000
    (tmp_path / "a").write_bytes(b"".join(i.to_bytes(7, "big") for i in range(n)))
    rdd = sc.binaryRecords(str(tmp_path), 7)
    assert rdd.map(lambda record: int.from_bytes(record, "big")).collect() == list(range(n))


def test_a_file_that_ends_within_a_record(sc, tmp_path):
    (tmp_path / "a").write_bytes(b"abcde")
    with pytest.raises(JobFailed, match="ends within a record") as caught:
        sc.binaryRecords(str(tmp_path), 2).collect()
    assert isinstance(caught.value.__cause__, CorruptInput)
    with pytest.raises(ValueError, match=r"^binaryRecords: recordLength must be 1 or more, not 0$"):
        sc.binaryRecords(str(tmp_path), 0)


@given(parts=parts_of(keys))
def test_pickled_files(sc, tmp_path_factory, parts):
    path = str(tmp_path_factory.mktemp("out") / "pickled")
    rdd_of(sc, parts).saveAsPickleFile(path)
    assert sorted(os.listdir(path)) == ["_SUCCESS", *(f"part-{i:05d}" for i in range(len(parts)))]
    if parts:
        back = sc.pickleFile(path)
        assert layout(back) == parts
        assert back.count() == len(flat(parts))


def test_pickled_files_that_are_none(sc, tmp_path):
    (tmp_path / "a").write_bytes(b"SEQ\x06 and more than enough to look like a header of something else" * 4)
    with pytest.raises(JobFailed) as caught:
        sc.pickleFile(str(tmp_path)).collect()
    assert isinstance(caught.value.__cause__, CorruptBlock)
    with pytest.raises(OutputExists):
        sc.range(3).saveAsPickleFile(tmp_path)


@pytest.mark.parametrize("method", ["wholeTextFiles", "binaryFiles", "pickleFile"])
def test_missing_paths(sc, tmp_path, method):
    rdd = getattr(sc, method)(f"{tmp_path}/none")
    assert rdd.name() == f"{tmp_path}/none"
    with pytest.raises(PathNotFound, match="Input path does not exist"):
        rdd.count()
    with pytest.raises(ValueError, match=f"^{method}: minPartitions must be 1 or more, not 0$"):
        getattr(sc, method)("x", 0)
    with pytest.raises(TypeError, match=f"^{method}: .* must be a str, not int 3$"):
        getattr(sc, method)(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda sc: sc.sequenceFile("x"),
        lambda sc: sc.newAPIHadoopFile("x", "a", "b", "c"),
        lambda sc: sc.range(3).saveAsSequenceFile("x"),
        lambda sc: sc.range(3).saveAsHadoopFile("x", "y"),
        lambda sc: sc.range(3).toDF(["a"]),
    ],
)
def test_what_is_not_there(sc, call):
    with pytest.raises(Unsupported, match=r"use|collect|set") as caught:
        call(sc)
    assert isinstance(caught.value, NotImplementedError)
