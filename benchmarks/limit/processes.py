"""Forked processes and the pickle files between them."""

from __future__ import annotations

import gc
import os
import pickle
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N = 2
"""Processes of each phase, and partitions between two phases."""
BATCH = 8192
"""Records of one pickle: enough for full speed, little enough to stay in the cache."""


def run_all(task: Callable[[int], Any], scratch: Path) -> list[Any]:
    """`task(0) ... task(N - 1)`, each in a forked process of its own; their values in order."""
    gc.freeze()
    pids = [_fork(task, i, scratch) for i in range(N)]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    gc.unfreeze()
    if any(statuses):
        raise RuntimeError(f"processes ended with {statuses}")
    return [_take(scratch / f"value-{i}") for i in range(N)]


def _fork(task: Callable[[int], Any], i: int, scratch: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        gc.disable()
        value = task(i)
        with open(scratch / f"value-{i}", "wb") as file:
            pickle.dump(value, file, protocol=5)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _take(path: Path) -> Any:
    gc.disable()
    try:
        with open(path, "rb") as file:
            return pickle.load(file)
    finally:
        gc.enable()
        path.unlink()


class Buckets:
    """Pairs on their way to the N partitions of the next phase, as pickled columns: keys and values.

    Two columns are a third cheaper to write and to read than a list of pairs. Call `flush` about every N * BATCH
    pairs, and use it as a context manager.
    """

    def __init__(self, scratch: Path, name: str) -> None:
        self.files = [open(scratch / f"{name}-{i}", "wb", buffering=1 << 20) for i in range(N)]  # noqa: SIM115
        self.keys: list[list[Any]] = [[] for _ in range(N)]
        self.values: list[list[Any]] = [[] for _ in range(N)]

    def flush(self) -> None:
        """Write what was collected; the lists are empty afterwards."""
        for file, keys, values in zip(self.files, self.keys, self.values, strict=True):
            if keys:
                file.write(pickle.dumps((keys, values), protocol=5))
                keys.clear()
                values.clear()

    def __enter__(self) -> Buckets:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()
        for file in self.files:
            file.close()


def read_pairs(path: Path) -> Iterator[Iterator[tuple[Any, Any]]]:
    """The pairs of a file that `Buckets` wrote, one iterator per pickle."""
    with open(path, "rb", buffering=1 << 20) as file:
        while file.peek(1):
            keys, values = pickle.load(file)
            yield zip(keys, values, strict=False)


def steps(part: range) -> Iterator[range]:
    """A range in pieces after each of which buckets are flushed."""
    return (part[start : start + N * BATCH] for start in range(0, len(part), N * BATCH))


def share(total: int, i: int) -> range:
    """The part of `range(total)` that process `i` takes."""
    return range(total * i // N, total * (i + 1) // N)
