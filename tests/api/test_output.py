"""saveAsTextFile: what is written, when it appears, and that nothing appears when it should not."""

from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import JobFailed, OutputExists
from tests.api.oracle import flat, jobs_run_by, parts_of, rdd_of

lines = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=5)


@given(parts=parts_of(lines))
def test_what_is_written_is_read_back(sc, parts, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("out") / "text")
    assert rdd_of(sc, parts).saveAsTextFile(path) is None
    names = sorted(os.listdir(path))
    assert names == ["_SUCCESS", *(f"part-{i:05d}" for i in range(len(parts)))]
    for index, part in enumerate(parts):
        with open(f"{path}/part-{index:05d}", encoding="utf-8", newline="") as file:
            assert file.read() == "".join(f"{line}\n" for line in part)
    if parts:
        assert sc.textFile(path, 1).collect() == flat(parts)


def test_records_of_any_kind(sc, tmp_path):
    sc.parallelize(["text", b"by\xfftes", 1, None, ("a", 1)], 1).saveAsTextFile(str(tmp_path / "out"))
    assert (tmp_path / "out" / "part-00000").read_bytes() == b"text\nby\xfftes\n1\nNone\n('a', 1)\n"


@pytest.mark.parametrize("codec", ["org.apache.hadoop.io.compress.GzipCodec", "gz"])
def test_compressed(sc, tmp_path, codec):
    sc.parallelize(["a", "b"], 2).saveAsTextFile(tmp_path / "out", codec)
    assert sorted(os.listdir(tmp_path / "out")) == ["_SUCCESS", "part-00000.gz", "part-00001.gz"]
    assert gzip.decompress((tmp_path / "out" / "part-00001.gz").read_bytes()) == b"b\n"
    assert sc.textFile(str(tmp_path / "out")).collect() == ["a", "b"]


def test_nothing_is_left_of_a_job_that_fails(sc, tmp_path):
    with pytest.raises(JobFailed):
        sc.range(4, numSlices=2).map(lambda x: 1 // (2 - x)).saveAsTextFile(str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_job_that_is_interrupted(sc, tmp_path):
    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sc.range(4, numSlices=2).map(interrupt).saveAsTextFile(str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
    assert sc.range(4).count() == 4


def test_an_existing_path_is_refused_before_any_task(sc, tmp_path):
    (tmp_path / "out").mkdir()

    def save():
        with pytest.raises(OutputExists, match="already exists"):
            sc.range(4).saveAsTextFile(str(tmp_path / "out"))

    assert jobs_run_by(sc, save) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_output_of_a_shuffle(sc, tmp_path):
    sc.parallelize([("a", 1), ("a", 2)], 2).reduceByKey(lambda a, b: a + b, 2).saveAsTextFile(str(tmp_path / "out"))
    assert sc.textFile(str(tmp_path / "out")).collect() == ["('a', 3)"]


def test_no_partitions(sc, tmp_path):
    sc.emptyRDD().saveAsTextFile(str(tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["_SUCCESS"]
