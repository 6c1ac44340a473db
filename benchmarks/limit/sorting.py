"""Sorting lines by hand: placed by sampled bounds, then each range is read, sorted and written by itself.

Ranges small enough for memory need no merge; keys and lines hold no line ends, so that they are written as lines.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from benchmarks.functions import sort_key
from benchmarks.limit.processes import N, lines_of, run_all, share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.workloads import Files

RANGES = 8
"""Ranges of each process."""
SAMPLES = 32
SAMPLED_BYTES = 64 << 10
READ = 1 << 20


def sort(files: Files, scratch: Path) -> Path:
    """The lines of a file by their first ten characters, as text files."""
    bounds = _bounds(files.source)
    files.target.mkdir()
    run_all(partial(_spread, files, bounds, scratch), scratch)
    run_all(partial(_sort_ranges, files, scratch), scratch)
    return files.target


def _bounds(source: Path) -> list[str]:
    """The first keys of all ranges but the first."""
    size = os.path.getsize(source)
    starts = range(0, max(1, size - SAMPLED_BYTES), max(1, size // SAMPLES))
    sampled = [next(lines_of(source, range(start, start + SAMPLED_BYTES), SAMPLED_BYTES), []) for start in starts]
    keys = sorted(map(sort_key, chain.from_iterable(sampled)))
    n_ranges = N * RANGES
    return [keys[len(keys) * number // n_ranges] for number in range(1, n_ranges)]


def _spread(files: Files, bounds: list[str], scratch: Path, i: int) -> None:
    names = [scratch / f"{i}-{number}" for number in range(N * RANGES)]
    lines: list[list[str]] = [[] for _ in names]
    keys: list[list[str]] = [[] for _ in names]
    opened = [(open(f"{name}-lines", "wb"), open(f"{name}-keys", "wb")) for name in names]  # noqa: SIM115
    for batch in lines_of(files.source, share(os.path.getsize(files.source), i), READ):
        for line in batch:
            key = sort_key(line)
            number = bisect_right(bounds, key)
            keys[number].append(key)
            lines[number].append(line)
        for (line_file, key_file), some_lines, some_keys in zip(opened, lines, keys, strict=True):
            if some_lines:
                line_file.write("\n".join([*some_lines, ""]).encode())
                key_file.write("\n".join([*some_keys, ""]).encode())
                some_lines.clear()
                some_keys.clear()
    for file in chain.from_iterable(opened):
        file.close()


def _sort_ranges(files: Files, scratch: Path, i: int) -> None:
    for number in range(i * RANGES, (i + 1) * RANGES):
        keys: list[str] = []
        lines: list[str] = []
        for mapper in range(N):
            keys += _read_lines(scratch / f"{mapper}-{number}-keys")
            lines += _read_lines(scratch / f"{mapper}-{number}-lines")
        # `next` is given the line as its default: the keys come in the order in which `sort` asks, without a call more.
        lines.sort(key=partial(next, iter(keys)))
        with open(files.target / f"part-{number:05d}", "wb") as file:
            for some in _slices(lines):
                file.write("\n".join([*some, ""]).encode())


def _read_lines(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\n")[:-1]


def _slices(lines: list[str]) -> Iterator[list[str]]:
    return (lines[start : start + 8192] for start in range(0, len(lines), 8192))
