"""Bad input that takes a context of its own: a stopped one, one with a small limit, one in a forked process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rddlite import Context
from rddlite.errors import ContextStopped, PathNotFound, ResultTooLarge


def test_a_stopped_context():
    with Context("inline") as stopped:
        numbers = stopped.range(3)
    for use in (
        lambda: stopped.parallelize([1]),
        lambda: stopped.range(3),
        lambda: stopped.textFile("x"),
        lambda: stopped.emptyRDD(),
        lambda: stopped.union([numbers]),
        lambda: stopped.runJob(numbers, list),
        lambda: stopped.cancelAllJobs(),
        lambda: stopped.executors,
        lambda: stopped.__enter__(),
        numbers.collect,
        numbers.getNumPartitions,
        lambda: numbers.map(str),
        lambda: numbers.toLocalIterator().__next__(),
    ):
        with pytest.raises(ContextStopped, match="was stopped: create a new one"):
            use()


def test_a_result_larger_than_allowed():
    with Context("inline", conf={"driver.maxResultSize": "1m"}) as sc:
        large = sc.range(4, numSlices=4).map(lambda x: bytes(500_000))
        with pytest.raises(ResultTooLarge, match=r"driver\.maxResultSize") as caught:
            large.collect()
        assert "1.0 MiB" in str(caught.value)
        assert isinstance(caught.value, MemoryError)
        assert large.count() == 4
        assert len(large.take(1)) == 1


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from rddlite import Context
from rddlite.errors import ContextStopped

with Context("inline") as sc:
    numbers = sc.range(3)
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (numbers.count, lambda: sc.range(3), lambda: numbers.map(str), lambda: sc.executors):
            try:
                use()
            except ContextStopped as error:
                refused += "forked" in str(error)
        sc.stop()
        with Context("inline") as own:
            refused += own.range(4).count() == 4
        sys.exit(0 if refused == 5 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert numbers.count() == 3
"""


def run(script):
    """Exit code, output and errors of a script that imports the same rddlite."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
    return done.returncode, done.stdout, done.stderr


def test_a_forked_process_cannot_use_the_context_but_make_its_own():
    assert run(FORKED) == (0, "", "")


def test_a_context_that_nobody_stops_ends_with_the_interpreter():
    assert run("from rddlite import Context; print(Context('inline').range(3).count())") == (0, "3\n", "")


def test_importing_rddlite_loads_no_api():
    script = "import rddlite, sys; print([name for name in sys.modules if name.startswith('rddlite.')])"
    assert run(script) == (0, "['rddlite.errors', 'rddlite.version']\n", "")


def test_arguments_of_pysparks_context(tmp_path):
    (tmp_path / "given_by_pyfiles.py").write_text("N = 7")
    given = {"sparkHome": "/x", "environment": {"A": "1"}, "batchSize": 3, "serializer": object()}
    with Context("inline", "args", pyFiles=[f"{tmp_path}/given_by_pyfiles.py"], **given) as sc:
        assert (sc.sparkHome, sc.environment) == ("/x", {"A": "1"})
        assert sc.range(1).map(lambda x: __import__("given_by_pyfiles").N).collect() == [7]
    with pytest.raises(PathNotFound):
        Context("inline", "args", pyFiles=[f"{tmp_path}/none.py"])
    with Context("inline") as sc:  # the one before was stopped
        assert sc.listFiles == []
