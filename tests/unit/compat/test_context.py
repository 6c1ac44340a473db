"""SparkConf and SparkContext tell of themselves as PySpark's do."""

from __future__ import annotations

import importlib

import pytest

from rddlite.api.conf import Conf
from rddlite.api.context import Context
from rddlite.compat.pyspark.context import SPARK_VERSION, SparkConf, SparkContext
from rddlite.compat.pyspark.partitioner import Partitioner
from rddlite.serde.hashing import stable_hash


def test_settings_are_told_by_their_names_in_spark():
    conf = SparkConf(False).setMaster("inline").set("executor.memory", "1g").set("spark.foo", True)
    assert conf.getAll() == [("spark.master", "inline"), ("spark.executor.memory", "1g"), ("spark.foo", "True")]
    assert conf.toDebugString().splitlines() == ["spark.executor.memory=1g", "spark.foo=True", "spark.master=inline"]
    assert conf.get("master") == conf.get("spark.master") == "inline"
    assert isinstance(conf.copy(), SparkConf)


@pytest.mark.parametrize("conf", [None, {"app.name": "x"}, Conf({"app.name": "x"}), SparkConf({"app.name": "x"})])
def test_a_context_tells_its_settings(conf):
    assert SparkContext._active_spark_context is None
    with SparkContext("inline", conf=conf) as sc:
        told = sc.getConf()
        assert isinstance(told, SparkConf)
        assert dict(told.getAll())["spark.master"] == "inline"
        assert told.get("spark.app.name") == (None if conf is None else "x")
        assert sc._active_spark_context is SparkContext._active_spark_context is sc
        assert sc.version == SPARK_VERSION
        assert repr(sc).startswith("<SparkContext master=inline appName=")
        assert "<code>inline</code>" in sc._repr_html_()
        assert repr(sc.serializer) == "AutoBatchedSerializer(PickleSerializer(), 65536)"
        assert sc.profiler_collector is None
    assert SparkContext._active_spark_context is None


def test_partitioners_are_made_and_compared():
    def by_length(key):
        return len(key)

    with SparkContext("inline") as sc:
        pairs = sc.parallelize([("a", 1), ("bb", 2)])
        assert pairs.partitionBy(2).partitioner == Partitioner(2, stable_hash)
        assert pairs.partitionBy(2, by_length).partitioner == Partitioner(2, by_length) != Partitioner(3, by_length)
        assert isinstance(pairs.partitionBy(2).partitioner, Partitioner)
        assert not isinstance(pairs, Partitioner)
    assert Partitioner(2, by_length)("bbb") == 1
    with pytest.raises(TypeError, match="partitionFunc must be a function"):
        Partitioner(2, 3)


def test_what_pyspark_raises_from_the_jvm_is_caught_by_its_name(tmp_path):
    with SparkContext("inline") as sc:
        with pytest.raises(importlib.import_module("py4j.protocol").Py4JJavaError, match="does not exist"):
            sc.textFile(str(tmp_path / "missing")).count()
        with pytest.raises(importlib.import_module("py4j.protocol").Py4JJavaError, match="already exists"):
            sc.range(3).saveAsTextFile(str(tmp_path))


def test_a_printed_accumulator_is_its_value():
    with SparkContext("inline") as sc:
        total = sc.accumulator(0)
        sc.range(5).foreach(total.add)
        assert f"{total} {total!s}" == "10 10"


def test_properties_of_the_system_are_settings(monkeypatch):
    monkeypatch.setattr(Context, "_system_properties", {})
    SparkContext.setSystemProperty("spark.executor.memory", "96m")
    SparkContext.setSystemProperty("spark.app.name", "said before")
    assert SparkConf().get("spark.executor.memory") == "96m"
    assert not SparkConf(False).contains("spark.executor.memory")
    with SparkContext("inline", "said now") as sc:
        assert sc.getConf().get("spark.executor.memory") == "96m"
        assert sc.appName == "said now"
    with Context("inline") as sc:
        assert sc.appName == "said before"
