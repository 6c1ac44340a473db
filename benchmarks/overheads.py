"""What rddlite costs when there is nothing to do, or only bytes to move.

Start, first result, trivial and two-stage jobs, empty tasks; a broadcast to all workers, large results, a large
closure. Cold figures come from fresh processes and are medians of several; nothing here is a ratio, so the machine's
load matters more than in `ratios.py`. As in an installation, modules are compiled before anything is timed: where the
environment forbids to write bytecode, two thirds of a start would be compiling.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile

from benchmarks.ratios import environment

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
from operator import add
from benchmarks.contexts import ready_context
master, (tasks, jobs) = sys.argv[1], map(int, sys.argv[2:])

def timed(job, answer):
    began = time.perf_counter()
    assert job() == answer
    return time.perf_counter() - began

with ready_context(master) as sc:
    trivial, pairs = sc.parallelize([1, 2], 2), sc.parallelize([(1, 1), (1, 1)], 2)
    times = [timed(trivial.count, 2) for _ in range(jobs)]
    two_stages = [timed(lambda: pairs.reduceByKey(add).collect(), [(1, 2)]) for _ in range(jobs // 2)]
    empty = sc.parallelize([], tasks)
    empty.count()
    began = time.perf_counter()
    assert empty.count() == 0
    seconds = time.perf_counter() - began
print(json.dumps({"trivial": statistics.median(times), "worst": max(times), "rate": tasks / seconds,
                  "two": statistics.median(two_stages)}))
"""

_BULK = """
import json, os, statistics, sys, time
from benchmarks.contexts import ready_context
master, runs = sys.argv[1], int(sys.argv[2])

def timed(job):
    began = time.perf_counter()
    job()
    return time.perf_counter() - began

with ready_context(master) as sc:
    workers = sc.defaultParallelism
    large, smaller = os.urandom(100_000_000), os.urandom(10_000_000)

    def broadcast():
        held = sc.broadcast(large)
        seen = sc.range(workers, numSlices=workers).map(lambda _: (os.getpid(), held.value[-1]))
        assert len({pid for pid, last in seen.collect() if last == large[-1]}) == workers

    def collect():
        found = sc.range(200, numSlices=workers * 4).map(lambda i: bytes([i]) * 1_000_000).collect()
        assert [record[-1] for record in found] == list(range(200))

    def closure():
        data = bytes(smaller)
        assert sc.range(2, numSlices=2).map(lambda i: data[i]).collect() == [*smaller[:2]]

    found = {job.__name__: statistics.median(timed(job) for _ in range(runs)) for job in (broadcast, collect, closure)}
print(json.dumps({"broadcast": found["broadcast"], "collect": 200 / found["collect"], "closure": found["closure"]}))
"""


def _run(bytecode: str, program: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-c", program, *arguments]
    env = {**environment(), "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def measure(masters: list[str], quick: bool = False) -> str:
    """A Markdown table of the overheads with each master, and the goals for the first one."""
    with tempfile.TemporaryDirectory(prefix="rddlite-bytecode-") as bytecode:
        measured = [_measured(bytecode, master, quick) for master in masters]
    head = ["overhead", *masters, "goal"]
    rows = [
        ("`import rddlite`, cold process", "import", "{:.0f} ms", 1000, ""),
        ("context ready (all workers registered)", "ready", "{:.2f} s", 1, "0.4 s"),
        ("first result after import, cold process", "first", "{:.2f} s", 1, "0.6 s"),
        ("trivial two-partition job, median", "trivial", "{:.2f} ms", 1000, "2 ms"),
        ("the same, slowest", "worst", "{:.1f} ms", 1000, ""),
        ("two-stage job, median", "two", "{:.2f} ms", 1000, "4 ms"),
        ("empty tasks a second", "rate", "{:,.0f}", 1, "10,000"),
        ("100 MB of bytes broadcast to all workers", "broadcast", "{:.2f} s", 1, "0.15 s"),
        ("200 records of 1 MB collected", "collect", "{:,.0f} MB/s", 1, "400 MB/s"),
        ("a closure with 10 MB in it", "closure", "{:.3f} s", 1, "0.1 s"),
        ("stop", "stop", "{:.2f} s", 1, ""),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, key, form, factor, goal in rows:
        cells = [form.format(one[key] * factor) for one in measured]
        lines.append(f"| {' | '.join([name, *cells, goal])} |")
    return "\n".join(lines)


def _measured(bytecode: str, master: str, quick: bool) -> dict[str, float]:
    _run(bytecode, _COLD, master)  # compiles
    cold = [_run(bytecode, _COLD, master) for _ in range(3 if quick else 7)]
    warm = _run(bytecode, _WARM, master, "2000" if quick else "10000", "100" if quick else "500")
    bulk = _run(bytecode, _BULK, master, "3" if quick else "7")
    return {name: statistics.median(run[name] for run in cold) for name in cold[0]} | warm | bulk
