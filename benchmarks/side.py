"""One measured run in a process of its own: `python -m benchmarks.side limit|MASTER WORKLOAD SIZE`.

Prints `start` when it is ready, and when the answer is there one line of JSON with what it took. Only what lies
between is measured; the answer's digest is taken afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import text_file
from benchmarks.tree import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def limit(workload: str) -> Iterator[Callable[[Any], Any]]:
    """The hand-written program; its scratch directory is where rddlite's would be."""
    from benchmarks.limit.programs import PROGRAMS

    with tempfile.TemporaryDirectory(prefix="rddlite-bench-") as scratch:
        yield lambda what: PROGRAMS[workload](what, Path(scratch))


@contextmanager
def rddlite(master: str, workload: str) -> Iterator[Callable[[Any], Any]]:
    """The rddlite program on a context whose workers are all there."""
    from benchmarks.contexts import ready_context
    from benchmarks.programs import PROGRAMS

    with ready_context(master) as sc:
        yield lambda what: PROGRAMS[workload](sc, what)


def digest(answer: Any) -> str:
    """Equal for equal answers, whatever the order of a list."""
    text = repr(sorted(answer)) if isinstance(answer, list) else repr(answer)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main(side: str, workload: str, size: int) -> None:
    """Run and report."""
    what: Any = text_file(size) if workload == "wordcount" else size
    with limit(workload) if side == "limit" else rddlite(side, workload) as program:
        print("start", flush=True)
        cpu, wall = cpu_seconds(os.getpid()), time.perf_counter()
        answer = program(what)
        wall = time.perf_counter() - wall
        cpu = cpu_seconds(os.getpid()) - cpu
        print(json.dumps({"wall": wall, "cpu": cpu, "answer": digest(answer)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
