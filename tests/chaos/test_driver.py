"""When the driver ends, in whatever way, nothing stays behind. The fixture of this folder does the checking."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, threading, time
from operator import add
from rddlite import Context

sc = Context("MASTER", conf={"executor.silence": "1h"})
pairs = sc.range(2000, numSlices=6).map(lambda x: (x % 7, x)).reduceByKey(add, 3)
pairs.collect()
print("ready", flush=True)
ENDING
"""

KILLED = {
    "returns without stop": "",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGKILL in a job": (
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start();"
        "sc.parallelize(range(6), 6).foreach(lambda _: time.sleep(600))"
    ),
    "SIGKILL while a forked child lives on": (
        "child = os.fork()\nif child == 0:\n    time.sleep(2)\n    os._exit(0)\nos.kill(os.getpid(), signal.SIGKILL)"
    ),
}
ENDINGS = {
    "local[2]": {
        **KILLED,
        "raises": "raise RuntimeError('end')",
        "sys.exit": "sys.exit(3)",
        "os._exit": "os._exit(3)",
        "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    },
    "local-cluster[3,1,256m]": {
        **KILLED,
        "SIGKILL after one of its executors": (
            "os.kill(sc.executors[1].pid, signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)"
        ),
    },
}
CASES = [(master, ending) for master, endings in ENDINGS.items() for ending in endings]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": os.pathsep.join(sys.path)}


def program(folder: Path, ending: str, master: str = "local[2]") -> Path:
    script = folder / "driver.py"
    script.write_text(PROGRAM.replace("MASTER", master).replace("ENDING", ending))
    return script


def run(script: Path) -> int:
    return subprocess.run([sys.executable, str(script)], env=environment(), stdout=subprocess.DEVNULL).returncode


@pytest.mark.parametrize(("master", "ending"), CASES)
def test_nothing_stays_behind(tmp_path: Path, master: str, ending: str) -> None:
    script = program(tmp_path, ENDINGS[master][ending], master)
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"


def test_killing_driver_and_executor_together_is_swept_at_the_next_start(tmp_path: Path) -> None:
    both = "os.kill(sc.executors[0].pid, signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)"
    assert run(program(tmp_path, both)) == -signal.SIGKILL
    assert run(program(tmp_path, "sc.stop()")) == 0


def test_a_forked_driver_cannot_use_the_context(tmp_path: Path) -> None:
    fork = """
child = os.fork()
if child == 0:
    try:
        sc.range(3).collect()
    except RuntimeError as error:
        os._exit(0 if "forked" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert sc.range(3).collect() == [0, 1, 2]
sc.stop()
"""
    assert run(program(tmp_path, fork)) == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_driver_without_standard_streams(tmp_path: Path, closed: tuple[int, ...]) -> None:
    script = program(tmp_path, "sc.stop()")
    script.write_text(script.read_text().replace('print("ready", flush=True)', "sc.range(9).foreach(print)"))
    command = f"exec '{sys.executable}' '{script}' " + " ".join(f"{fd}>&-" for fd in closed)
    assert subprocess.run(["sh", "-c", command], env=environment(), capture_output=True).returncode == 0
