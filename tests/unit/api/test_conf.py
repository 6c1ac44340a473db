"""Conf has SparkConf's methods over our settings, and refuses what Settings would."""

from __future__ import annotations

import logging

import pytest

from rddlite import Conf
from rddlite.errors import ConfigError


def test_setters_chain_and_getters_give_text():
    conf = Conf().setMaster("local[2]").setAppName("a").set("default.parallelism", 4).set("task.failFast", True)
    assert conf.getAll() == [
        ("master", "local[2]"),
        ("app.name", "a"),
        ("default.parallelism", "4"),
        ("task.failFast", "True"),
    ]
    assert conf.get("default.parallelism") == "4"
    assert conf.get("local.dir") is None
    assert conf.get("local.dir", "/tmp") == "/tmp"
    assert conf.contains("master")
    assert not conf.contains("local.dir")
    assert conf.setIfMissing("master", "inline").setIfMissing("local.dir", "/x").get("local.dir") == "/x"
    assert conf.get("master") == "local[2]"
    assert Conf(conf.getAll()).toDebugString().splitlines()[0] == "app.name=a"
    assert conf.settings()["task.failFast"] is True
    assert repr(Conf({"master": "inline"})) == "Conf({'master': 'inline'})"


def test_sparks_names_for_the_same_things():
    conf = Conf({"spark.master": "inline", "spark.driver.maxResultSize": "2g", "spark.default.parallelism": "3"})
    assert conf.get("master") == conf.get("spark.master") == "inline"
    assert conf.contains("spark.default.parallelism")
    assert conf.contains("default.parallelism")
    assert conf.settings()["driver.maxResultSize"] == 2 << 30
    assert Conf({"spark.app.name": "a"}).set("app.name", "b").getAll() == [("app.name", "b")]


def test_other_keys_of_sparks_are_kept_and_mean_nothing(caplog):
    conf = Conf({"spark.ui.port": 4040, "master": "inline"})
    assert conf.get("spark.ui.port") == "4040"
    with caplog.at_level(logging.INFO, "rddlite"):
        assert conf.settings().given == {"master": "inline"}
    assert "spark.ui.port" in caplog.text


def test_several_directories_are_given_as_in_spark():
    assert Conf().set("spark.local.dir", "/one, /two").get("local.dir") == "/one, /two"


def test_a_misspelt_key_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"'task\.maxFailure'; did you mean 'task\.maxFailures'"):
        Conf().set("task.maxFailure", 3)
    with pytest.raises(ConfigError, match=r"task\.maxFailures.*none"):
        Conf({"task.maxFailures": "none"})


def test_wrong_types():
    with pytest.raises(TypeError, match="key must be a str, not int"):
        Conf().set(3, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'local\.dir' must not be None"):
        Conf().set("local.dir", None)


@pytest.mark.parametrize("given", [5, 0, "local", b"x"])
def test_what_holds_no_settings(given):
    with pytest.raises(TypeError, match="settings must be a Conf, a dictionary or"):
        Conf(given)


def test_copies_are_apart():
    conf = Conf({"master": "inline"})
    conf.copy().set("master", "local")
    assert conf.get("master") == "inline"


def test_variables_of_executors():
    conf = Conf({"executor.env": '{"A": "1", "B": "2"}'}).setExecutorEnv(pairs=[("B", "3"), ("C", "x=y")])
    assert conf.settings()["executor.env"] == {"A": "1", "B": "3", "C": "x=y"}
    assert Conf().settings()["executor.env"] is None


@pytest.mark.parametrize("value", ["[1]", "{", '{"": "1"}', '{"A=B": "1"}', '{"A": "\\u0000"}'])
def test_variables_that_cannot_be(value):
    with pytest.raises(ConfigError, match=r"executor\.env"):
        Conf({"executor.env": value})
