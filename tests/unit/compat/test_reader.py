"""What `rddlite check` recognises in a script, and what it leaves alone."""

from __future__ import annotations

import textwrap

import pytest

from rddlite.cli.main import main
from rddlite.compat.pyspark.reader import findings


def found(script: str) -> list[tuple[int, str]]:
    """The line of each finding, and the name that it is about."""
    texts = findings(textwrap.dedent(script))
    return [(each.line, each.text.partition(":")[0].partition(" is not")[0]) for each in texts]


def test_imports_that_lead_nowhere():
    assert found(
        """\
        import pyspark.streaming
        from pyspark import SparkContext, SQLContext
        from pyspark.sql import functions as F, SparkSession
        from pyspark.ml.feature import Word2Vec
        from py4j.protocol import Py4JJavaError
        from pyspark.rdd import *
        """
    ) == [
        (1, "pyspark.streaming"),
        (2, "pyspark.SQLContext"),
        (3, "pyspark.sql.functions"),
        (4, "pyspark.ml.feature"),
    ]


def test_methods_of_what_is_known():
    assert found(
        """\
        from pyspark import SparkConf, SparkContext
        conf = SparkConf().setAppName("x").wobble()
        sc = SparkContext(conf=conf)
        lines = sc.textFile("in").map(str.split)
        (lines.filter(bool)
              .nonsense()
              .cache())
        with SparkContext("local") as other:
            other.wibble()
        """
    ) == [(2, "SparkConf.wobble"), (6, "RDD.nonsense"), (9, "SparkContext.wibble")]


def test_arguments_and_names_that_come_from_elsewhere():
    assert found(
        """\
        def job(rdd: "RDD[int]", bc: Broadcast) -> None:
            rdd.foo()
            bc.bar()
            sc.baz()
            spark.sql("select 1")
            whatever.anything()
        """
    ) == [(2, "RDD.foo"), (3, "Broadcast.bar"), (4, "SparkContext.baz"), (5, "SparkSession.sql")]


def test_what_is_sql_or_hadoop_whatever_it_is_called_on():
    assert [name for _, name in found("x.toDF()\ny._jvm.z\nw.saveAsSequenceFile(1)\n")] == [
        "toDF", "_jvm", "saveAsSequenceFile",
    ]  # fmt: skip


def test_a_session_and_its_lines():
    assert found(
        """\
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.appName("x").config("a", 1).getOrCreate()
        rdd = spark.read.text("in").rdd.map(lambda row: row[0])
        rdd.reduceByKey(max).collect()
        spark.read.json("in")
        spark.read.text("in").select("a")
        spark.sparkContext.nothing()
        """
    ) == [(5, "TextReader.json"), (6, "DataFrame.select"), (7, "SparkContext.nothing")]


def test_a_name_that_is_two_things_is_neither():
    script = "from pyspark import SparkContext\nx = SparkContext()\nx.nope()\nx = 3\nx.real\n"
    assert found(script) == []


def test_names_may_be_used_before_the_line_that_tells_what_they_are():
    script = "def f():\n    return data.nope()\nfrom pyspark import SparkContext\ndata = SparkContext().range(3)\n"
    assert found(script) == [(2, "RDD.nope")]


def test_the_command(tmp_path, capsys):
    good, bad, broken = (tmp_path / name for name in ("good.py", "bad.py", "broken.txt"))
    good.write_text("from pyspark import SparkContext\nSparkContext().range(3).sum()\n")
    bad.write_text("sc.sequenceFile('x')\n")
    broken.write_text("this is no Python")
    assert main(["check", str(good)]) == 0
    assert capsys.readouterr().out == "1 script: all that was recognised is covered\n"
    assert main(["check", str(tmp_path)]) == 1
    assert f"{bad}:1:4: sequenceFile: Hadoop's formats" in capsys.readouterr().out
    assert main(["check", str(broken)]) == 2
    assert "is not Python: invalid syntax" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nowhere.py")]) == 1
    assert "nowhere.py: No such file" in capsys.readouterr().err


def test_a_script_that_is_no_python():
    with pytest.raises(SyntaxError):
        findings("def")


def test_methods_that_only_raise_are_told_of():
    assert found(
        """\
        sc.range(3).saveAsSequenceFile("x")
        sc.range(3).toDF()
        """
    ) == [(1, "saveAsSequenceFile"), (2, "toDF")]


def test_a_context_is_one_thing_whatever_made_it():
    assert found(
        """\
        from pyspark import SparkContext
        def main(sc: SparkContext):
            sc.wobble()
        sc = SparkContext.getOrCreate()
        main(sc)
        """
    ) == [(3, "SparkContext.wobble")]
