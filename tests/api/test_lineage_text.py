"""toDebugString, explain, names, numbers and representations."""

from __future__ import annotations

import operator

from rddlite import RDD, Context, ResultIterable


def test_debug_string_shows_exchanges(sc):
    counts = sc.parallelize(["a b"], 2).flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(operator.add, 3)
    text = counts.setName("counts").mapValues(str).toDebugString()
    assert isinstance(text, bytes)
    lines = text.decode().splitlines()
    assert lines[0].startswith("(3) mapValues at ")
    assert lines[1].startswith(" |  counts Shuffled at ")
    assert lines[2].startswith(" +-(2) map at ")
    assert "ParallelCollection" in lines[-1]
    assert "test_lineage_text.py" in lines[0]


def test_explain_prints_stages(sc, capsys):
    counts = sc.parallelize(["a b"], 2).flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(operator.add, 3)
    assert counts.explain() is None
    printed = capsys.readouterr().out
    assert "Stage 1: 2 tasks" in printed
    assert "flatMap(str.split) at test_lineage_text.py" in printed
    assert "combined by key first" in printed
    assert "Stage 2: 3 tasks" in printed


def test_ids_rise_and_chains_take_theirs_at_the_first_use(sc):
    first = sc.parallelize([1])
    chain = first.map(str).filter(bool)
    later = sc.parallelize([2])
    assert first.id() < later.id() < chain.id()
    assert chain.id() == chain.id()
    assert later.union(first).id() > chain.id()
    used = first.map(str)
    used.count()
    assert used.id() < sc.range(1).id()


def test_names(sc):
    rdd = sc.range(3)
    assert rdd.name() is None
    assert rdd.setName("numbers") is rdd
    assert rdd.name() == "numbers"
    assert "numbers" in repr(rdd)
    union = rdd.union(rdd).setName("both")
    assert union.union(rdd).toDebugString().decode().count("both") == 1
    assert union.union(rdd).count() == 9


def test_representations(sc):
    assert repr(sc) == "<Context master=inline appName=tests>"
    assert repr(sc.range(3).map(str)).startswith("<RDD map at test_lineage_text.py:")
    assert repr(sc.range(3).union(sc.range(3))).startswith("<RDD union at test_lineage_text.py:")


def test_public_classes_can_be_subscripted():
    assert RDD[tuple[str, int]] is not None
    assert ResultIterable[str] is not None


def test_context_of_an_rdd(sc):
    rdd = sc.range(3).map(str)
    assert isinstance(rdd.context, Context)
    assert rdd.context is rdd.ctx is sc
