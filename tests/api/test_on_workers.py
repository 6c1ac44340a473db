"""What must also hold where tasks run in other processes: in those of one host, and in executors of a cluster."""

from __future__ import annotations

import importlib
import os
import shutil
import statistics
import time
import zipfile

import pytest

from rddlite import Context, SparkFiles
from rddlite.errors import JobFailed, PathNotFound, UsageError

pytestmark = pytest.mark.local


@pytest.fixture(scope="module", params=["local[2]", "local-cluster[2,1,512]"])
def sc(request):
    with Context(request.param, "tests") as context:
        yield context


# Files


def test_fixed_records_that_several_tasks_read(sc, tmp_path):
    n = 300_000
    (tmp_path / "a").write_bytes(b"".join(i.to_bytes(7, "big") for i in range(n)))
    rdd = sc.binaryRecords(str(tmp_path), 7)
    assert rdd.getNumPartitions() >= 2
    assert rdd.map(lambda record: int.from_bytes(record, "big")).collect() == list(range(n))


def test_pickled_and_whole_files(sc, tmp_path):
    sc.range(100, numSlices=3).saveAsPickleFile(tmp_path / "out")
    assert sc.pickleFile(tmp_path / "out").collect() == list(range(100))
    sc.range(100, numSlices=3).saveAsTextFile(tmp_path / "text")
    assert sum(len(text.split()) for _, text in sc.wholeTextFiles(tmp_path / "text").collect()) == 100


def test_pairs_of_partitions(sc):
    numbers = sc.range(10, numSlices=2)
    assert numbers.zip(numbers.repartition(2)).count() == 10
    assert numbers.cartesian(numbers.map(str)).count() == 100
    assert numbers.pipe("cat").map(int).sum() == 45


# Files of the program


def lines_of(name):
    with open(SparkFiles.get(name)) as file:
        return file.read().split()


def test_files_reach_workers_that_run_already(sc, tmp_path):
    assert sc.range(4, numSlices=4).count() == 4
    for text in ("one two", "three"):
        (tmp_path / "words.txt").write_text(text)
        sc.addFile(tmp_path / "words.txt")
        assert lines_of("words.txt") == text.split()
        rdd = sc.range(4, numSlices=4).map(lambda x: (x % 2, tuple(lines_of("words.txt"))))
        assert set(rdd.values().collect()) == {tuple(text.split())}
        assert set(rdd.reduceByKey(max).values().collect()) == {tuple(text.split())}
    assert sc.listFiles.count("words.txt") == 1


def test_modules_and_packages(sc, tmp_path):
    name = f"rates_{abs(hash(sc.master))}"
    (tmp_path / f"{name}.py").write_text("def rate(x):\n    return x * 3\n")
    sc.addPyFile(f"{tmp_path}/{name}.py")
    module = importlib.import_module(name)
    assert sc.range(3).map(module.rate).collect() == [0, 3, 6]
    with zipfile.ZipFile(tmp_path / f"{name}_more.zip", "w") as archive:
        archive.writestr(f"{name}_more/__init__.py", "SHIFT = 5")
    sc.addPyFile(tmp_path / f"{name}_more.zip")
    more = importlib.import_module(f"{name}_more")
    assert sc.range(2).map(lambda x: x + importlib.import_module(more.__name__).SHIFT).collect() == [5, 6]


@pytest.mark.parametrize("form", ["zip", "gztar"])
def test_archives_and_directories(sc, tmp_path, form):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("7")
    packed = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "in")
    sc.addArchive(f"{packed}#model_{form}")
    sc.addFile(tmp_path / "in", recursive=True)
    found = sc.range(4, numSlices=4).map(lambda x: (lines_of(f"model_{form}/deep/a.txt"), lines_of("in/deep/a.txt")))
    assert found.collect() == [(["7"], ["7"])] * 4
    assert lines_of(f"model_{form}/deep/a.txt") == ["7"]
    assert f"model_{form}" in sc.listArchives
    assert os.path.isdir(SparkFiles.getRootDirectory())


def test_files_that_cannot_be_given(sc, tmp_path):
    with pytest.raises(PathNotFound, match="addFile: path does not exist"):
        sc.addFile(tmp_path / "none")
    with pytest.raises(UsageError, match="recursive=True"):
        sc.addFile(tmp_path)
    with pytest.raises(UsageError, match=r"addPyFile: .* is no module"):
        sc.addPyFile("a.txt")
    with pytest.raises(UsageError, match=r"addArchive: .* is no archive"):
        sc.addArchive("a.txt")


# Samples and statistics


def test_samples(sc):
    numbers = sc.range(1000, numSlices=4)
    sample = numbers.sample(False, 0.3)
    assert sample.collect() == sample.collect()
    splits = numbers.randomSplit([1, 2, 3])
    assert sorted(number for split in splits for number in split.collect()) == list(range(1000))
    assert len(set(numbers.takeSample(False, 50))) == 50


def test_statistics(sc):
    numbers = [(x * 7919) % 1009 / 8 for x in range(1000)]
    rdd = sc.parallelize(numbers, 4)
    assert rdd.stats().variance() == pytest.approx(statistics.pvariance(numbers))
    assert sum(rdd.histogram(7)[1]) == 1000
    assert rdd.map(str).countApproxDistinct(0.02) == pytest.approx(len(set(numbers)), rel=0.1)


def test_what_is_not_done_in_time_is_cancelled(sc):
    def slow(index, part):
        if index > 0:
            time.sleep(600)
        return part

    rdd = sc.range(400, numSlices=4).mapPartitionsWithIndex(slow)
    estimate = rdd.sumApprox(1500)
    assert estimate.low <= estimate <= estimate.high
    assert rdd.countApprox(0) >= 0
    assert sc.range(10).count() == 10
    with pytest.raises(JobFailed):
        sc.range(10).map(lambda x: 1 // x).sumApprox(60_000)
