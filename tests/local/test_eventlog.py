"""The event log of real jobs: complete, replayed without a difference, and off it costs nothing."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from operator import add
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.cli.main import main
from rddlite.errors import JobFailed
from rddlite.observe.logreader import LogReader
from rddlite.schedule.core import Scheduler
from rddlite.testing.faults import Faults

pytestmark = pytest.mark.local

PAIRS = [(i % 5, 1) for i in range(1000)]


def conf(directory: Path) -> dict[str, Any]:
    return {"eventlog.dir": str(directory), "progress.show": False}


def count(sc: Context) -> dict[int, int]:
    return dict(sc.parallelize(PAIRS, 6).reduceByKey(add, 4).collect())


def only_log(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def explained(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["explain-log", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def eventually(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120, **options
    )


def test_a_job_with_killed_workers_is_told_and_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Faults(tmp_path / "faults") as faults:
        faults.arm("task.map", "kill")
        faults.arm("task.reduce", "kill")
        with Context("local[2]", "told", conf(tmp_path / "logs")) as sc:
            name = sc.applicationId
            assert count(sc) == dict.fromkeys(range(5), 200)
            with pytest.raises(JobFailed):
                sc.range(3, numSlices=3).map(lambda x: 1 // x).collect()
    log = only_log(tmp_path / "logs")
    assert log.name == f"{name}.jsonl"
    replayed = json.loads(explained(capsys, log, "--replay", "--check", "--json"))
    assert (replayed["reproduced"], replayed["ending"]["kind"]) == (True, "complete")
    assert replayed["events"] > 10
    story = json.loads(explained(capsys, log, "--json"))
    assert story["application"]["settings"]["eventlog.dir"] == str(tmp_path / "logs")
    assert [job["state"] for job in story["jobs"]] == ["succeeded", "failed"]
    causes = [each["text"] for each in story["jobs"][0]["incidents"] if each["what"] == "failed"]
    assert len(causes) == 2
    assert all(text.endswith("its worker process died: signal 9") for text in causes)
    assert "ZeroDivisionError" in json.dumps(story["jobs"][1]["incidents"])
    text = explained(capsys, log)
    assert text.startswith("told (local-")
    assert "the log is complete" in text


def test_a_replaced_executor_is_told_and_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Context("local[2]", conf=conf(tmp_path / "logs")) as sc:
        counts = sc.parallelize(PAIRS, 6).reduceByKey(add, 4)
        assert dict(counts.collect()) == dict.fromkeys(range(5), 200)
        os.kill(sc.executors[0].pid, signal.SIGKILL)
        assert dict(counts.mapValues(abs).collect()) == dict.fromkeys(range(5), 200)
    log = only_log(tmp_path / "logs")
    assert json.loads(explained(capsys, log, "--replay", "--check", "--json"))["reproduced"]
    first, second = json.loads(explained(capsys, log, "--json"))["executors"]
    assert "SIGKILL" in first["why"]
    assert (first["left"] > 0, second["left"]) == (True, None)


def test_inline_jobs_have_a_log_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Context("inline", conf=conf(tmp_path / "logs")) as sc:
        assert count(sc) == dict.fromkeys(range(5), 200)
    assert "0 differences" in explained(capsys, only_log(tmp_path / "logs"), "--replay", "--check")


def test_without_the_setting_there_is_no_log_no_thread_and_no_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    with Context("local[2]", conf={"progress.show": False}) as sc:
        assert count(sc) == dict.fromkeys(range(5), 200)
        assert "rddlite-eventlog" not in [thread.name for thread in threading.enumerate()]
        loop = sc._driver._loop  # type: ignore[union-attr]
        assert loop._handle_all.__func__ is Scheduler.handle_all  # type: ignore[attr-defined]


def test_the_writers_thread_ends_with_the_context(tmp_path: Path) -> None:
    with Context("inline", conf=conf(tmp_path / "logs")):
        assert "rddlite-eventlog" in [thread.name for thread in threading.enumerate()]
    assert "rddlite-eventlog" not in [thread.name for thread in threading.enumerate()]


def test_a_directory_that_cannot_be_written_harms_no_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "rddlite.eventlog"), Context("local[2]", conf=conf(tmp_path / "file")) as sc:
        assert count(sc) == dict.fromkeys(range(5), 200)
    (record,) = [record for record in caplog.records if record.name == "rddlite.eventlog"]
    assert "jobs go on without it" in record.getMessage()


KILLED = """
import os, signal, sys
from rddlite import Context

sc = Context("local[2]", conf={"eventlog.dir": sys.argv[1]})
assert sc.range(100, numSlices=4).map(lambda x: (x % 5, x)).reduceByKey(lambda a, b: a + b).count() == 5
print("counted", flush=True)
sys.stdin.read()
"""


def test_the_log_of_a_killed_driver_is_there_within_a_second_or_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, logs = tmp_path / "driver.py", tmp_path / "logs"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(logs)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        eventually(lambda: any('["JobDone",0]' in path.read_text() for path in logs.glob("*")))
        process.kill()
    log = only_log(logs)
    assert log.name.endswith(".jsonl.inprogress")
    text = explained(capsys, log, "--replay", "--check")
    assert "0 differences" in text
    assert "unfinished: its end is missing: the driver is still running, or was killed" in text
    log.write_bytes(log.read_bytes()[:-10])
    assert "its last line is cut off" in explained(capsys, log)


def test_a_forked_child_of_the_driver_writes_nothing(tmp_path: Path) -> None:
    with Context("local[2]", conf=conf(tmp_path / "logs")) as sc:
        assert count(sc) == dict.fromkeys(range(5), 200)
        child = os.fork()
        if child == 0:
            sc.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert count(sc) == dict.fromkeys(range(5), 200)
    log = LogReader(str(only_log(tmp_path / "logs")))
    nows = [batch.now for batch in log]
    assert nows == sorted(nows)
    assert log.ending.kind == "complete"


# The command as a process


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with Context("inline", conf=conf(tmp_path / "logs")) as sc:
        for _ in range(200):
            sc.range(3, numSlices=3).count()
    return only_log(tmp_path / "logs")


def test_the_command_in_a_pipe_and_its_exit_codes(log: Path) -> None:
    done = run("-m", "rddlite", "explain-log", "--replay", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("reproduced: ")
    log.write_text(re.sub(r'(\["Launch","[^"]+"),0,', r"\1,99,", log.read_text(), count=1))
    assert run("-m", "rddlite", "explain-log", "--replay", log).returncode == 1
    assert run("-m", "rddlite", "explain-log").returncode == 2
    command = f"{sys.executable} -m rddlite explain-log {log} | head -n 1"
    done = subprocess.run(
        command, shell=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


SLOW = ("zmq", "msgpack", "cloudpickle", "asyncio", "rddlite.api.context", "rddlite.driver.loop")


@pytest.mark.parametrize("arguments", [["--version"], ["executor", "--help"], ["explain-log", "{log}"]])
def test_a_command_loads_what_it_needs_and_no_more(log: Path, arguments: list[str]) -> None:
    arguments = [argument.format(log=log) for argument in arguments]
    program = (
        "import sys\nfrom rddlite.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted(set(sys.modules) & set({SLOW!r})))"
    )
    done = run("-c", program)
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stderr
