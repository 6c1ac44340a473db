"""Count the words of many text files: the sources of Python's standard library, or what is given.

    python examples/wordcount.py                              the 20 most frequent words, and what it took
    python examples/wordcount.py --repeat 20 --kill-workers   while worker processes are killed under it

With `--repeat` or `--kill-workers` every answer is compared with plain Python's count over the same files; the exit
code is 1 if one differs, or if more attempts ran than tasks and kills explain.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import sysconfig
import threading
import time
from collections import Counter
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite import Conf, Context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


# What is counted.


def words(line: str) -> list[str]:
    """The words of a line, in lower case."""
    return re.findall(r"[a-z_]+", line.lower())


def corpus(path: Path) -> list[Path]:
    """The Python files below a directory (other people's packages left out), or the file itself."""
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*.py")) if "site-packages" not in file.parts and file.is_file()]


def count(sc: Context, files: Iterable[Path], linger: float = 0.0) -> dict[str, int]:
    """The job: every word with its count. Thousands of small files are read by a few tasks per slot."""
    lines = sc.textFile(",".join(map(str, files))).coalesce(4 * sc.defaultParallelism)
    pairs = waiting(lines, linger).flatMap(words).map(lambda word: (word, 1))
    return dict(waiting(pairs.reduceByKey(add, sc.defaultParallelism), linger).collect())


def waiting(rdd: Any, seconds: float) -> Any:
    """The same records, each task `seconds` later: so that there is something to hit."""

    def wait(records: Iterator[T]) -> Iterator[T]:
        time.sleep(seconds)
        return records

    return rdd.mapPartitions(wait) if seconds else rdd


def plain_count(files: Iterable[Path]) -> Counter[str]:
    """The same without rddlite."""
    counts: Counter[str] = Counter()
    for path in files:
        counts.update(words(path.read_text(encoding="utf-8", errors="replace")))
    return counts


# What is printed.


def print_words(counts: dict[str, int], most: int = 20) -> None:
    """The most frequent words."""
    print(f"\n{len(counts):,} different words, {sum(counts.values()):,} in all; the most frequent:\n")
    for word, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]:
        print(f"    {times:>10,}  {word}")


# Killing.


class Killer(threading.Thread):
    """Kills, with SIGKILL, one worker that runs a map task and later one that runs a result task."""

    def __init__(self, sc: Context) -> None:
        super().__init__(daemon=True)
        self.sc = sc
        self.done = threading.Event()
        self.killed: dict[str, int] = {}

    def run(self) -> None:
        """Look every few milliseconds at what runs where."""
        for kind in ("map", "result"):
            while kind not in self.killed and not self.done.wait(0.003):
                self.kill_one(kind)

    def kill_one(self, kind: str) -> None:
        """Kill the first worker found to run such a task."""
        for executor in self.sc.executors:
            for task in executor.running:
                if task.kind == kind and task.worker_pid in executor.workers:
                    os.kill(task.worker_pid, signal.SIGKILL)
                    self.killed[kind] = task.worker_pid
                    return

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.done.set()
        self.join()


def one_round(sc: Context, files: list[Path], expected: Counter[str] | None, kill: bool) -> list[str]:
    """Count once, perhaps under fire; what is wrong, in words."""
    killed: dict[str, int] = {}
    if kill:
        with Killer(sc) as killer:
            counts = count(sc, files, linger=0.2)
        killed = killer.killed
    else:
        counts = count(sc, files)
    stages = sc.jobs()[-1].stages
    tasks, attempts = sum(stage.tasks for stage in stages), sum(stage.attempts for stage in stages)
    print(f"{sum(counts.values()):,} words, {tasks} tasks, {attempts} attempts", end="")
    print("".join(f", {kind} worker {pid} killed" for kind, pid in killed.items()), end="")
    wrong = []
    if expected is not None and counts != expected:
        wrong.append("the counts differ from plain Python's")
    if attempts > tasks + len(killed):
        wrong.append(f"{attempts} attempts for {tasks} tasks and {len(killed)} kills")
    if kill and attempts < tasks + 2:
        wrong.append("no worker was hit in each of map and reduce")
    return wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the words of Python's standard library.")
    parser.add_argument("path", nargs="?", type=Path, default=sysconfig.get_path("stdlib"), help="file or directory")
    parser.add_argument("--master", default="local[*]", help="where tasks run (default local[*])")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="count N times and compare each time")
    parser.add_argument("--kill-workers", action="store_true", help="kill a worker in each of map and reduce")
    return parser.parse_args()


def main() -> int:
    """Exit code: 1 if a count is wrong."""
    asked = arguments()
    files = corpus(asked.path)
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files):,} files, {size / 1e6:,.1f} MB, below {asked.path}; master {asked.master}")
    if asked.repeat == 1 and not asked.kill_workers:
        with Context(asked.master, "wordcount") as sc:
            print_words(count(sc, files))
            print(f"\n{sc.jobs()[-1]}")
        return 0
    expected = plain_count(files)
    # What runs where is known as of the last heartbeat: a killer wants fresh news.
    conf = Conf().set("executor.heartbeat", "20ms")
    failed = 0
    with Context(asked.master, "wordcount", conf=conf) as sc:
        for i in range(1, asked.repeat + 1):
            print(f"{i:>4}: ", end="")
            wrong = one_round(sc, files, expected, asked.kill_workers)
            print(f": {'; '.join(wrong) or 'equal to the plain count'}", flush=True)
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
