"""Reads a script without running it, and tells what of PySpark it uses that rddlite lacks.

Follows what variables are made of, as far as the program says so itself: what it imports, calls and annotates. A method
of something unknown is told of only if its name alone says that it needs a JVM, Hadoop or SQL.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rddlite
from rddlite.compat.pyspark import names, session
from rddlite.compat.pyspark.context import SparkConf, SparkContext

CLASSES: dict[str, type] = {
    "RDD": rddlite.RDD,
    "Context": SparkContext,
    "SparkContext": SparkContext,
    "Conf": SparkConf,
    "SparkConf": SparkConf,
    "Broadcast": rddlite.Broadcast,
    "Accumulator": rddlite.Accumulator,
    "SparkSession": session.SparkSession,
    "Builder": session.SparkSession.Builder,
    "RuntimeConf": session.RuntimeConf,
    "TextReader": session.TextReader,
    "TextFrame": session.TextFrame,
}
"""What a variable can be known to be, by the names that annotations and programs use."""

_ALIASES = {"Context": "SparkContext", "Conf": "SparkConf"}
"""Our names of what programs know by another: one variable may be made by a call here, and annotated there."""

BY_CUSTOM = {"sc": "SparkContext", "spark": "SparkSession"}
"""What variables of these names are in every Spark program that gets them from elsewhere."""

_JVM = "there is no JVM; use the public methods"
_HADOOP = (
    "Hadoop's formats are not read or written; use saveAsTextFile, saveAsPickleFile, or a library in foreachPartition"
)
_INPUT = "Hadoop's formats are not read or written; use textFile, binaryFiles, or a library in flatMap over the paths"
_FRAME = "there are no DataFrames; use pandas or Polars inside mapPartitions, or on what collect() gives"

ALONE: dict[str, str] = {
    "saveAsHadoopDataset": _HADOOP,
    "saveAsHadoopFile": _HADOOP,
    "saveAsNewAPIHadoopDataset": _HADOOP,
    "saveAsNewAPIHadoopFile": _HADOOP,
    "saveAsSequenceFile": _HADOOP,
    "hadoopFile": _INPUT,
    "hadoopRDD": _INPUT,
    "newAPIHadoopFile": _INPUT,
    "newAPIHadoopRDD": _INPUT,
    "sequenceFile": _INPUT,
    "createDataFrame": _FRAME,
    "toDF": _FRAME,
    "_gateway": _JVM,
    "_jconf": _JVM,
    "_jrdd": _JVM,
    "_jsc": _JVM,
    "_jvm": _JVM,
}
"""Names that mean one thing whatever they are called on."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One use of what is not covered: where it is, and what to say of it."""

    line: int
    column: int
    text: str


def findings(source: str) -> list[Finding]:
    """What a program uses that is not covered, in the order of its lines.

    Raises:
        SyntaxError: if it is no Python.

    >>> [found.line for found in findings("import pyspark\\nsc = pyspark.SparkContext()\\nsc.hadoopFile('x')")]
    [3]
    """
    reader = _Reader()
    tree = ast.parse(source)
    while True:  # a name may be used above the line that tells what it is
        before = dict(reader.kinds)
        reader.found.clear()
        reader.visit(tree)
        if reader.kinds == before:
            return sorted(reader.found)


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: set[Finding] = set()
        self.kinds: dict[str, str | None] = {}
        self._modules: dict[str, str] = {}

    # What names stand for

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            if top in ("pyspark", "py4j"):
                self._modules[alias.asname or top] = alias.name if alias.asname else top
                if alias.name not in names.MODULES:
                    self._tell(node, names.why_not(alias.name, ""))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module.partition(".")[0] not in ("pyspark", "py4j"):
            return
        if module not in names.MODULES:
            self._tell(node, names.why_not(module, ""))
            return
        for alias in node.names:
            if f"{module}.{alias.name}" in names.MODULES:
                self._modules[alias.asname or alias.name] = f"{module}.{alias.name}"
            elif alias.name in names.MODULES[module]:
                self._define(alias.asname or alias.name, f"class {alias.name}" if alias.name in CLASSES else None)
            elif alias.name != "*":
                self._tell(node, names.why_not(module, alias.name))

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._define(target.id, self._kind(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            self._define(node.target.id, _named_in(ast.unparse(node.annotation)))

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None:
            self._define(node.arg, _named_in(ast.unparse(node.annotation)))

    def visit_withitem(self, node: ast.withitem) -> None:
        self.generic_visit(node)
        if isinstance(node.optional_vars, ast.Name):
            self._define(node.optional_vars.id, self._kind(node.context_expr))

    def _define(self, name: str, kind: str | None) -> None:
        kind = _ALIASES.get(kind or "", kind)
        if self.kinds.get(name, kind) != kind:
            kind = None  # it is one thing here and another there
        self.kinds[name] = kind

    def _kind(self, node: ast.expr) -> str | None:
        """What an expression is made of: a key of CLASSES, `class` and such a key, or None."""
        if isinstance(node, ast.Name):
            return self.kinds.get(node.id) if node.id in self.kinds else BY_CUSTOM.get(node.id)
        if isinstance(node, ast.Attribute):
            module = self._module(node.value)
            if module is not None:
                return f"class {node.attr}" if node.attr in CLASSES else None
            return _member_kind(self._kind(node.value), node.attr, is_call=False)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and self._module(node.func.value) is None:
                return _member_kind(self._kind(node.func.value), node.func.attr, is_call=True)
            return (self._kind(node.func) or "").partition("class ")[2] or None
        return None

    def _module(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return self._modules.get(node.id)
        if isinstance(node, ast.Attribute):
            parent = self._module(node.value)
            return f"{parent}.{node.attr}" if parent and f"{parent}.{node.attr}" in names.MODULES else None
        return None

    # What is used

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        module = self._module(node.value)
        if module is not None:
            if node.attr not in names.MODULES[module] and f"{module}.{node.attr}" not in names.MODULES:
                self._tell(node, names.why_not(module, node.attr))
            return
        kind = (self._kind(node.value) or "").removeprefix("class ")
        if node.attr in ALONE:
            self._tell(node, f"{node.attr}: {ALONE[node.attr]}")
        elif kind in ("SparkSession", "TextFrame", "TextReader", "Builder") and not hasattr(CLASSES[kind], node.attr):
            self._tell(node, f"{kind.replace('TextFrame', 'DataFrame')}.{node.attr}: {_FRAME}")
        elif kind in CLASSES and not node.attr.startswith("_") and not hasattr(CLASSES[kind], node.attr):
            self._tell(node, f"{CLASSES[kind].__name__}.{node.attr}: rddlite has no such name")
        elif kind in CLASSES and _returns(inspect.getattr_static(CLASSES[kind], node.attr, None)) == "NoReturn":
            self._tell(node, f"{CLASSES[kind].__name__}.{node.attr}: {_why_refused(CLASSES[kind], node.attr)}")

    def _tell(self, node: ast.stmt | ast.expr, text: str) -> None:
        line, column = node.lineno, node.col_offset
        if isinstance(node, ast.Attribute) and node.end_lineno is not None and node.end_col_offset is not None:
            line, column = node.end_lineno, node.end_col_offset - len(node.attr)  # of a chain over several lines
        self.found.add(Finding(line, column + 1, text))


def _member_kind(kind: str | None, name: str, is_call: bool) -> str | None:
    if kind is None:
        return None
    owner = CLASSES.get(kind.removeprefix("class "))
    member: Any = inspect.getattr_static(owner, name, None)
    if name == "builder" and owner is session.SparkSession:
        return "Builder"
    if isinstance(member, property):
        return None if is_call else _named_in(_returns(member.fget))
    if isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    return _named_in(_returns(member)) if is_call else None


def _why_refused(owner: type, name: str) -> str:
    """What the first line of a method that only raises says."""
    text = inspect.getdoc(getattr(owner, name)) or ""
    return text.partition("\n")[0].removeprefix("Not there: ").rstrip(".")


def _returns(function: Any) -> str:
    annotations: Mapping[str, Any] = getattr(function, "__annotations__", {})
    return str(annotations.get("return", ""))


def _named_in(annotation: str) -> str | None:
    """The class that an annotation names: of `RDD[int] | None` it is RDD, of `SparkSession.Builder` Builder."""
    head = annotation.partition("[")[0]
    return next((word for word in reversed(re.findall(r"\w+", head)) if word in CLASSES), None)
