"""Packages import downwards, third-party packages have owners, pure files stay pure, nothing is imported late."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.arch import layers
from tests.arch.source import PACKAGE, ROOT, Module, load, local_name, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

Modules = dict[str, Module]
MODULES = load()


def covers(allowed: set[str], name: str) -> bool:
    """Whether `name` is one of these modules, or inside one of these packages."""
    return any(name == entry or name.startswith(f"{entry}.") for entry in allowed)


def imports_of_ours(module: Module) -> Iterator[tuple[str, int]]:
    for imported in module.imports:
        name = local_name(imported.target)
        if name is not None:
            yield name, imported.line


def wrong_layers(modules: Modules) -> list[str]:
    found = []
    for module in modules.values():
        if module.package in layers.TOP:
            continue
        if module.package not in layers.MAY_IMPORT:
            found.append(f"{module.name}: package {module.package!r} is not in the table of layers")
            continue
        allowed = layers.MAY_IMPORT[module.package] | layers.MODULE_MAY_IMPORT.get(module.name, set())
        allowed |= {module.package} | (set() if module.package in {"errors", "version"} else layers.FOUNDATION)
        found += [
            f"{module.name}:{line} imports {name or PACKAGE}"
            for name, line in imports_of_ours(module)
            if not covers(allowed, name)
        ]
    return found


def wrong_owners(modules: Modules) -> list[str]:
    return [
        f"{module.name}:{imported.line} imports {imported.top}"
        for module in modules.values()
        for imported in module.imports
        if imported.top not in sys.stdlib_module_names | {PACKAGE, "__future__"}
        and module.name not in layers.OWNERS.get(imported.top, set())
    ]


def cycles(modules: Modules) -> list[list[str]]:
    """Groups of modules that import each other while they are being imported (Tarjan's components)."""
    graph = {
        module.name: [
            name
            for imported in module.imports
            if imported.runs_at_import and (name := local_name(imported.target)) in modules
        ]
        for module in modules.values()
    }
    components = [sorted(component) for component in _components(graph)]
    return [group for group in components if len(group) > 1 or group[0] in graph[group[0]]]


def _components(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """Kosaraju: finish order forwards, then reachability backwards."""
    order: list[str] = []
    seen: set[str] = set()
    for start in graph:
        stack = [(start, iter(graph[start]))] if start not in seen else []
        seen.add(start)
        while stack:
            node, targets = stack[-1]
            target = next((t for t in targets if t not in seen), None)
            if target is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(graph[target])))
    backwards: dict[str, list[str]] = {name: [] for name in graph}
    for node, targets in graph.items():
        for target in targets:
            backwards[target].append(node)
    assigned: set[str] = set()
    for node in reversed(order):
        component = _reach(backwards, node, assigned)
        if component:
            yield component


def _reach(graph: dict[str, list[str]], start: str, seen: set[str]) -> list[str]:
    found, todo = [], [start]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            found.append(node)
            todo += graph[node]
    return found


def is_pure(name: str) -> bool:
    return name in layers.PURE or f"{name.split('.')[0]}.*" in layers.PURE


def impurities(modules: Modules) -> list[str]:
    found = []
    for module in modules.values():
        if not is_pure(module.name):
            continue
        for imported in module.imports:
            name = local_name(imported.target)
            ours_is_impure = name is not None and not is_pure(name) and name not in layers.PURE_ENOUGH
            if not imported.typing_only and (imported.top in layers.IMPURE_STDLIB or ours_is_impure):
                found.append(f"{module.name}:{imported.line} imports {imported.target}")
    return found


def late_imports(modules: Modules) -> list[str]:
    found = []
    for module in modules.values():
        ours = layers.DEFERRED_OF_OURS.get(module.name, set())
        for imported in module.imports:
            name = local_name(imported.target)
            if imported.deferred and imported.top not in layers.DEFERRABLE and name not in ours:
                found.append(f"{module.name}:{imported.line} imports {imported.target} inside a function")
    return found


def loaded_by(modules: Modules, start: str) -> set[str]:
    """Every module of ours that `start` imports sooner or later, the packages that hold them included."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name:
            todo.append(name.rpartition(".")[0])
        todo += [
            target
            for imported in (modules[name].imports if name in modules else ())
            if not imported.typing_only and (target := local_name(imported.target)) is not None
        ]
    return seen


def executor_loads_too_much(modules: Modules) -> list[str]:
    loaded = loaded_by(modules, "executor.main")
    return sorted(name for name in loaded if name.split(".")[0] in layers.EXECUTOR_NEVER_LOADS)


CHECKS = [wrong_layers, wrong_owners, cycles, impurities, late_imports, executor_loads_too_much]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_source_keeps_the_rule(check):
    found = list(dict.fromkeys(map(str, check(MODULES))))
    assert not found, "\n".join(["", *found])


def unused_dependencies(modules: Modules, declared: set[str]) -> list[str]:
    imported = {imported.top for module in modules.values() for imported in module.imports}
    return sorted(name for name in declared - layers.BY_NAME if layers.DEPENDENCIES.get(name) not in imported)


def test_what_is_installed_is_what_is_imported(tmp_path):
    block = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    declared = set(re.findall(r'"([\w-]+)', block[1]))
    assert declared == set(layers.DEPENDENCIES) | layers.BY_NAME
    assert unused_dependencies(MODULES, declared) == []
    assert unused_dependencies(plant(tmp_path, {"net/wire.py": "import msgpack\n"}), {"msgpack", "pyzmq"}) == ["pyzmq"]


def test_the_table_has_no_cycle():
    """Read as a graph of packages; an entry that is a single module does not open its whole package."""
    graph = {
        package: [entry for entry in allowed if entry in layers.MAY_IMPORT]
        for package, allowed in layers.MAY_IMPORT.items()
    }
    assert all(len(component) == 1 for component in _components(graph))


def test_the_lists_name_only_packages_that_are_planned():
    packages = set(layers.MAY_IMPORT) | layers.TOP
    named = {name.split(".")[0] for name in layers.PURE | set().union(*layers.OWNERS.values())}
    assert named <= packages


PLANTED = {
    "upward": (wrong_layers, {"net/hub.py": "import rddlite.serde.records\n", "serde/records.py": ""}),
    "upward, for types": (
        wrong_layers,
        {
            "base/ids.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rddlite.net import hub\n",
            "net/hub.py": "",
        },
    ),
    "upward, relative": (wrong_layers, {"net/hub.py": "from ..lineage import graph\n", "lineage/graph.py": ""}),
    "more than the one module": (
        wrong_layers,
        {"schedule/core.py": "from rddlite.plan.cut import cut\n", "plan/cut.py": "", "plan/model.py": ""},
    ),
    "through the front door": (wrong_layers, {"lineage/graph.py": "import rddlite\n", "__init__.py": ""}),
    "executor to driver": (
        wrong_layers,
        {"executor/loop.py": "def f():\n    from rddlite.driver import jobs\n", "driver/jobs.py": ""},
    ),
    "unknown package": (wrong_layers, {"magic/core.py": ""}),
    "stranger": (wrong_owners, {"net/wire.py": "import zmq.asyncio\n"}),
    "unknown dependency": (wrong_owners, {"base/ids.py": "import attrs\n"}),
    "two in a circle": (
        cycles,
        {
            "plan/a.py": "from rddlite.plan import b\n",
            "plan/b.py": "import rddlite.plan.c\n",
            "plan/c.py": "from . import a\n",
        },
    ),
    "itself": (cycles, {"plan/a.py": "import rddlite.plan.a\n"}),
    "clock": (impurities, {"schedule/core.py": "import time\n"}),
    "clock, inside": (impurities, {"schedule/core.py": "def now():\n    from time import time\n"}),
    "clock, through another": (
        impurities,
        {"schedule/core.py": "from rddlite.base.clock import SystemClock\n", "base/clock.py": "import time\n"},
    ),
    "late": (late_imports, {"api/rdd.py": "def f():\n    import json\n"}),
    "late, in a method": (
        late_imports,
        {"api/rdd.py": "class A:\n    def f(self):\n        from rddlite.fs import paths\n"},
    ),
    "executor loads the plan": (
        executor_loads_too_much,
        {
            "executor/main.py": "import rddlite.base.x\n",
            "base/x.py": "from rddlite.plan import cut\n",
            "plan/cut.py": "",
        },
    ),
    "executor loads the API by the front door": (
        executor_loads_too_much,
        {"executor/main.py": "", "__init__.py": "from rddlite.api.rdd import RDD\n", "api/rdd.py": ""},
    ),
}


@pytest.mark.parametrize(("check", "files"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(tmp_path, check, files):
    assert check(plant(tmp_path, files))


def test_what_is_allowed_passes(tmp_path):
    modules = plant(
        tmp_path,
        {
            "__init__.py": "",
            "errors.py": "",
            "base/units.py": "import re\n",
            "plan/model.py": "from rddlite.base import units\nfrom rddlite.errors import X\n",
            "schedule/core.py": "from rddlite.plan.model import JobPlan\n",
            "fs/paths.py": "def open(url):\n    import fsspec\n",
            "executor/main.py": "from rddlite.base import units\n",
            "api/rdd.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rddlite.api import context\n",
            "api/context.py": "from rddlite.api import rdd\n",
        },
    )
    assert [check(modules) for check in CHECKS] == [[]] * len(CHECKS)
