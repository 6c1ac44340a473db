"""Run every code block of the given Markdown files (default: README.md and docs/), each in a fresh interpreter.

Blocks marked `python` are run in an empty directory and must succeed without a word on stderr; a comment `# prints: x`
after a block's last statement says what must be printed. In blocks marked `sh` the first word of each line must be a
script of this project or a program on the path; they are not run. Anything else is for reading (`text`); a block
without a mark is an error, so that nothing escapes by accident.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKS = {"python", "sh", "text", "toml", "json"}
_SIDE_BY_SIDE = min(os.cpu_count() or 1, 4)
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of a file, with the line on which it starts."""

    path: Path
    line: int
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    return [Block(path, text.count("\n", 0, match.start()) + 1, match[2], match[3]) for match in _FENCE.finditer(text)]


def problem(block: Block) -> str | None:
    """What is wrong with a block, if anything."""
    if block.mark not in MARKS:
        return f"marked {block.mark!r}: use one of {', '.join(sorted(MARKS))}"
    if block.mark == "sh":
        return _unknown_program(block.text)
    return _run(block.text) if block.mark == "python" else None


def _unknown_program(text: str) -> str | None:
    for line in filter(None, map(str.strip, text.splitlines())):
        program = line.split()[0]
        if program != "#" and not (ROOT / program).is_file() and shutil.which(program) is None:
            return f"no such script or program: {program}"
    return None


def _run(text: str) -> str | None:
    with tempfile.TemporaryDirectory(prefix="rddlite-docs-") as directory:
        script = Path(directory, "block.py")
        script.write_text(text, encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-W", "error", script.name],
            cwd=directory, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    if done.returncode or done.stderr:
        return f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    missing = [line for line in re.findall(r"# prints: (.+)", text) if line.strip() not in done.stdout]
    return f"did not print {missing[0]!r} but\n{done.stdout}" if missing else None


def documents() -> list[Path]:
    """The files that are read by people."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 1 if a block is wrong."""
    parser = argparse.ArgumentParser(description="Run the code blocks of Markdown files.")
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args(arguments).files or documents()
    blocks = [block for path in files for block in blocks_of(path)]
    started, failed = time.monotonic(), 0
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for block, wrong in zip(blocks, pool.map(problem, blocks), strict=True):
            if wrong is not None:
                failed += 1
                print(f"{block}: {wrong}")
    runnable = sum(block.mark == "python" for block in blocks)
    seconds = time.monotonic() - started
    print(f"{len(files)} files, {len(blocks)} blocks, {runnable} run, {failed} wrong, {seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
