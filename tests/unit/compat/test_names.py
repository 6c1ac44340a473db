"""Every name of the table leads somewhere, and what is not in it says why."""

from __future__ import annotations

import importlib

import pytest

from rddlite.compat.finder import TableFinder, TableModule
from rddlite.compat.pyspark.names import MODULES, why_not


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_something_of_ours(module):
    for name, where in MODULES[module].items():
        owner, _, attribute = where.partition(":")
        assert owner.startswith(("rddlite", "cloudpickle")), name
        assert getattr(importlib.import_module(owner), attribute) is not None


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        ("pyspark.sql.functions", "", "SQL"),
        ("pyspark.sql", "DataFrame", "SQL"),
        ("pyspark.mllib.linalg", "Vectors", "JVM"),
        ("pyspark", "Wobble", "coming-from-spark"),
    ],
)
def test_what_is_missing_says_why(module, name, reason):
    text = why_not(module, name)
    assert text.startswith(f"{module}.{name} is not" if name else f"{module} is not")
    assert reason in text


def test_a_module_of_the_table():
    module = TableModule("pyspark.version", MODULES, why_not)
    assert module.__all__ == ["__version__"]
    assert "__version__" in dir(module)
    with pytest.raises(AttributeError, match=r"pyspark\.version\.nope is not part of rddlite"):
        _ = module.nope
    with pytest.raises(AttributeError, match="__path__"):
        _ = module.__path__


def test_the_finder_answers_for_its_packages_alone():
    finder = TableFinder(MODULES, why_not)
    assert finder.find_spec("numpy", None) is None
    assert finder.find_spec("pysparkling", None) is None
    top, leaf = finder.find_spec("pyspark", None), finder.find_spec("pyspark.rdd", None)
    assert top is not None
    assert top.submodule_search_locations is not None
    assert leaf is not None
    with pytest.raises(ModuleNotFoundError, match=r"pyspark\.ml is not part of rddlite"):
        finder.find_spec("pyspark.ml", None)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("from pyspark import SQLContext", "pyspark.SQLContext is not part"),
        ("from pyspark.sql.types import Row, StructType", "StructType is not part of rddlite: it is SQL"),
        ("from pyspark.ml.feature import Word2Vec", "works on DataFrames"),
        ("from pyspark import UDFBasicProfiler", "functions of SQL"),
        ("import pyspark.daemon", "inner part of Spark"),
    ],
)
def test_an_import_that_fails_says_why(statement, reason):
    with pytest.raises(ImportError, match=reason):
        exec(statement, {})


def test_modules_are_there_with_their_package():
    names: dict[str, object] = {}
    exec("import pyspark; found = pyspark.rdd.RDD, pyspark.sql.types.Row, pyspark.storagelevel.StorageLevel", names)
    assert [each.__name__ for each in names["found"]] == ["RDD", "Row", "StorageLevel"]
    exec("from pyspark.rdd import *", names)
    assert "portable_hash" in names
