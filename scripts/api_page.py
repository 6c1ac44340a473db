"""The reference page of the API, made from the signatures and docstrings. Called by `scripts/gen_docs.py`.

Examples are marked as text: they run as doctests, in `tests/api/test_docstrings.py`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rddlite import (
    RDD,
    Accumulator,
    AccumulatorParam,
    BarrierTaskContext,
    BasicProfiler,
    Broadcast,
    Conf,
    Context,
    ExecutorResourceRequests,
    MemoryProfiler,
    Profiler,
    RDDBarrier,
    ResourceProfile,
    ResourceProfileBuilder,
    ResultIterable,
    SparkFiles,
    StatCounter,
    StatusTracker,
    TaskContext,
    TaskResourceRequests,
    portable_hash,
)
from rddlite.api.actions import Actions
from rddlite.api.approximate import Approximate
from rddlite.api.asking import Resources
from rddlite.api.caching import Caching
from rddlite.api.checkpoints import Checkpoints
from rddlite.api.handy import Handy
from rddlite.api.joins import Joins
from rddlite.api.numeric import Numeric
from rddlite.api.ordering import Ordering
from rddlite.api.output import Output
from rddlite.api.pairing import Pairing
from rddlite.api.pairs import Pairs
from rddlite.api.sampling import Sampling
from rddlite.api.sketching import Sketching
from rddlite.api.statistics import Statistics
from rddlite.api.transforms import Transforms
from rddlite.api.trees import Trees

NOTE = "<!-- Made by scripts/api_page.py from src/rddlite/api: change it there, then run scripts/fix. -->\n\n"
INTRO = """\
# API

All names are in `rddlite`. Methods have PySpark's names, arguments and defaults. In the examples `sc` is a context and
`add` is `operator.add`. See also [errors](errors.md) and [settings](configuration.md).

"""
PARTS: list[tuple[str, type, list[type]]] = [
    ("Context", Context, [*Context.__mro__[:-1]]),
    ("Conf", Conf, [Conf]),
    ("RDD", RDD, [RDD]),
    ("RDD: transformations", RDD, [Transforms, Pairing]),
    ("RDD: pairs", RDD, [Pairs, Joins]),
    ("RDD: order", RDD, [Ordering]),
    ("RDD: samples", RDD, [Sampling]),
    ("RDD: beyond PySpark", RDD, [Handy, Sketching]),
    ("RDD: actions", RDD, [Actions, Trees, Numeric, Statistics, Approximate, Output]),
    ("RDD: what is kept, and asked for", RDD, [Caching, Checkpoints, Resources]),
    ("RDDBarrier", RDDBarrier, [RDDBarrier]),
    ("TaskContext", TaskContext, [TaskContext]),
    ("BarrierTaskContext", BarrierTaskContext, [BarrierTaskContext]),
    ("SparkFiles", SparkFiles, [SparkFiles]),
    ("StatusTracker", StatusTracker, [StatusTracker]),
    ("StatCounter", StatCounter, [StatCounter]),
    ("Broadcast", Broadcast, [Broadcast]),
    ("Accumulator", Accumulator, [Accumulator]),
    ("AccumulatorParam", AccumulatorParam, [AccumulatorParam]),
    ("Profiler", Profiler, [Profiler]),
    ("BasicProfiler", BasicProfiler, [BasicProfiler]),
    ("MemoryProfiler", MemoryProfiler, [MemoryProfiler]),
    ("ResourceProfileBuilder", ResourceProfileBuilder, [ResourceProfileBuilder]),
    ("ResourceProfile", ResourceProfile, [ResourceProfile]),
    ("TaskResourceRequests", TaskResourceRequests, [TaskResourceRequests]),
    ("ExecutorResourceRequests", ExecutorResourceRequests, [ExecutorResourceRequests]),
]


def api_page() -> str:
    """The page as Markdown."""
    sections = [_contents()]
    for title, cls, owners in PARTS:
        text = _prose(cls) if cls in owners else ""
        members = [member for owner in owners for member in _members(owner)]
        entries = [_entry(cls, name, member) for name, member in members]
        sections.append("\n".join([f"## {title}\n\n{text}".rstrip() + "\n", *entries]))
    sections.append(f"## ResultIterable\n\n{_prose(ResultIterable)}")
    sections.append(f"## portable_hash\n\n{_prose(portable_hash)}")
    return NOTE + INTRO + "\n".join(sections).rstrip() + "\n"


def _contents() -> str:
    rows = []
    for title, cls, owners in PARTS:
        names = [f"[{name}](#{cls.__name__.lower()}{name.lower()})" for owner in owners for name, _ in _members(owner)]
        rows.append(f"**{title}:** {' · '.join(names)}\n")
    return "\n".join(rows)


def _members(cls: type) -> list[tuple[str, Any]]:
    """The public members that the class itself defines."""
    return [
        (name, member)
        for name, member in vars(cls).items()
        if not (name.startswith("_") or inspect.ismemberdescriptor(member))
        and _function(member).__qualname__.startswith(f"{cls.__name__}.")
    ]


def _function(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    return member.__func__ if isinstance(member, classmethod) else member


def _entry(cls: type, name: str, member: Any) -> str:
    function = _function(member)
    if isinstance(member, property):
        shown = f"{name}: {_type(inspect.signature(function).return_annotation)}"
    else:
        shown = f"{name}{_arguments(function)}"
    return f"### {cls.__name__}.{name}\n\n`{shown}`\n\n{_prose(member)}"


def _arguments(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    shown = []
    for parameter in list(signature.parameters.values())[1:]:
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        shown.append(f"{star}{parameter.name}{default}")
    return f"({', '.join(shown)}) -> {_type(signature.return_annotation)}"


def _default(value: Any) -> str:
    return value.__name__.replace("stable_hash", "portable_hash") if callable(value) else repr(value)


def _type(annotation: Any) -> str:
    return re.sub(r"\bT_co\b", "T", str(annotation))


def _prose(documented: Any) -> str:
    """The docstring as Markdown: arguments and errors as lists, the example as text."""
    blocks = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    head, _, rest = block.partition("\n")
    if head in {"Args:", "Raises:"}:
        entries = re.split(r"\n(?=\S)", inspect.cleandoc(rest))
        items = [_item(" ".join(entry.split())) for entry in entries]
        return f"{'Arguments' if head == 'Args:' else 'Raises'}:\n\n" + "\n".join(items) + "\n"
    if block.startswith(">>>"):
        return f"```text\n{re.sub(r'  # doctest:.*', '', block)}\n```\n"
    return f"{block}\n"


def _item(entry: str) -> str:
    names, _, text = entry.partition(": ")
    return f"- {', '.join(f'`{name.strip()}`' for name in names.split(','))}: {text}"
