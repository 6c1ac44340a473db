"""What rddlite costs when there is nothing to do: start, first result, trivial jobs, empty tasks.

Cold figures come from fresh processes and are medians of several; nothing here is a ratio, so the machine's load
matters more than in `ratios.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_COLD = """
import json, sys, time
master = sys.argv[1]
began = time.perf_counter()
from rddlite import Conf, Context
imported = time.perf_counter()
with Context(master, "cold", conf=Conf().set("progress.show", "false")) as sc:
    while sum(len(executor.workers) for executor in sc.executors) < sc.defaultParallelism:
        time.sleep(0.001)
    ready = time.perf_counter()
    assert sc.parallelize([1, 2], 2).map(lambda x: x + 1).collect() == [2, 3]
    first = time.perf_counter()
print(json.dumps({"import": imported - began, "ready": ready - imported, "first": first - imported,
                  "stop": time.perf_counter() - first}))
"""

_WARM = """
import json, statistics, sys, time
from rddlite import Conf, Context
master, (tasks, jobs) = sys.argv[1], map(int, sys.argv[2:])
with Context(master, "warm", conf=Conf().set("progress.show", "false")) as sc:
    trivial = sc.parallelize([1, 2], 2)
    times = []
    for _ in range(jobs):
        began = time.perf_counter()
        assert trivial.count() == 2
        times.append(time.perf_counter() - began)
    empty = sc.parallelize([], tasks)
    empty.count()
    began = time.perf_counter()
    assert empty.count() == 0
    seconds = time.perf_counter() - began
print(json.dumps({"trivial": statistics.median(times), "worst": max(times), "rate": tasks / seconds}))
"""


def _run(program: str, *arguments: str) -> dict[str, float]:
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def measure(masters: list[str], quick: bool = False) -> str:
    """A Markdown table of the overheads with each master, and the goals for the first one."""
    measured = [_measured(master, quick) for master in masters]
    head = ["overhead", *masters, "goal"]
    rows = [
        ("`import rddlite`, cold process", "import", "{:.0f} ms", 1000, ""),
        ("context ready (all workers registered)", "ready", "{:.2f} s", 1, "0.4 s"),
        ("first result after import, cold process", "first", "{:.2f} s", 1, "0.6 s"),
        ("trivial two-partition job, median", "trivial", "{:.2f} ms", 1000, "3 ms"),
        ("the same, slowest", "worst", "{:.1f} ms", 1000, ""),
        ("empty tasks a second", "rate", "{:,.0f}", 1, "5,000"),
        ("stop", "stop", "{:.2f} s", 1, ""),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, key, form, factor, goal in rows:
        cells = [form.format(one[key] * factor) for one in measured]
        lines.append(f"| {' | '.join([name, *cells, goal])} |")
    return "\n".join(lines)


def _measured(master: str, quick: bool) -> dict[str, float]:
    cold = [_run(_COLD, master) for _ in range(3 if quick else 7)]
    warm = _run(_WARM, master, "2000" if quick else "10000", "100" if quick else "500")
    return {name: statistics.median(run[name] for run in cold) for name in cold[0]} | warm
