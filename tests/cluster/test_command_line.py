"""`rddlite executor` as a process that a supervisor starts, and the event log of a driver that it joined."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.cli.main import main
from tests.helpers.cluster import EXPECTED, PATIENT, counts, wait_until

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


@pytest.fixture
def commands() -> Iterator[list[subprocess.Popen[str]]]:
    """Those that were started; none may run at the end."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(commands: list[subprocess.Popen[str]], words: Sequence[str]) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    env.pop("PYTHONHASHSEED", None)
    command = [sys.executable, "-m", *words]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    commands.append(process)
    return process


def test_the_command_that_the_driver_tells_joins_it_and_leaves_on_sigterm(
    commands: list[subprocess.Popen[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Context("rdd://127.0.0.1:0", conf={**PATIENT, "eventlog.dir": str(tmp_path)}) as sc:
        assert sc.join_command is not None
        words = [*shlex.split(sc.join_command), "--slots", "2", "--host", "blue", "--memory", "256m"]
        first = start(commands, words)
        wait_until(lambda: len(sc.executors) == 1, "the first executor joins")
        assert (sc.executors[0].pid, sc.executors[0].slots, sc.executors[0].host) == (first.pid, 2, "blue")
        rdd = counts(sc)
        assert dict(rdd.collect()) == EXPECTED
        second = start(commands, words)
        wait_until(lambda: len(sc.executors) == 2, "the second executor joins")
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
        assert dict(rdd.mapValues(abs).collect()) == EXPECTED
    assert second.wait(PATIENCE) == 0
    (log,) = tmp_path.iterdir()
    assert log.name.startswith("app-")
    assert main(["explain-log", "--replay", "--check", str(log)]) == 0
    assert "0 differences" in capsys.readouterr().out
    assert main(["explain-log", "--json", str(log)]) == 0
    left, stayed = json.loads(capsys.readouterr().out)["executors"]
    assert "wants to leave" in str(left["turns"])
    assert left["why"].startswith("left: ")
    assert (stayed["host"], stayed["left"]) == ("blue", None)


def test_a_key_file_that_cannot_be_used_is_one_line_and_a_failure(
    commands: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start(
        commands, ["rddlite", "executor", "--driver", "tcp://127.0.0.1:9", "--key-file", f"{tmp_path}/none"]
    )
    _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "none" in text
    assert text.count("\n") == 1


def test_a_cluster_that_loses_an_executor_is_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, "eventlog.dir": str(tmp_path)}) as sc:
        rdd = counts(sc)
        assert dict(rdd.collect()) == EXPECTED
        os.kill(sc.executors[0].pid, signal.SIGKILL)
        assert dict(rdd.mapValues(abs).collect()) == EXPECTED
    (log,) = tmp_path.iterdir()
    assert main(["explain-log", "--replay", "--check", str(log)]) == 0
    assert "0 differences" in capsys.readouterr().out
    assert main(["explain-log", "--json", str(log)]) == 0
    told = json.loads(capsys.readouterr().out)
    (why,) = {each["why"] for each in told["executors"]} - {""}
    assert "SIGKILL" in why
    assert [job["state"] for job in told["jobs"]] == ["succeeded", "succeeded"]
