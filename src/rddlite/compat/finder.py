"""Modules that are nothing but a table of names, for programs that import them by those names.

Owns the entry in `sys.meta_path` that answers for such packages, and the directory on `sys.path` through which
executors of this application, which inherit that path, find them too. Knows nothing of what the names mean.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

DROP_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drop_in")
"""A directory that, on the path of a process, makes `import pyspark` mean rddlite."""

Names = Mapping[str, str]
"""What a module holds: each name, and where its value is, as `module:attribute`."""


class TableModule(ModuleType):
    """A module whose attributes are looked up when they are first used."""

    def __init__(self, name: str, modules: Mapping[str, Names], why_not: Callable[[str, str], str]) -> None:
        super().__init__(name, f"What `{name}` names, as far as rddlite has it.")
        self._modules = modules
        self._names = names = modules[name]
        self._why_not = why_not
        self.__all__ = sorted(names)

    def __getattr__(self, name: str) -> Any:
        where = self._names.get(name)
        if where is None:
            if name.startswith("__"):
                raise AttributeError(name)
            if f"{self.__name__}.{name}" in self._modules:  # PySpark imports most of its modules with the package
                return importlib.import_module(f"{self.__name__}.{name}")
            raise AttributeError(self._why_not(self.__name__, name), name=name, obj=self)
        module, _, attribute = where.partition(":")
        value = getattr(importlib.import_module(module), attribute)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._names]


class _Loader(importlib.abc.Loader):
    def __init__(self, modules: Mapping[str, Names], why_not: Callable[[str, str], str]) -> None:
        self._modules = modules
        self._why_not = why_not

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return TableModule(spec.name, self._modules, self._why_not)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be run."""


class TableFinder(importlib.abc.MetaPathFinder):
    """Answers for whole packages: what is not in the table is refused, and never looked for on the path.

    Args:
        modules: every module by its full name, and what it holds.
        why_not: what to say of a name that a module lacks (module, name), and of a missing module (module, "").
    """

    def __init__(self, modules: Mapping[str, Names], why_not: Callable[[str, str], str]) -> None:
        self._modules = modules
        self._why_not = why_not
        self._packages = {name.partition(".")[0] for name in modules}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        if fullname not in self._modules:
            # `from package import name` tries this for a name that it did not find. With the name in the error, Python
            # would leave out the reason; and it asks for packages alone, so all of these are.
            raise ModuleNotFoundError(self._why_not(fullname, ""))
        return importlib.util.spec_from_loader(fullname, _Loader(self._modules, self._why_not), is_package=True)

    def install(self) -> None:
        """Answer from now on, in this process and in those that inherit its path. A second call changes nothing."""
        if any(isinstance(each, TableFinder) and each._packages & self._packages for each in sys.meta_path):
            return
        for name in [each for each in sys.modules if each.partition(".")[0] in self._packages]:
            del sys.modules[name]  # an installed package of that name, or the module in DROP_IN that asks for this
        sys.meta_path.insert(0, self)
        if DROP_IN not in sys.path:
            sys.path.insert(0, DROP_IN)
        for package in sorted(self._packages):
            importlib.import_module(package)
