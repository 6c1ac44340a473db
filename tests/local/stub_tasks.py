"""What tests have executors do: functions that `CallRunner` calls in workers. Named by module, so importable there."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Success


def echo(runner: Any, task: Any, blobs: Any, value: Any) -> Any:
    return value


def about(runner: Any, task: Any, blobs: Any) -> dict[str, Any]:
    """What a task can see of its process."""
    import gc
    import random

    env = runner.env
    with open("/proc/self/oom_score_adj") as file:
        score = int(file.read())
    return {
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "parent": os.getppid(),
        "thread_is_main": threading.current_thread() is threading.main_thread(),
        "executor": env.executor_id,
        "scratch": env.scratch,
        "memory_limit": env.memory_limit,
        "heartbeat": env.settings["executor.heartbeat"],
        "hash_seed": os.environ["PYTHONHASHSEED"],
        "omp": os.environ["OMP_NUM_THREADS"],
        "random": random.random(),
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "stdin": sys.stdin.read(),
        "zmq": "zmq" in sys.modules,
        "oom_score_adj": score,
        "main": sys.modules["__main__"].__dict__.get("main"),
        "gc": gc.get_threshold(),
    }


def lengths(runner: Any, task: Any, blobs: Any) -> dict[str, int]:
    return {name: len(data) for name, data in blobs.items()}


def touch_and_sleep(runner: Any, task: Any, blobs: Any, path: str, seconds: float) -> str:
    Path(path).touch()
    time.sleep(seconds)
    return "slept"


def touch_and_spin(runner: Any, task: Any, blobs: Any, path: str) -> None:
    Path(path).touch()
    while True:
        pass


def touch_and_sleep_in_c(runner: Any, task: Any, blobs: Any, path: str, seconds: float) -> None:
    """Holds the interpreter's lock all the time; a signal cuts it short."""
    Path(path).touch()
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    while True:
        pass


def touch_and_block_in_c(runner: Any, task: Any, blobs: Any, path: str) -> None:
    """Stays in C whatever signals come."""
    Path(path).touch()
    libc = ctypes.PyDLL(None)
    libc.signal(signal.SIGUSR1, ctypes.c_void_p(1))  # SIG_IGN
    libc.usleep(3600 * 1_000_000)
    libc.sleep(3600)


def touch_and_refuse_to_stop(runner: Any, task: Any, blobs: Any, path: str) -> None:
    while True:
        try:
            Path(path).touch()
            time.sleep(3600)
        except BaseException:
            pass


def touch_and_clean_up_when_stopped(runner: Any, task: Any, blobs: Any, path: str, cleaned: str) -> None:
    try:
        Path(path).touch()
        time.sleep(3600)
    finally:
        Path(cleaned).touch()


class StuckInDestructor:
    """Python drops what is raised in a destructor: the first attempt to stop it is lost."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __del__(self) -> None:
        Path(self.path).touch()
        time.sleep(3600)


def touch_and_sleep_in_destructor(runner: Any, task: Any, blobs: Any, path: str) -> None:
    StuckInDestructor(path)
    time.sleep(3600)


def touch_and_leave_a_thread(runner: Any, task: Any, blobs: Any, path: str) -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    Path(path).touch()
    time.sleep(3600)


def touch_and_wait_for_child(runner: Any, task: Any, blobs: Any, path: str) -> None:
    with subprocess.Popen(["sleep", "3600"]) as child:
        Path(path).write_text(str(child.pid))
        child.wait()


def start_child(runner: Any, task: Any, blobs: Any) -> int:
    return subprocess.Popen(["sleep", "3600"]).pid


def tick_until(runner: Any, task: Any, blobs: Any, seconds: float) -> int:
    """Busy for a while; a signal that is not meant for it must not be felt."""
    n = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        n += 1
    return task.attempt


def end_by(runner: Any, task: Any, blobs: Any, how: str) -> None:
    match how:
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "_exit":
            os._exit(7)
        case "SystemExit":
            sys.exit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "GeneratorExit":
            raise GeneratorExit
        case "MemoryError":
            raise MemoryError("no room")
        case "unprintable":
            raise Unprintable
        case "recursion":
            end_by(runner, task, blobs, how)
        case _:
            raise ValueError(how)


class Unprintable(Exception):
    """Not even its text can be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def write_to_every_socket(runner: Any, task: Any, blobs: Any, data: bytes) -> None:
    """What code may do that believes that it knows its descriptors."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is gone already
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), data)
    time.sleep(3600)


def unpackable_outcome(runner: Any, task: Any, blobs: Any) -> Success:
    return Success(InlineResult("text"), TaskMetrics())  # type: ignore[arg-type]


def huge_outcome(runner: Any, task: Any, blobs: Any) -> Success:
    return Success(InlineResult(bytes(65 << 20)), TaskMetrics())


def fork_and_return_twice(runner: Any, task: Any, blobs: Any) -> int:
    pid = os.fork()
    return pid


def grow(runner: Any, task: Any, blobs: Any, step: int, pause: float, total: int) -> int:
    kept = []
    while sum(map(len, kept)) < total:
        kept.append(b"x" * step)
        time.sleep(pause)
    return len(kept)


def grow_and_stay(runner: Any, task: Any, blobs: Any, total: int) -> None:
    kept = []
    while 5 * len(kept) << 20 < total:
        kept.append(b"x" * (5 << 20))
        time.sleep(0.02)
    time.sleep(3600)


def grow_in_children(runner: Any, task: Any, blobs: Any, size: int) -> None:
    script = f"import time; kept = b'x' * {size}; print('full', flush=True); time.sleep(3600)"
    children = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    time.sleep(3600)


def share_with_children(runner: Any, task: Any, blobs: Any, size: int, n: int) -> str:
    kept = b"x" * size
    pids = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            time.sleep(1.0)
            os._exit(kept.count(b"y"))
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return "done"


def say(runner: Any, task: Any, blobs: Any, text: str, stream: str = "stdout") -> None:
    print(text, file=getattr(sys, stream), end="")


def say_many(runner: Any, task: Any, blobs: Any, n: int) -> int:
    for i in range(n):
        print(f"line {i} of {task.attempt}")
        print(f"error {i} of {task.attempt}", file=sys.stderr)
    return task.attempt


def say_without_python(runner: Any, task: Any, blobs: Any) -> None:
    os.write(1, b"straight to stdout\n")
    subprocess.run(["sh", "-c", "echo from a child; echo from a child >&2"], check=True)


def log_a_warning(runner: Any, task: Any, blobs: Any) -> None:
    logging.getLogger("user.code").warning("mind the gap")


def say_and_crash(runner: Any, task: Any, blobs: Any) -> None:
    for i in range(2000):
        print("x" * 50, i)
    print("last line before the crash", file=sys.stderr)
    ctypes.string_at(0)


def flood(runner: Any, task: Any, blobs: Any, n_bytes: int) -> str:
    line = "x" * 99 + "\n"
    for _ in range(n_bytes // 100):
        sys.stdout.write(line)
    return "done"


def close_streams(runner: Any, task: Any, blobs: Any) -> None:
    sys.stdout.close()
    sys.stderr = None
