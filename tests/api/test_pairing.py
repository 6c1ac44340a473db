"""zip, cartesian, unique ids, pipes and sorting within partitions, against plain Python."""

from __future__ import annotations

import itertools
import operator
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite import portable_hash
from rddlite.errors import JobFailed
from tests.api.oracle import bag, counts, flat, groups, ints, jobs_run_by, layout, pairs, parts_of, rdd_of, words

sizes = st.lists(st.integers(0, 8), max_size=5)


@given(parts=parts_of(ints))
def test_zip_with_a_map_of_itself(sc, parts):
    rdd = rdd_of(sc, parts)
    assert layout(rdd.zip(rdd.map(str))) == [[(x, str(x)) for x in part] for part in parts]


@given(left=parts_of(ints), right=parts_of(ints))
def test_zip_of_any_two(sc, left, right):
    a, b = rdd_of(sc, left), rdd_of(sc, right)
    if len(left) != len(right):
        with pytest.raises(ValueError, match="zip: needs RDDs with the same number of partitions, not"):
            a.zip(b)
    elif list(map(len, left)) != list(map(len, right)):
        with pytest.raises(JobFailed, match="fewer or more records") as caught:
            a.zip(b).count()
        assert isinstance(caught.value.__cause__, ValueError)
    else:
        assert a.zip(b).collect() == list(zip(flat(left), flat(right), strict=True))


def test_zip_of_many_records(sc):
    n = 3 * 8192
    numbers = sc.range(n, numSlices=1)
    assert numbers.zip(numbers.map(lambda x: -x)).filter(lambda pair: pair[0] + pair[1]).count() == 0
    for more in (1, -1):
        with pytest.raises(JobFailed, match="fewer or more records"):
            numbers.zip(sc.range(n + more, numSlices=1)).count()


def test_zip_of_unlike_rdds(sc, tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    lines = sc.textFile(f"{tmp_path}/a.txt", 1)
    shuffled = sc.range(3, numSlices=2).repartition(1)
    zipped = lines.zip(shuffled).zip(lines.cartesian(sc.parallelize([0], 1)))
    assert [line for (line, _), _ in zipped.collect()] == ["one", "two", "three"]


@given(left=parts_of(ints, 3), right=parts_of(words, 3))
def test_cartesian(sc, left, right):
    expected = [list(itertools.product(a, b)) for a in left for b in right]
    rdd = rdd_of(sc, left).cartesian(rdd_of(sc, right))
    assert rdd.getNumPartitions() == len(left) * len(right)
    assert layout(rdd) == expected


def test_cartesian_of_products_and_of_itself(sc):
    numbers = sc.range(3, numSlices=2)
    assert bag(numbers.cartesian(numbers).collect()) == bag(itertools.product(range(3), repeat=2))
    twice = numbers.cartesian(numbers).cartesian(numbers.union(numbers))
    assert bag(twice.collect()) == bag(itertools.product(itertools.product(range(3), repeat=2), [0, 1, 2] * 2))
    assert twice.getNumPartitions() == 16


@pytest.mark.parametrize(("n", "m"), [(1, 20_000), (20_000, 1), (300, 300)])
def test_cartesian_of_many_records(sc, n, m):
    product = sc.range(n, numSlices=1).cartesian(sc.range(m, numSlices=1))
    assert product.count() == n * m
    assert product.map(lambda pair: pair[0] * m + pair[1]).sum() == sum(range(n * m))


@given(parts=parts_of(ints))
def test_unique_ids(sc, parts):
    rdd, n = rdd_of(sc, parts), len(parts)
    jobs = jobs_run_by(sc, rdd.zipWithUniqueId)
    assert jobs == []
    assert layout(rdd.zipWithUniqueId()) == [[(x, i * n + k) for i, x in enumerate(p)] for k, p in enumerate(parts)]


@given(parts=parts_of(st.text("ab \n", max_size=4) | ints))
def test_pipe(sc, parts):
    expected = [line for x in flat(parts) for line in (str(x).rstrip("\n")).split("\n")]
    assert rdd_of(sc, parts).pipe("cat").collect() == expected


def test_pipe_of_much_more_than_fits_into_pipes(sc):
    n = 200_000
    assert sc.range(n, numSlices=1).pipe("cat").map(int).sum() == sum(range(n))
    assert sc.range(n, numSlices=1).pipe("sort -n -r").first() == str(n - 1)
    assert len(sc.parallelize(["x"], 1).pipe("seq 300000").collect()) == 300_000


def test_pipe_to_a_program_that_does_not_read(sc):
    assert sc.range(100_000, numSlices=1).pipe("head -n 3").collect() == ["0", "1", "2"]
    assert sc.range(100_000, numSlices=1).pipe("true").collect() == []
    assert sc.range(100_000, numSlices=2).pipe("cat").take(2) == ["0", "1"]


def test_pipe_status(sc):
    rdd = sc.range(2, numSlices=1)
    assert rdd.pipe("false").collect() == []
    with pytest.raises(JobFailed, match="the command 'false' failed: it ended with status 1"):
        rdd.pipe("false", checkCode=True).collect()
    with pytest.raises(JobFailed) as caught:
        rdd.pipe("no-such-program-anywhere").collect()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_pipe_environment_and_words(sc):
    rdd = sc.range(1, numSlices=1)
    assert rdd.pipe("env").collect() == []
    assert rdd.pipe("env", {"A": "1"}).collect() == ["A=1"]
    assert rdd.pipe("printf '%s|' 'a b' c").collect() == ["a b|c|"]
    assert rdd.pipe("printf 'caf\\xe9'").collect() == ["caf\ufffd"]


def test_a_function_below_a_pipe_fails(sc):
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        sc.range(3).map(lambda x: 1 // x).pipe("cat").collect()


def test_bad_pipes(sc):
    for command, error in (("", ValueError), ("'", ValueError), (3, TypeError)):
        with pytest.raises(error):
            sc.range(3).pipe(command)
    with pytest.raises(TypeError):
        sc.range(3).pipe("cat", {"A": 1})
    with pytest.raises(TypeError, match=r"^pipe: env must be a dict"):
        sc.range(3).pipe("cat", "A=1")


@given(parts=parts_of(st.tuples(ints, ints)), n=counts, ascending=st.booleans())
def test_repartition_and_sort(sc, parts, n, ascending):
    rdd = rdd_of(sc, parts)
    placed = [[pair for pair in flat(parts) if portable_hash(pair[0]) % n == i] for i in range(n)]
    expected = [sorted(p, key=operator.itemgetter(0), reverse=not ascending) for p in placed]
    made = rdd.repartitionAndSortWithinPartitions(n, ascending=ascending)
    assert layout(made) == expected
    by_function = rdd.repartitionAndSortWithinPartitions(n, lambda key: key // 2, ascending, lambda key: -key)
    for i, part in enumerate(layout(by_function)):
        assert all(key // 2 % n == i for key, _ in part)
        assert [key for key, _ in part] == sorted((key for key, _ in part), reverse=ascending)
    again = made.repartitionAndSortWithinPartitions(n, ascending=not ascending)
    assert layout(again) == [sorted(p, key=operator.itemgetter(0), reverse=ascending) for p in expected]


def test_repartition_and_sort_runs_nothing(sc):
    rdd = sc.parallelize([(2, 1), (1, 1)], 2)
    assert jobs_run_by(sc, lambda: rdd.repartitionAndSortWithinPartitions(2)) == []
    assert rdd.repartitionAndSortWithinPartitions().partitioner == rdd.partitionBy(2).partitioner


@given(parts=parts_of(pairs))
def test_reduce_by_key_locally(sc, parts):
    expected = {key: sum(values) for key, values in groups(flat(parts)).items()}
    assert rdd_of(sc, parts).reduceByKeyLocally(operator.add) == expected


def test_old_names(sc):
    rdd = sc.range(4, numSlices=2)
    with pytest.warns(FutureWarning, match="mapPartitionsWithIndex"):
        assert rdd.mapPartitionsWithSplit(lambda i, part: [i]).collect() == [0, 1]
    with pytest.warns(FutureWarning, match="jobGroup"):
        assert rdd.collectWithJobGroup("old", "the old way") == [0, 1, 2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sc.jobs()[-1].group == "old"
        assert sc.getLocalProperty("spark.jobGroup.id") is None


def test_keys_of_every_kind_take_part(sc):
    rdd = sc.parallelize([(key, 1) for key in (None, 1.5, "a", (1, None), b"x", float("nan"))], 3)
    assert len(rdd.reduceByKeyLocally(operator.add)) == 6
    assert rdd.zip(rdd).count() == 6
