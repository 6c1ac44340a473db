"""Forked processes and the pickle files between them."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from itertools import islice
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
    left = {_fork(task, i, scratch) for i in range(N)}
    while left:
        pid, status = os.waitpid(-1, 0)
        left.discard(pid)
        if status:
            for other in left:
                os.kill(other, signal.SIGKILL)
                os.waitpid(other, 0)
            raise RuntimeError(f"a process ended with {status}")
    gc.unfreeze()
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


class Meeting:
    """Where processes wait for each other that go on with what they have in memory. To be made before they fork."""

    def __init__(self) -> None:
        self.pipes = [os.pipe() for _ in range(N)]

    def wait(self, i: int) -> None:
        """Until all are here. (With more than two processes each would have to be counted by itself.)"""
        for other in range(N):
            if other != i:
                os.write(self.pipes[other][1], b".")
        for _ in range(N - 1):
            os.read(self.pipes[i][0], 1)


class Buckets:
    """Pairs on their way to the partitions of the next phase, as pickled columns: keys and values.

    Two columns are a third cheaper to write and to read than a list of pairs. Call `flush` about every N * BATCH
    pairs, and use it as a context manager.
    """

    def __init__(self, scratch: Path, name: str, n_buckets: int = N) -> None:
        self.files = [open(scratch / f"{name}-{i}", "wb", buffering=1 << 20) for i in range(n_buckets)]  # noqa: SIM115
        self.keys: list[list[Any]] = [[] for _ in range(n_buckets)]
        self.values: list[list[Any]] = [[] for _ in range(n_buckets)]

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


def read_columns(path: Path) -> Iterator[tuple[list[Any], list[Any]]]:
    """Keys and values of a file that `Buckets` wrote, pickle by pickle."""
    with open(path, "rb", buffering=1 << 20) as file:
        while file.peek(1):
            yield pickle.load(file)


def read_pairs(path: Path) -> Iterator[Iterator[tuple[Any, Any]]]:
    """The pairs of a file that `Buckets` wrote, one iterator per pickle."""
    return (zip(keys, values, strict=False) for keys, values in read_columns(path))


def steps(part: range) -> Iterator[range]:
    """A range in pieces after each of which buckets are flushed."""
    return (part[start : start + N * BATCH] for start in range(0, len(part), N * BATCH))


def share(total: int, i: int) -> range:
    """The part of `range(total)` that process `i` takes."""
    return range(total * i // N, total * (i + 1) // N)


def lines_of(path: Path, part: range, size: int) -> Iterator[list[str]]:
    """Lists of the lines that start in this part of the file, about `size` bytes each."""
    with open(path, "rb") as file:
        file.seek(part.start)
        if part.start:
            file.seek(part.start - 1)
            file.readline()
        position = file.tell()
        while position < part.stop:
            data = file.read(min(size, part.stop - position))
            position += len(data)
            if not data.endswith(b"\n"):
                rest = file.readline()
                position += len(rest)
                data += rest
            yield data.decode().splitlines()


def write_by_hash(combined: dict[Any, int], scratch: Path, name: str) -> None:
    """A combined table, by the hash of its keys, in files."""
    with Buckets(scratch, name) as buckets:
        items = iter(combined.items())
        while chunk := list(islice(items, N * BATCH)):
            for key, value in chunk:
                reducer = hash(key) % N
                buckets.keys[reducer].append(key)
                buckets.values[reducer].append(value)
            buckets.flush()


def merge_sums(paths: list[Path]) -> dict[Any, int]:
    """The sums of what `write_by_hash` wrote."""
    merged: dict[Any, int] = {}
    for path in paths:
        for pairs in read_pairs(path):
            if path is paths[0]:
                merged.update(pairs)
                continue
            for key, value in pairs:
                if key in merged:
                    merged[key] += value
                else:
                    merged[key] = value
    return merged
