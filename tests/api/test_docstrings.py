"""The examples in the docstrings of the API say what happens, and every public method has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import operator
import pkgutil

import pytest

import rddlite.api
import rddlite.shared
from rddlite import (
    RDD,
    Accumulator,
    AccumulatorParam,
    BarrierTaskContext,
    Broadcast,
    Conf,
    Context,
    RDDBarrier,
    SparkFiles,
    StatCounter,
    StatusTracker,
    TaskContext,
)

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (rddlite.api, rddlite.shared)
    for module in pkgutil.iter_modules(package.__path__)
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def sc():
    with Context("inline", "docs") as context:
        yield context


@pytest.mark.parametrize("name", MODULES)
def test_examples(sc, name):
    module = importlib.import_module(name)
    given = {"sc": sc, "add": operator.add, "Context": Context, "Conf": Conf, "SparkFiles": SparkFiles}
    given["BarrierTaskContext"] = BarrierTaskContext
    assert doctest.testmod(module, extraglobs=given, optionflags=FLAGS).failed == 0


def _public(cls):
    for name, member in inspect.getmembers(cls):
        is_ours = getattr(member, "__module__", "") or getattr(getattr(member, "fget", None), "__module__", "")
        if not name.startswith("_") and is_ours.startswith("rddlite"):
            yield pytest.param(member, id=f"{cls.__name__}.{name}")


@pytest.mark.parametrize(
    "member",
    [
        *_public(RDD),
        *_public(RDDBarrier),
        *_public(BarrierTaskContext),
        *_public(Context),
        *_public(Conf),
        *_public(Broadcast),
        *_public(Accumulator),
        *_public(AccumulatorParam),
        *_public(StatCounter),
        *_public(StatusTracker),
        *_public(SparkFiles),
        *_public(TaskContext),
    ],
)
def test_every_public_method_has_an_example(member):
    text = inspect.getdoc(member) or ""
    assert ">>>" in text
