"""Count the words of many text files: the sources of Python's standard library, or what is given.

    python examples/wordcount.py                              the 20 most frequent words, and what it took
    python examples/wordcount.py --repeat 20 --kill-workers   while worker processes are killed under it
    python examples/wordcount.py --master 'local-cluster[4,1,512m]' --repeat 20 --kill-executors

With `--repeat` or one of the others every answer is compared with plain Python's count over the same files; the exit
code is 1 if one differs, or if more attempts ran than tasks and what was lost explain. `--kill-executors` also saves
the counts to files, and compares what these hold.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import sysconfig
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rddlite import Conf, Context
from rddlite.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# What is counted.


def words(line: str) -> list[str]:
    """The words of a line, in lower case."""
    return re.findall(r"[a-z_]+", line.lower())


def corpus(path: Path) -> list[Path]:
    """The Python files below a directory (other people's packages left out), or the file itself."""
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*.py")) if "site-packages" not in file.parts and file.is_file()]


def counted(sc: Context, files: Iterable[Path]) -> Any:
    """Every word with its count. Thousands of small files are read by a few tasks per slot."""
    lines = sc.textFile(",".join(map(str, files))).coalesce(4 * sc.defaultParallelism)
    return lines.flatMap(words).map(lambda word: (word, 1)).reduceByKey(add, 2 * sc.defaultParallelism)


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


# Killing: each at a named point of rddlite's source, once in every round.

WORKERS = {"map": ("map.write", "kill"), "reduce": ("task.reduce", "kill")}
EXECUTORS = {"map": ("task.map", "kill-executor"), "fetch": ("serve.block", "kill-executor")}
PUBLISH = "output.publish"


@contextmanager
def executor_killed_while_publishing(sc: Context, faults: Faults) -> Iterator[list[str]]:
    """The driver stops half way through publishing files; an executor is killed; the driver goes on."""
    killed: list[str] = []
    faults.arm(PUBLISH, "hold")

    def kill() -> None:
        faults.wait_fired(PUBLISH)
        victim = sc.executors[0]
        os.kill(victim.pid, signal.SIGKILL)
        killed.append(victim.id)
        faults.release(PUBLISH)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    yield killed
    killer.join()


def saved(counts: Any, target: Path) -> tuple[Counter[str], str]:
    """Save to files, and read them without rddlite; and what is wrong with the files, in words."""
    counts.map(lambda count: f"{count[0]} {count[1]}").saveAsTextFile(target)
    found = sorted(path.name for path in target.iterdir())
    expected = ["_SUCCESS", *(f"part-{i:05d}" for i in range(counts.getNumPartitions()))]
    lines = [line.split() for path in target.glob("part-*") for line in path.read_text().splitlines()]
    total = Counter({word: int(times) for word, times in lines})
    wrong = "" if found == expected else f"files {found}"
    wrong += "" if len(total) == len(lines) else "words twice in files"
    wrong += "" if os.listdir(target.parent) == [target.name] else f"left over: {os.listdir(target.parent)}"
    return total, wrong


class Rounds:
    """Counts again and again, perhaps under fire."""

    def __init__(self, sc: Context, files: list[Path], faults: Faults, kills: dict[str, tuple[str, str]]) -> None:
        self.sc, self.files, self.faults, self.kills = sc, files, faults, kills
        self.expected = plain_count(files)
        self.total: Counter[str] = Counter()

    def run(self, folder: Path | None) -> list[str]:
        """Count once, save to files if there is a folder for them; what is wrong, in words."""
        before = {job.id for job in self.sc.jobs()}
        for point, action in self.kills.values():
            self.faults.arm(point, action)
        counts = counted(self.sc, self.files)
        wrong = [] if dict(counts.collect()) == self.expected else ["the counts differ from plain Python's"]
        killed = {what: self.faults.fired(point) for what, (point, _) in self.kills.items()}
        if folder is not None:
            with executor_killed_while_publishing(self.sc, self.faults) as victims:
                in_files, bad_files = saved(counts, folder / "counts")
            killed["publish"] = len(victims)
            wrong += ["the counts in files differ"] if in_files != self.expected else []
            wrong += [bad_files] if bad_files else []
        return wrong + self.account([job for job in self.sc.jobs() if job.id not in before], killed)

    def account(self, jobs: list[Any], killed: dict[str, int]) -> list[str]:
        """Print what it took; what cannot be explained, in words."""
        tasks, attempts, lost, failed, copied = (
            sum(getattr(job, name) for job in jobs) for name in ("tasks", "attempts", "lost", "failed", "copied")
        )
        self.total.update(
            rounds=1, tasks=tasks, attempts=attempts, lost=lost + failed, copied=copied, kills=sum(killed.values())
        )
        kills = "".join(f", killed in {what}" for what, times in killed.items() if times)
        copies = f", {copied} copied" if copied else ""
        print(f"{tasks} tasks, {lost + failed} lost{copies}, {attempts} attempts{kills}", end="")
        wrong = [f"nothing was hit in {what}" for what, times in killed.items() if not times]
        if attempts > tasks + lost + failed + copied:
            wrong.append(f"{attempts} attempts for {tasks} tasks, {lost + failed} lost and {copied} copied")
        return wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the words of Python's standard library.")
    parser.add_argument("path", nargs="?", type=Path, default=sysconfig.get_path("stdlib"), help="file or directory")
    parser.add_argument("--master", default="local[*]", help="where tasks run (default local[*])")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="count N times and compare each time")
    kill = parser.add_mutually_exclusive_group()
    kill.add_argument("--kill-workers", action="store_true", help="kill a worker in each of map and reduce")
    kill.add_argument("--kill-executors", action="store_true", help="kill one in each of map, fetch and publish")
    asked = parser.parse_args()
    if asked.kill_executors and not asked.master.startswith("local-cluster"):
        parser.error("--kill-executors needs several executors: --master 'local-cluster[4,1,512m]'")
    return asked


def repeat(asked: argparse.Namespace, files: list[Path]) -> int:
    """All rounds; the exit code."""
    kills = EXECUTORS if asked.kill_executors else WORKERS if asked.kill_workers else {}
    # Every round ends executors: they shall be started again as often as that.
    conf = Conf().set("executor.restarts", 100 + 10 * asked.repeat)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, Faults(Path(folder, "faults")) as faults:
        with Context(asked.master, "wordcount", conf=conf) as sc:
            rounds = Rounds(sc, files, faults, kills)
            for i in range(1, asked.repeat + 1):
                print(f"{i:>4}: ", end="")
                output = Path(folder, f"round-{i}") if asked.kill_executors else None
                if output is not None:
                    output.mkdir()
                wrong = rounds.run(output)
                print(f": {'; '.join(wrong) or 'equal to the plain count'}", flush=True)
                failed += bool(wrong)
        counted = "{rounds} rounds: {tasks} tasks, {lost} lost, {copied} copied, {attempts} attempts, {kills} kills"
        print(counted.format(**rounds.total))
    print(f"{failed} rounds went wrong" if failed else "every answer equal to plain Python's")
    return 1 if failed else 0


def main() -> int:
    """Exit code: 1 if a count is wrong."""
    asked = arguments()
    files = corpus(asked.path)
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files):,} files, {size / 1e6:,.1f} MB, below {asked.path}; master {asked.master}")
    if asked.repeat > 1 or asked.kill_workers or asked.kill_executors:
        return repeat(asked, files)
    with Context(asked.master, "wordcount") as sc:
        print_words(dict(counted(sc, files).collect()))
        print(f"\n{sc.jobs()[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
