"""Results as Markdown tables, and their place in the README. Pure, but for the one function that writes the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.ratios import BASE, LIMIT, Result
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BEGIN = "<!-- table: made by scripts/bench --readme -->\n"
END = "<!-- end of table -->\n"
PEERS = {"pyspark": "PySpark", "dask": "Dask bag"}
_RATIOS = ("wall", "cpu", "peak")

BySide = dict[str, Result]


def by_workload(results: Iterable[Result]) -> dict[str, BySide]:
    """Results by workload and side, in their order."""
    found: dict[str, BySide] = {}
    for result in results:
        found.setdefault(result.workload, {})[result.side] = result
    return found


def full_table(results: Iterable[Result]) -> str:
    """Every side's times and memory, and their ratios to the limit's."""
    head = ["workload", "size", "side", "wall s", "CPU s", "CPU ns per unit", "peak MiB", "largest process MiB"]
    head += ["wall ratio", "CPU ratio", "memory ratio"]
    rows = [_row(result, sides.get(LIMIT)) for sides in by_workload(results).values() for result in sides.values()]
    return _markdown(head, rows)


def _row(result: Result, limit: Result | None) -> list[str]:
    workload = WORKLOADS[result.workload]
    memory = workload.worker_memory(result.size)
    ratios = ["", "", ""]
    if limit is not None and limit is not result:
        ratios = [f"**{_ratio(result, limit, name)}**" for name in _RATIOS]
    return [
        result.workload, f"{result.size:,} {workload.unit}", result.side, f"{result.wall:.2f}", f"{result.cpu:.2f}",
        f"{result.cpu / result.size * 1e9:.0f}", _mebibytes(result.peak),
        _mebibytes(result.largest) + (f" (a worker may have {_mebibytes(memory)})" if memory else ""), *ratios,
    ]  # fmt: skip


def _ratio(result: Result, other: Result, measured: str) -> str:
    """A dash where the other took nothing that could be measured."""
    of = getattr(other, measured)
    return f"{getattr(result, measured) / of:.2f}" if of else "-"


def _mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.0f}"


def masters_table(results: Iterable[Result]) -> str:
    """Other masters as ratios to local[2], and what this is in CPU seconds; empty if there are none."""
    rows = []
    for workload, sides in by_workload(results).items():
        base = sides.get(BASE)
        for side, result in sides.items():
            if base is not None and side not in (LIMIT, BASE, *PEERS):
                ratios = [f"**{_ratio(result, base, name)}**" for name in _RATIOS]
                rows.append([workload, side, *ratios, f"{result.cpu - base.cpu:+.2f} s"])
    if not rows:
        return ""
    title = f"What executors over TCP with CURVE cost, each a host of its own: as a ratio to {BASE} in the same run."
    return f"{title}\n\n" + _markdown(["workload", "master", "wall", "CPU", "memory", "more CPU"], rows)


def readme_table(results: Sequence[Result]) -> str:
    """One line a workload: the limit in seconds, rddlite and the peers as ratios to it; last the geometric means."""
    peers = [side for side in PEERS if any(result.side == side for result in results)]
    head = ["workload", "size", "limit", "wall", "CPU", "memory", "goal", *(PEERS[peer] for peer in peers)]
    rows = []
    for name, sides in by_workload(results).items():
        limit, ours = sides.get(LIMIT), sides.get(BASE)
        if limit is None or ours is None:
            continue
        workload = WORKLOADS[name]
        rows.append([
            workload.title, f"{_short(ours.size)} {workload.unit}", f"{limit.wall:.1f} s",
            *(_ratio(ours, limit, measure) for measure in _RATIOS), f"{workload.goal:.2f}",
            *(f"{sides[peer].wall / limit.wall:.1f}" if peer in sides else "-" for peer in peers),
        ])  # fmt: skip
    return _markdown(head, rows) + "".join(f"\n\n{times_faster(results, peer)}" for peer in peers)


def _short(number: int) -> str:
    """
    >>> _short(12_000_000), _short(800_000), _short(1 << 30)
    ('12 million', '0.8 million', '1,074 million')
    """
    return f"{number / 1e6:,.1f}".removesuffix(".0") + " million"


def times_faster(results: Iterable[Result], peer: str) -> str:
    """How much faster than a peer, over the workloads that both ended: a sentence."""
    factors = {
        name: sides[peer].wall / sides[BASE].wall
        for name, sides in by_workload(results).items()
        if peer in sides and BASE in sides
    }
    if not factors:
        return ""
    mean = math.exp(sum(map(math.log, factors.values())) / len(factors))
    least = min(factors, key=factors.__getitem__)
    what = f"{mean:.1f} times as fast as {PEERS[peer]} on the geometric mean of {len(factors)} workloads"
    return f"rddlite is {what}; least on {WORKLOADS[least].title}: {factors[least]:.1f} times."


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replaced(text: str, block: str) -> str:
    """A text with another block between the two markers.

    Raises:
        ValueError: if it does not have both.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table: there must be a line {BEGIN.strip()!r} and a line {END.strip()!r}")
    return head + begin + block.rstrip("\n") + "\n" + end + tail


def write_readme(path: Path, block: str) -> None:
    """Put the block in its place."""
    path.write_text(replaced(path.read_text(encoding="utf-8"), block), encoding="utf-8")
