"""Variables that the program chose for its executors are there in their workers, wherever those run."""

from __future__ import annotations

import os
import sys

import pytest

from rddlite import Conf, Context

pytestmark = pytest.mark.local


def variables(*names):
    def of(records):
        return [{name: os.environ.get(name) for name in names}]

    return of


def test_executors_of_this_host(tmp_path, monkeypatch):
    (tmp_path / "module_of_the_environment.py").write_text("VALUE = 7\n")
    monkeypatch.setenv("INHERITED_BY_ALL", "driver")
    conf = Conf({"executor.env": '{"FROM_SETTING": "s"}'}).setExecutorEnv("FROM_CONF", "c").setMaster("local[2]")
    given = {"GIVEN": "1", "PYTHONHASHSEED": "7", "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "3"}
    with Context(conf=conf, environment=given) as sc:
        assert sc.environment["GIVEN"] == "1"
        names = ["FROM_SETTING", "FROM_CONF", "GIVEN", "OMP_NUM_THREADS", "INHERITED_BY_ALL"]
        seen = sc.range(2, numSlices=2).mapPartitions(variables(*names)).collect()
        assert seen == [dict(zip(names, ["s", "c", "1", "3", "driver"], strict=True))] * 2
        # What places keys alike stays as it is.
        assert sc.range(1).mapPartitions(variables("PYTHONHASHSEED")).first() == {"PYTHONHASHSEED": "0"}
        rdd = sc.range(1).map(lambda x: __import__("module_of_the_environment").VALUE)
        assert rdd.collect() == [7]
    assert "GIVEN" not in os.environ
    assert str(tmp_path) not in sys.path


def test_inline_tasks_see_the_drivers():
    with Context("inline", environment={"GIVEN_INLINE": "1"}) as sc:
        assert sc.range(1).mapPartitions(variables("GIVEN_INLINE")).first() == {"GIVEN_INLINE": None}
