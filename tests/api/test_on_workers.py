"""What must also hold where tasks run in other processes: in those of one host, and in executors of a cluster."""

from __future__ import annotations

import statistics
import time

import pytest

from rddlite import Context
from rddlite.errors import JobFailed

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
