"""SparkConf and SparkContext tell of themselves as PySpark's do."""

from __future__ import annotations

import importlib
import os

import pytest

from rddlite.api.conf import Conf
from rddlite.api.context import Context
from rddlite.compat.pyspark.context import SPARK_VERSION, SparkConf, SparkContext
from rddlite.compat.pyspark.partitioner import Partitioner
from rddlite.compat.pyspark.session import SparkSession
from rddlite.errors import ConfigError, Unsupported
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


def test_keys_of_the_programs_own_are_kept(caplog):
    conf = SparkConf(False).setMaster("inline").set("myapp.x", 1).set("default.paralelism", 2)
    assert (conf.get("myapp.x"), SparkConf(conf.getAll()).get("myapp.x")) == ("1", "1")
    with caplog.at_level("WARNING", "rddlite"), SparkContext(conf=conf.set("spark.executor.memroy", "1g")) as sc:
        assert sc.getConf().get("myapp.x") == "1"
    assert "default.paralelism (did you mean default.parallelism?)" in caplog.text
    assert "spark.executor.memroy (did you mean spark.executor.memory?)" in caplog.text
    assert "myapp.x" not in caplog.text
    with pytest.raises(ConfigError, match=r"task\.maxFailures"):
        SparkConf(False).set("task.maxFailures", "none")


def test_inner_names():
    with SparkContext("inline", "inner") as sc:
        assert os.path.isdir(sc._temp_dir)
        assert sc._python_includes == []
        assert sc._conf.get("spark.app.name") == "inner"
        for name, instead in (
            ("_jsc", "spark.hadoop"),
            ("_jvm", "public"),
            ("_gateway", "public"),
            ("_batchSize", "size of batches"),
            ("_next_accum_id", "sc.accumulator"),
        ):
            assert not hasattr(sc, name)
            with pytest.raises(Unsupported, match=instead):
                getattr(sc, name)
        with pytest.raises(AttributeError, match="nonsense"):
            sc.nonsense  # noqa: B018
        rdd = sc.range(3)
        for name in ("_jrdd", "_reserialize", "_memory_limit", "_defaultReducePartitions", "_is_pipelinable", "prev"):
            assert not hasattr(rdd, name)
            with pytest.raises(Unsupported, match=f"RDD.{name} is an inner part"):
                getattr(rdd, name)
        with pytest.raises(AttributeError, match="'RDD' object has no attribute 'nonsense'"):
            rdd.nonsense  # noqa: B018


def test_what_is_sql_is_not_there():
    with SparkSession.builder.config("spark.master", "inline").config("myapp.y", True).getOrCreate() as spark:
        assert spark.conf.get("myapp.y") == "true"
        assert not hasattr(spark, "udf")
        assert getattr(spark, "catalog", None) is None
        with pytest.raises(NotImplementedError, match=r"SparkSession\.udf is SQL"):
            spark.udf  # noqa: B018
