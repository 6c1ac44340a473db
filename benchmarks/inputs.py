"""Input files, made once and kept in a cache directory outside the tree; equal on every machine and Python."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path(os.environ.get("RDDLITE_BENCH_CACHE") or Path.home() / ".cache" / "rddlite-bench")
N_WORDS = 50_000
_BLOCK = 4 << 20
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_KEY, _BATCH = 10, 8192


def text_file(size: int) -> Path:
    """A text of about `size` bytes: words drawn by Zipf's law, six to twelve of them a line."""
    return _made_once(f"text-{size}.txt", _write_text, size)


def records_file(n_records: int) -> Path:
    """So many lines of 100 bytes, with their ends: ten random letters and digits, a number, and filling."""
    return _made_once(f"records-{n_records}.txt", _write_records, n_records)


def _made_once(name: str, write: Callable[[Path, int], None], size: int) -> Path:
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        write(unfinished, size)
        unfinished.rename(path)
    return path


def _write_records(path: Path, n_records: int) -> None:
    random = Random(20_240_301)
    filling = "x" * (100 - _KEY - 15)
    with open(path, "w", encoding="ascii", newline="\n") as file:
        for start in range(0, n_records, _BATCH):
            numbers = range(start, min(start + _BATCH, n_records))
            keys = b64encode(random.randbytes(_BATCH * _KEY * 3 // 4)).decode()
            starts = range(0, _BATCH * _KEY, _KEY)
            file.writelines(
                f"{keys[at : at + _KEY]} {i:012d} {filling}\n" for at, i in zip(starts, numbers, strict=False)
            )


def _write_text(path: Path, size: int) -> None:
    """A few blocks of text that differ, again and again: making each anew would take longer than counting them."""
    random = Random(20_240_229)
    vocabulary = _vocabulary(random)
    weights = [1 / rank for rank in range(1, N_WORDS + 1)]
    blocks = [_block(random, vocabulary, weights) for _ in range(4)]
    with open(path, "wb") as file:
        while (left := size - file.tell()) > 0:
            block = blocks[file.tell() // _BLOCK % len(blocks)]
            file.write(block if left >= len(block) else block[: block.index(b"\n", left - 1) + 1])


def _vocabulary(random: Random) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < N_WORDS:
        found["".join(random.choices(_LETTERS, k=random.randint(2, 10)))] = None
    return list(found)


def _block(random: Random, vocabulary: list[str], weights: list[float]) -> bytes:
    drawn = iter(random.choices(vocabulary, weights, k=_BLOCK // 6))
    lines: list[str] = []
    length = 0
    while length < _BLOCK:
        line = " ".join(word for word, _ in zip(drawn, range(random.randint(6, 12)), strict=False))
        if not line:
            drawn = iter(random.choices(vocabulary, weights, k=_BLOCK // 6))
            continue
        lines.append(line)
        length += len(line) + 1
    return ("\n".join(lines) + "\n").encode()
