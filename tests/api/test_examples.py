"""The programs in `examples/` do what they say, whole and in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.local
ROOT = Path(__file__).resolve().parents[2]


def run(name, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_pi():
    assert 3.1 < float(run("pi.py", "3").split()[-1]) < 3.2


def test_pagerank(tmp_path):
    ranks = dict(re.findall(r"(\w) has rank ([\d.]+)", run("pagerank.py")))
    links = {"a": ["b", "c"], "b": ["c"], "c": ["a"], "d": ["a", "c"]}
    expected = dict.fromkeys(links, 1.0)
    for _ in range(10):
        given: dict[str, float] = {}
        for page, to in links.items():
            for other in to:
                if page in expected:
                    given[other] = given.get(other, 0.0) + expected[page] / len(to)
        expected = {page: 0.15 + 0.85 * rank for page, rank in given.items()}
    assert ranks == {page: f"{rank:.4f}" for page, rank in expected.items()}
    (tmp_path / "links").write_text("x y\ny x\n")
    assert run("pagerank.py", str(tmp_path / "links"), "3") == "x has rank 1.0000\ny has rank 1.0000\n"


def test_kmeans():
    centres = [tuple(map(float, line.split())) for line in run("kmeans.py").splitlines()]
    assert centres == [(0.0, 0.0), (4.0, 8.0), (9.0, 0.0)]


def test_logistic_regression():
    weights = [float(word) for word in run("logistic_regression.py").split()[1:]]
    assert weights == pytest.approx([2.0, -3.0, 1.0], abs=0.3)


def test_transitive_closure():
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        from transitive_closure import graph
    finally:
        sys.path.pop(0)
    closure = graph()
    while more := {(a, d) for a, b in closure for c, d in closure if b == c} - closure:
        closure |= more
    assert run("transitive_closure.py") == f"The closure has {len(closure)} edges\n"


def test_sort(tmp_path):
    assert run("sort.py").split() == ["-4", "1", "2", "3", "7", "10"]
    (tmp_path / "numbers").write_text("5 4\n3")
    assert run("sort.py", str(tmp_path / "numbers")).split() == ["3", "4", "5"]
