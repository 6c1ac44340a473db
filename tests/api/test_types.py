"""What a type checker tells users of the API: types follow the records through a program."""

from __future__ import annotations

import re

import pytest

api = pytest.importorskip("mypy.api")

PROGRAM = """
from operator import add
from rddlite import Context

sc = Context("inline")
words = sc.textFile("x").flatMap(str.split)
counts = words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
weights = sc.parallelize([("a", 1.5)])
"""

REVEALED = {
    "words": "RDD[str]",
    "counts": "RDD[tuple[str, int]]",
    "counts.collectAsMap()": "dict[str, int]",
    "counts.join(weights)": "RDD[tuple[str, tuple[int, float]]]",
    "counts.leftOuterJoin(weights)": "RDD[tuple[str, tuple[int, float | None]]]",
    "counts.groupByKey()": "RDD[tuple[str, ResultIterable[int]]]",
    "counts.values().sum()": "int",
    "counts.mapValues(str).flatMapValues(list)": "RDD[tuple[str, str]]",
    "counts.sortBy(lambda pair: pair[1]).take(3)": "list[tuple[str, int]]",
    "counts.union(words)": "RDD[tuple[str, int] | str]",
    "sc.range(3).aggregate('', lambda s, x: s + str(x), add)": "str",
    "words.keyBy(len).partitionBy(3).sortByKey()": "RDD[tuple[int, str]]",
    "counts.lookup('a')": "list[int]",
    "words.setName('words')": "RDD[str]",
    "words.groupBy(len)": "RDD[tuple[int, ResultIterable[str]]]",
    "counts.reduceByKey(add)": "RDD[tuple[str, int]]",
    "counts.cogroup(weights)": "RDD[tuple[str, tuple[ResultIterable[int], ResultIterable[float]]]]",
    "counts.fullOuterJoin(weights)": "RDD[tuple[str, tuple[int | None, float | None]]]",
    "counts.aggregateByKey(0.0, lambda a, v: a + v, lambda a, b: a + b)": "RDD[tuple[str, float]]",
    "words.zip(words.map(len)).zipWithIndex()": "RDD[tuple[tuple[str, int], int]]",
    "words.cartesian(counts).first()": "tuple[str, tuple[str, int]]",
    "words.mapBatches(lambda batch: [len(batch)], 10)": "RDD[int]",
    "words.mapPartitions(lambda part: (len(word) for word in part)).glom()": "RDD[list[int]]",
    "counts.topByKey(2).collectAsMap()": "dict[str, list[int]]",
    "counts.sample(False, 0.5).cache()": "RDD[tuple[str, int]]",
    "words.randomSplit([1, 2])": "list[RDD[str]]",
    "words.countByValue()": "defaultdict[str, int]",
    "words.treeReduce(max)": "str",
    "words.keyBy(len).repartitionAndSortWithinPartitions(2)": "RDD[tuple[int, str]]",
    "counts.reduceByKeyLocally(max)": "dict[str, int]",
}


@pytest.mark.slow
def test_types(tmp_path):
    lines = PROGRAM.splitlines()
    wrong = ["words.reduceByKey(add)", "words.map(3)", "counts.join([1])"]
    program = "\n".join([*lines, *(f"reveal_type({expression})" for expression in REVEALED), *wrong])
    path = tmp_path / "program.py"
    path.write_text(program)
    out, errors, _ = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(path)])
    assert errors == ""
    short = re.sub(r"\b(?:\w+\.)+(?=\w)", "", out)
    assert re.findall(r'Revealed type is "(.*)"', short) == list(REVEALED.values())
    bad = {int(n) for n in re.findall(rf"^{path}:(\d+): error", out, re.MULTILINE)}
    assert bad == set(range(len(lines) + len(REVEALED) + 1, len(lines) + len(REVEALED) + 1 + len(wrong)))
