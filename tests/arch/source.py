"""A source tree as the architecture tests see it: modules, and who imports whom, read with `ast` and never executed."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = "rddlite"


@dataclass(frozen=True)
class Import:
    """One imported module. `deferred` is inside a function, `typing_only` under `if TYPE_CHECKING`."""

    target: str
    line: int
    deferred: bool = False
    typing_only: bool = False

    @property
    def top(self) -> str:
        return self.target.split(".")[0]

    @property
    def runs_at_import(self) -> bool:
        return not self.deferred and not self.typing_only


@dataclass(frozen=True)
class Module:
    """One file. `name` is dotted and without the package's own name: `schedule.core`, `errors`, `` for the root."""

    name: str
    path: Path
    text: str
    tree: ast.Module = field(repr=False, compare=False)
    known: frozenset[str] = field(repr=False, compare=False)

    @property
    def package(self) -> str:
        """The first part of the name: the layer."""
        return self.name.split(".")[0]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Everything it imports; `from package import module` counts as importing that module."""
        return tuple(self._imports(self.tree, deferred=False, typing_only=False))

    def _imports(self, node: ast.AST, deferred: bool, typing_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, deferred, typing_only)
            elif isinstance(child, ast.ImportFrom):
                for target in self._targets(child):
                    yield Import(target, child.lineno, deferred, typing_only)
            elif isinstance(child, ast.If) and _is_typing_guard(child.test):
                yield from self._imports(ast.Module(child.body, []), deferred, True)
                yield from self._imports(ast.Module(child.orelse, []), deferred, typing_only)
            else:
                in_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from self._imports(child, deferred or in_function, typing_only)

    def _targets(self, node: ast.ImportFrom) -> Iterator[str]:
        base = node.module or ""
        if node.level:
            parts = [PACKAGE, *self.name.split(".")]
            keep = len(parts) - node.level + (self.path.name == "__init__.py")
            base = ".".join([*parts[:keep], *filter(None, [base])])
        for alias in node.names:
            dotted = f"{base}.{alias.name}"
            yield dotted if local_name(dotted) in self.known else base


def _is_typing_guard(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def local_name(target: str) -> str | None:
    """`schedule.core` for `rddlite.schedule.core`, `` for `rddlite`, None for what is not ours."""
    if target == PACKAGE:
        return ""
    return target.removeprefix(f"{PACKAGE}.") if target.startswith(f"{PACKAGE}.") else None


def load(src: Path = SRC) -> dict[str, Module]:
    """All modules of the package below `src`, by name."""
    root = src / PACKAGE
    paths = {_module_name(path.relative_to(root)): path for path in sorted(root.rglob("*.py"))}
    known = frozenset(paths)
    modules = {}
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        modules[name] = Module(name, path, text, ast.parse(text, filename=str(path)), known)
    return modules


def _module_name(relative: Path) -> str:
    parts = list(relative.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def plant(tmp_path: Path, files: dict[str, str]) -> dict[str, Module]:
    """A made-up package of these files (paths below the package), to show that a check bites."""
    for name, text in files.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load(tmp_path)
