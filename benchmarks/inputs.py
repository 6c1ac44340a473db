"""Input files, made once and kept in a cache directory outside the tree; equal on every machine and Python."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

CACHE = Path(os.environ.get("RDDLITE_BENCH_CACHE") or Path.home() / ".cache" / "rddlite-bench")
N_WORDS = 50_000
_BLOCK = 4 << 20
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def text_file(size: int) -> Path:
    """A text of about `size` bytes: words drawn by Zipf's law, six to twelve of them a line."""
    path = CACHE / f"text-{size}.txt"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        _write(unfinished, size)
        unfinished.rename(path)
    return path


def _write(path: Path, size: int) -> None:
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
