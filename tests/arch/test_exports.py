"""What `import rddlite` offers is exactly what `__all__` says, every name resolves, and each is documented."""

from __future__ import annotations

import ast
import inspect
import types

import pytest

import rddlite
import rddlite.errors
from tests.arch.source import SRC


def public_names(module: types.ModuleType) -> set[str]:
    """Names without an underscore that are not modules of the package itself."""
    return {
        name
        for name in dir(module)
        if not name.startswith("_") and not isinstance(getattr(module, name), types.ModuleType)
    } - {"annotations", "TYPE_CHECKING"}


def problems(module: types.ModuleType) -> list[str]:
    listed = list(module.__all__)
    found = [f"{name} is listed twice" for name in set(listed) if listed.count(name) > 1]
    found += [f"{name} is listed and does not resolve" for name in listed if not _resolves(module, name)]
    found += [f"{name} is public and not listed" for name in sorted(public_names(module) - set(listed))]
    return found


def _resolves(module: types.ModuleType, name: str) -> bool:
    return getattr(module, name, _resolves) is not _resolves


def test_all_is_what_is_public():
    assert problems(rddlite) == []


@pytest.mark.parametrize("name", getattr(rddlite, "__all__", []))
def test_every_public_name_is_documented(name):
    value = getattr(rddlite, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value), f"rddlite.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        rddlite.no_such_name  # noqa: B018


def test_every_error_is_drawn_in_the_tree():
    tree = inspect.getdoc(rddlite.errors) or ""
    source = ast.parse((SRC / "rddlite" / "errors.py").read_text(encoding="utf-8"))
    names = [node.name for node in source.body if isinstance(node, ast.ClassDef)]
    assert names
    assert [name for name in names if f" {name} " not in f"{tree} ".replace("\n", " \n")] == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("__all__ = ['a']\na = 1\nb = 2\n", "b is public and not listed"),
        ("__all__ = ['a']\n", "a is listed and does not resolve"),
        ("__all__ = ['a', 'a']\na = 1\n", "a is listed twice"),
        ("__all__ = ['a']\ndef __getattr__(_): raise AttributeError\n", "a is listed and does not resolve"),
    ],
)
def test_a_planted_violation_is_found(body, problem):
    module = types.ModuleType("planted")
    exec(body, module.__dict__)
    assert problems(module) == [problem]
