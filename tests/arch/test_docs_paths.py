"""Every file that the docs name or link to exists, and every page can be reached from the front page."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from scripts.run_doc_blocks import documents
from tests.arch.source import PACKAGE, ROOT, SRC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_PATH = re.compile(r"[\w.{},-]+(/[\w.{},*-]+)+/?|[\w-]+/")
TOPS = {"src", "docs", "tests", "scripts", "examples", "benchmarks", ".ci"}
ENDINGS = (".py", ".md", ".toml", ".cfg")


def named_paths(text: str) -> Iterator[str]:
    """Paths of the project in code spans: below a top-level directory, or ending like a source file."""
    for span in _CODE.findall(_FENCED.sub("", text)):
        for word in span.split():
            looks_ours = word.split("/")[0] in TOPS or word.endswith(ENDINGS)
            if _PATH.fullmatch(word) and "/" in word and looks_ours:
                yield from _expand(word)


def _expand(word: str) -> Iterator[str]:
    """`a/{b,c}.py` stands for two paths."""
    parts = re.split(r"\{([^}]*)\}", word)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    yield from ("".join(choice) for choice in product(*choices))


def missing_paths(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    named = [path for path in named_paths(text) if not _exists(path, page)]
    linked = [link for link in _links(text) if not (page.parent / link).exists()]
    return named + linked


def _exists(path: str, page: Path) -> bool:
    roots = (ROOT, SRC / PACKAGE, page.parent)
    if "*" in path:
        return any(next(root.glob(path), None) for root in roots)
    return any((root / path).exists() for root in roots)


def _links(text: str) -> list[str]:
    return [link for link in _LINK.findall(_FENCED.sub("", text)) if "://" not in link]


def reachable(start: Path) -> set[Path]:
    seen: set[Path] = set()
    todo = [start.resolve()]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        todo += [(page.parent / link).resolve() for link in _links(page.read_text(encoding="utf-8"))]
    return seen


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    assert missing_paths(page) == []


def test_every_page_can_be_reached_from_the_readme():
    reached = reachable(ROOT / "README.md")
    assert [str(page.relative_to(ROOT)) for page in documents() if page.resolve() not in reached] == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see `src/rddlite/nowhere.py`", ["src/rddlite/nowhere.py"]),
        ("see `base/{ids,idz}.py`", ["base/idz.py"]),
        ("see `tests/nothing/*`", ["tests/nothing/*"]),
        ("see `scripts/nothing --quick`", ["scripts/nothing"]),
        ("see [there](nowhere.md#part)", ["nowhere.md"]),
    ],
)
def test_a_planted_path_is_found_missing(tmp_path, text, missing):
    page = tmp_path / "page.md"
    page.write_text(text)
    assert missing_paths(page) == missing


def test_what_is_no_path_of_ours_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("`a/b` and `/tmp/x.txt`, `s3://bucket/x.txt`, `base/ids.py`, `local[n,F]`, [x](https://x.org/a.md)")
    assert missing_paths(page) == []
