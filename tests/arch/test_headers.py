"""Files and functions stay small, every module says what it owns, and names say what things are."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.arch.source import Module, load, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

Modules = dict[str, Module]
MODULES = load()

MOST_HEADER_LINES = 12
MOST_FILE_LINES = 500
MOST_FUNCTION_LINES = 60
FORBIDDEN_WORDS = {"Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Impl", "Base"}
FORBIDDEN_MODULES = {"util", "utils", "helper", "helpers", "common", "misc"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(module: Module) -> Iterator[Definition]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Definition))


def bad_headers(modules: Modules) -> list[str]:
    found = []
    for module in modules.values():
        header = ast.get_docstring(module.tree, clean=False)
        if header is None:
            found.append(f"{module.name}: no module docstring")
        elif _longer_than_allowed(module, header):
            found.append(f"{module.name}: its docstring has more than {MOST_HEADER_LINES} lines")
    return found


def _longer_than_allowed(module: Module, header: str) -> bool:
    # The tree of exceptions is drawn in its module's docstring.
    return module.name != "errors" and len(header.strip().splitlines()) > MOST_HEADER_LINES


def long_files(modules: Modules) -> list[str]:
    return [
        f"{module.name}: {lines} lines"
        for module in modules.values()
        if (lines := module.text.count("\n")) >= MOST_FILE_LINES
    ]


def long_functions(modules: Modules) -> list[str]:
    return [
        f"{module.name}:{node.lineno} {node.name}: {length} lines"
        for module in modules.values()
        for node in definitions(module)
        if not isinstance(node, ast.ClassDef) and (length := _length(node)) > MOST_FUNCTION_LINES
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring: the contract may be as long as it has to be."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


def bad_names(modules: Modules) -> list[str]:
    return [
        f"{module.name}:{node.lineno} {node.name}"
        for module in modules.values()
        for node in definitions(module)
        if FORBIDDEN_WORDS & {word.capitalize() for word in _words(node.name)}
    ]


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", name)


def bad_module_names(modules: Modules) -> list[str]:
    return [name for name in modules if FORBIDDEN_MODULES & set(name.split("."))]


CHECKS = [bad_headers, long_files, long_functions, bad_names, bad_module_names]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_source_keeps_the_rule(check):
    found = check(MODULES)
    assert not found, "\n".join(["", *map(str, found)])


PLANTED = {
    "no docstring": (bad_headers, {"base/ids.py": "x = 1\n"}),
    "a novel": (bad_headers, {"base/ids.py": '"""\n' + "line\n" * 13 + '"""\n'}),
    "long file": (long_files, {"base/ids.py": "x = 1\n" * 500}),
    "long function": (long_functions, {"base/ids.py": "def f():\n" + "    x = 1\n" * 61}),
    "long method": (
        long_functions,
        {"base/ids.py": "class A:\n    async def f(self):\n" + "        x = 1\n" * 61},
    ),
    "manager": (bad_names, {"base/ids.py": "class BlockManager: ...\n"}),
    "base": (bad_names, {"base/ids.py": "class RDDBase: ...\n"}),
    "helper": (bad_names, {"base/ids.py": "def read_helper(): ...\n"}),
    "utils": (bad_module_names, {"base/utils.py": ""}),
}


@pytest.mark.parametrize(("check", "files"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(tmp_path, check, files):
    assert check(plant(tmp_path, files))


def test_what_is_allowed_passes(tmp_path):
    longest = '"""' + "line\n" * 12 + '"""\n\ndef f():\n    """' + "doc\n" * 40 + '    """\n' + "    x = 1\n" * 60
    modules = plant(tmp_path, {"base/ids.py": longest + "class Database: ...\ndef basement(): ...\n"})
    assert [check(modules) for check in CHECKS] == [[]] * len(CHECKS)
