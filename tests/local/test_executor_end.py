"""However an executor or its driver ends: no process, no socket and no file stays."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rddlite.executor.lifeline import await_end
from rddlite.net.messages import Refused
from tests.local import stub_tasks as tasks
from tests.local.mini_driver import ROOT, session, wait_until

pytestmark = pytest.mark.local


@pytest.fixture
def busy(start_driver, tmp_path):
    """An executor with a task that does not want to stop, and a child of a task."""
    driver = start_driver(slots=2)
    mark = tmp_path / "started"
    driver.submit(tasks.touch_and_refuse_to_stop, str(mark))
    driver.call(tasks.start_child)
    driver.until_started(mark)
    assert len(session(driver.process.pid)) == 5
    return driver


def test_the_order_to_end_is_obeyed_at_once(busy):
    busy.stop()


def test_the_end_of_its_stdin_is_an_order_to_end(busy):
    busy.process.stdin.close()
    busy.until(lambda: busy.left)
    assert "closed the pipe" in busy.left
    assert busy.process.wait(120) == 0
    busy.expect_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_cleanly(busy, number):
    busy.process.send_signal(number)
    busy.until(lambda: busy.left)
    assert busy.process.wait(120) == 0
    busy.expect_nothing_left()


def test_a_refused_executor_ends(busy):
    busy.hub.send("0", Refused("not one of us"))
    assert busy.process.wait(120) == 1
    busy.expect_nothing_left()


def test_when_an_executor_is_killed_its_processes_go(busy):
    busy.process.kill()
    busy.process.wait()
    wait_until(lambda: not session(busy.process.pid), lambda: str(session(busy.process.pid)))
    # Its files are the driver's to remove: they go with the application's scratch directory.
    assert os.path.exists(busy.executor_scratch)
    busy._clean()
    assert not os.path.exists(busy.scratch.path)


def test_when_the_zygote_is_killed_the_executor_leaves(busy):
    pid = busy.process.pid
    workers = set(busy.registered[-1].workers)
    (zygote,) = [p for p in session(pid) if p != pid and Path(f"/proc/{p}/stat").read_text().split()[3] == str(pid)]
    assert zygote not in workers
    os.kill(zygote, signal.SIGKILL)
    busy.until(lambda: busy.left)
    assert "zygote" in busy.left
    assert busy.process.wait(120) == 1
    kill_all(pid)  # what a task started has lost its worker, which was to take it along
    busy.expect_nothing_left()


def test_a_stopped_zygote_cannot_hold_the_end_up(busy):
    pid = busy.process.pid
    (zygote,) = [p for p in session(pid) if p != pid and Path(f"/proc/{p}/stat").read_text().split()[3] == str(pid)]
    os.kill(zygote, signal.SIGSTOP)
    busy.process.terminate()
    assert busy.process.wait(120) == 0
    kill_all(pid)
    busy.expect_nothing_left()


def test_an_executor_without_its_applications_scratch_does_not_start(start_driver, tmp_path):
    driver = start_driver()
    driver.wait_ready()
    command = [sys.executable, "-m", "rddlite.executor.main", "--endpoint", driver.endpoint, "--executor", "1"]
    command += ["--slots", "1", "--scratch", str(tmp_path / "gone" / "executor-1"), "--driver-pid", str(os.getpid())]
    done = subprocess.run(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), timeout=120)
    assert b"does not start" in done.stderr
    assert done.returncode == 1


def test_a_bad_command_line_is_explained():
    command = [sys.executable, "-m", "rddlite.executor.main", "--slots", "two"]
    done = subprocess.run(command, stderr=subprocess.PIPE, env=environment(), timeout=120)
    assert done.returncode == 1
    assert b"usage: --endpoint" in done.stderr


@pytest.mark.parametrize("how", [(), ("fork",)], ids=["alone", "with a forked child that lives on"])
def test_when_the_driver_is_killed_everything_goes(tmp_path, how):
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.local.driver_process", str(ready), *how], env=environment()
    )
    facts = {"heir": 0}
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None)
        facts = json.loads(ready.read_text())
        assert len(session(facts["executor"])) == 5
        process.kill()
        process.wait()
        wait_until(lambda: not session(facts["executor"]), lambda: str(session(facts["executor"])))
        wait_until(lambda: not os.path.exists(facts["socket"]))
        wait_until(lambda: not os.path.exists(facts["scratch"]))
    finally:
        process.kill()
        process.wait()
        if facts["heir"]:
            os.kill(facts["heir"], signal.SIGKILL)


def test_what_a_killed_process_held_is_free_once_its_end_was_awaited(tmp_path):
    """Its pipe may end before its lock is free: who cleans up after it must not look too early."""
    program = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 1); print(flush=True); time.sleep(600)"
    )
    for i in range(10):
        path = tmp_path / f"{i}.lock"
        with subprocess.Popen([sys.executable, "-S", "-c", program, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"\n"
            process.kill()
            assert process.stdout.read() == b""
            await_end(process.pid)
            with open(path, "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_nobody_waits_for_a_process_that_goes_on():
    await_end(os.getpid())
    await_end(os.getppid())


def kill_all(leader: int) -> None:
    """The processes of a session; some may be ending by themselves."""
    for child in session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
