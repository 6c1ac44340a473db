"""One measured run in a process of its own: `python -m benchmarks.side limit|pyspark|dask|MASTER WORKLOAD SIZE`.

Prints `start` when it is ready, and when the answer is there one line of JSON with what it took. Only what lies
between is measured; the answer's digest is taken afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.tree import cpu_seconds
from benchmarks.workloads import N_WORKERS, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Program = Callable[[Any], Any]


@contextmanager
def limit(workload: str, memory: int | None, scratch: Path) -> Iterator[Program]:
    """The hand-written program. It keeps within its memory by itself."""
    from benchmarks.limit.programs import PROGRAMS

    yield lambda what: PROGRAMS[workload](what, scratch)


@contextmanager
def rddlite(master: str, workload: str, memory: int | None, scratch: Path) -> Iterator[Program]:
    """The rddlite program on a context whose workers are all there; its scratch is where the limit's is."""
    from benchmarks.contexts import ready_context
    from benchmarks.programs import PROGRAMS

    settings = {} if memory is None else {"executor.memory": memory * N_WORKERS}
    with ready_context(master, settings) as sc:
        yield lambda what: PROGRAMS[workload](sc, what)


def program(side: str, workload: str, memory: int | None, scratch: Path) -> Any:
    """A context manager for the program of a side."""
    if side == "limit":
        return limit(workload, memory, scratch)
    if side in ("pyspark", "dask"):
        from benchmarks import peers

        return peers.program(side, workload, memory, scratch)
    return rddlite(side, workload, memory, scratch)


def digest(answer: Any) -> str:
    """Equal for equal answers, whatever the order of a list; of a directory, that of all its parts in order."""
    if isinstance(answer, Path):
        found = hashlib.sha256()
        for part in sorted(answer.glob("part-*")):
            found.update(part.read_bytes())
        return found.hexdigest()[:16]
    text = repr(sorted(answer)) if isinstance(answer, list) else repr(answer)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main(side: str, name: str, size: int) -> None:
    """Run and report. Who is told to end closes its context, and removes its files."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory(prefix="rddlite-bench-") as folder:
        scratch = Path(folder)
        what = workload.prepare(size, scratch)
        with program(side, name, workload.worker_memory(size), scratch) as run:
            print("start", flush=True)
            cpu, wall = cpu_seconds(os.getpid()), time.perf_counter()
            answer = run(what)
            wall = time.perf_counter() - wall
            cpu = cpu_seconds(os.getpid()) - cpu
            print(json.dumps({"wall": wall, "cpu": cpu, "answer": digest(answer)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
