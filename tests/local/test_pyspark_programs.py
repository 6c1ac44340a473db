"""The PySpark programs in `examples/pyspark`, run as they are: their answers are those of plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from rddlite.compat.pyspark.reader import findings

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "examples" / "pyspark"
SECONDS = 120

pytestmark = pytest.mark.local


def submit(*arguments: str, master: str = "local[2]") -> list[str]:
    """The lines that a program prints."""
    command = [sys.executable, "-m", "rddlite", "submit", "--pyspark", "--master", master, *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def program(name: str) -> str:
    return str(PROGRAMS / f"{name}.py")


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_everything_that_they_use_is_covered(path):
    assert findings(path.read_text()) == []


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,256]"])
def test_wordcount(tmp_path, master):
    text = tmp_path / "text"
    text.write_text("to be or not\nto be\n\nthat is the question\n")
    words = Counter(text.read_text().split())
    expected = [f"{word}: {n}" for word, n in sorted(words.items(), key=lambda item: (-item[1], item[0]))]
    assert submit(program("wordcount"), str(text), master=master) == expected


def test_sort(tmp_path):
    text = tmp_path / "numbers"
    text.write_text("5 3 17\n-2 40\n3\n")
    assert submit(program("sort"), str(text)) == ["-2", "3", "3", "5", "17", "40"]


def test_pi():
    (line,) = submit(program("pi"), "4")
    assert 3.0 < float(line.removeprefix("pi is roughly ")) < 3.3


def test_pagerank():
    links = {"a": ["b", "c"], "b": ["c"], "c": ["a"], "d": ["c"]}
    ranks = dict.fromkeys(links, 1.0)
    for _ in range(10):
        given: Counter[str] = Counter()
        for page in links.keys() & ranks.keys():
            for neighbour in links[page]:
                given[neighbour] += ranks[page] / len(links[page])
        ranks = {page: rank * 0.85 + 0.15 for page, rank in given.items()}
    lines = dict(line.split(" has rank ") for line in submit(program("pagerank")))
    assert lines.keys() == ranks.keys()
    assert {page: float(rank) for page, rank in lines.items()} == pytest.approx(ranks, abs=1e-5)


def test_kmeans():
    centres = [tuple(map(float, line.split()[1:])) for line in submit(program("kmeans"))]
    assert centres[0] == pytest.approx((0, 0), abs=0.3)
    assert centres[1] == pytest.approx((9, 9), abs=0.3)


def test_logistic_regression():
    (line,) = submit(program("logistic_regression"))
    right, _, total = line.split()[:3]
    assert int(total) == 500
    assert int(right) > 475


def test_als():
    errors = [float(line.split()[-1]) for line in submit(program("als"))]
    assert len(errors) == 5
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_barrier_regression():
    assert submit(program("barrier_regression"), "2", "100") == ["y = 3.00 x -1.00"]


def test_transitive_closure():
    assert submit(program("transitive_closure")) == [f"{len(closure())} pairs"]


def closure() -> set[tuple[int, int]]:
    namespace: dict[str, object] = {"__name__": "edges"}
    source = (PROGRAMS / "transitive_closure.py").read_text().replace("from pyspark import SparkContext", "")
    exec(compile(source, "transitive_closure.py", "exec"), namespace)
    reached = set(namespace["some_edges"]())  # type: ignore[operator]
    while True:
        longer = {(a, d) for a, b in reached for c, d in reached if b == c} - reached
        if not longer:
            return reached
        reached |= longer


def test_the_programs_exit_code_and_output_are_its_own(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(41)\n")
    command = [sys.executable, "-m", "rddlite", "submit", str(script)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, text=True, env=env, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (41, "out\n", "err\n")


def test_an_installed_pyspark_is_not_touched(tmp_path):
    installed = tmp_path / "site" / "pyspark"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("raise RuntimeError('the installed one')\n")
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\n"
        f"sys.path.append({str(installed.parent)!r})\n"
        "from pyspark import SparkContext\n"
        "def version(_):\n"
        "    import pyspark\n"
        "    return pyspark.__version__\n"
        "with SparkContext() as sc:\n"
        "    print(sc.range(2).map(version).collect() == [version(0)] * 2)\n"
    )
    assert submit(str(script)) == ["True"]


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,256]"])
def test_files_that_are_submitted_reach_driver_and_tasks(tmp_path, master):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "prices.py").write_text("PRICE = 3\n")
    (tmp_path / "limit.txt").write_text("70")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("weights.txt", "600")
    script = tmp_path / "job.py"
    script.write_text(
        "from pathlib import Path\n"
        "import prices\n"
        "from pyspark import SparkContext, SparkFiles\n"
        "def total(_):\n"
        "    import prices\n"
        "    limit = int(Path(SparkFiles.get('limit.txt')).read_text())\n"
        "    return prices.PRICE + limit + int(Path(SparkFiles.get('model'), 'weights.txt').read_text())\n"
        "with SparkContext() as sc:\n"
        "    print(sc.range(2).map(total).collect(), prices.PRICE)\n"
    )
    flags = ["--py-files", str(tmp_path / "more" / "prices.py"), "--files", str(tmp_path / "limit.txt")]
    assert submit(*flags, "--archives", f"{tmp_path}/model.zip#model", str(script), master=master) == ["[673, 673] 3"]


def test_a_submitted_file_that_is_missing_ends_the_context(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "from rddlite import Context\n"
        "from rddlite.errors import PathNotFound\n"
        "try:\n    Context()\n"
        "except PathNotFound as error:\n    print(error)\n"
        "with Context(conf={'submit.files': ''}) as sc:\n    print(sc.range(3).sum())\n"
    )
    told, total = submit("--files", "/nowhere/x.txt", str(script))
    assert "/nowhere/x.txt" in told
    assert total == "3"


def test_a_prompt_in_which_pyspark_means_rddlite(tmp_path):
    (tmp_path / "rates_of_prompt.py").write_text("RATE = 3\n")
    typed = (
        "from pyspark import SparkContext as S\n"
        "import rates_of_prompt\n"
        "print(S is SparkContext, spark.sparkContext is sc)\n"
        "print(sc.range(3).map(lambda x: x * rates_of_prompt.RATE).collect())\n"
    )
    command = [sys.executable, "-m", "rddlite", "shell", "--master", "local[1]", "--plain", "--pyspark"]
    command += ["--py-files", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, input=typed, capture_output=True, text=True, env=env, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "True True" in ended.stdout
    assert "[0, 3, 6]" in ended.stdout
