"""Scratch directories held, left behind and swept by real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rddlite.storage.localdirs import attach, create, open_root, sweep

pytestmark = pytest.mark.local

HOLDER = """
import sys
from rddlite.storage.localdirs import attach, create
scratch = create(sys.argv[2], sys.argv[3]) if sys.argv[1] == "create" else attach(sys.argv[2])
open(scratch.path + "/data", "w").close()
print(scratch.path, flush=True)
sys.stdin.read()
"""

RACER = """
import os, sys
from rddlite.storage.localdirs import create
for _ in range(int(sys.argv[2])):
    scratch = create("same", sys.argv[1])
    blocks = scratch.subdir("blocks")
    for i in range(5):
        with open(f"{blocks}/{i}", "x") as file:
            file.write("x")
    assert len(os.listdir(blocks)) == 5
    scratch.release()
print("ok")
"""


def run(code: str, *args: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> int:
    process.communicate("")
    return process.returncode


def test_the_end_of_the_process_removes_it(tmp_path: Path) -> None:
    process = run(HOLDER, "create", "app", str(tmp_path))
    path = line_of(process)
    assert os.path.isdir(path)
    assert finish(process) == 0
    assert os.listdir(os.path.dirname(path)) == []


def test_what_a_killed_process_leaves_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    killed, living = (run(HOLDER, "create", name, str(tmp_path)) for name in ("killed", "living"))
    left, held = line_of(killed), line_of(living)
    root = open_root(str(tmp_path))
    assert sweep(root) == []
    killed.send_signal(signal.SIGKILL)
    finish(killed)
    assert os.path.isdir(left)
    assert sweep(root) == [left]
    assert os.path.isdir(held)
    finish(living)
    assert os.listdir(root) == []


def test_an_executor_keeps_the_directory_of_a_killed_driver_and_removes_it(tmp_path: Path) -> None:
    driver = run(HOLDER, "create", "app", str(tmp_path))
    path = line_of(driver)
    executor = run(HOLDER, "attach", path)
    assert line_of(executor) == path
    driver.send_signal(signal.SIGKILL)
    finish(driver)
    assert sweep(os.path.dirname(path)) == []
    assert os.path.exists(f"{path}/data")
    assert finish(executor) == 0
    assert os.listdir(os.path.dirname(path)) == []


@pytest.mark.parametrize("releases", [False, True])
def test_a_forked_child_neither_holds_nor_removes(tmp_path: Path, releases: bool) -> None:
    scratch = create("app", str(tmp_path))
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        if releases:
            scratch.release()
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        assert os.path.isdir(scratch.path), "the child's release is no release"
        scratch.release()
        assert not os.path.exists(scratch.path), "the child holds nothing"
    finally:
        os.write(go[1], b"x")
        os.waitpid(pid, 0)
        for fd in (*ready, *go):
            os.close(fd)


def test_processes_that_start_sweep_and_end_at_once_never_touch_each_other(tmp_path: Path) -> None:
    racers = [run(RACER, str(tmp_path), "60") for _ in range(6)]
    assert [racer.communicate()[0] for racer in racers] == ["ok\n"] * len(racers)
    assert os.listdir(open_root(str(tmp_path))) == []


def test_a_long_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*["d" * 100] * 3)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    scratch = create("local-1732112345678")
    other = attach(scratch.path)
    assert scratch.path.startswith(str(deep))
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(scratch.socket_path("s" * 24))
        server.listen()
        client.connect(other.socket_path("s" * 24))
    sockets = scratch.sockets
    scratch.release()
    other.release()
    assert not os.path.exists(os.path.dirname(sockets))
    assert os.listdir(open_root(str(deep))) == []
