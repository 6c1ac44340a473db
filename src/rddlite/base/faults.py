"""Named fault points: free when nothing is armed; tests arm them to die, hang or raise at exactly that line.

Arming is by files in the directory named by `RDDLITE_FAULTS`: a file `POINT` holds an action (`kill`, `exit`, `hang`,
`raise`, `segfault`) and how many times it may fire; each firing claims one by an exclusive create, so that "once"
means once among all processes. `rddlite.testing.faults` writes these files.
"""

from __future__ import annotations

import os
import signal
import time

_DIRECTORY: str | None = os.environ.get("RDDLITE_FAULTS")


def use_directory(directory: str | None) -> None:
    """Look for armed points there from now on, in this process; None turns all of them off."""
    global _DIRECTORY
    _DIRECTORY = directory


def fault_point(name: str) -> None:
    """Do what was armed for `name`, or nothing."""
    if _DIRECTORY is not None:
        _fire(_DIRECTORY, name)


def _fire(directory: str, name: str) -> None:
    try:
        with open(os.path.join(directory, name)) as armed:
            action, count = armed.read().split()
    except FileNotFoundError:
        return
    if _claim(directory, name, int(count)):
        _act(action, name)


def _claim(directory: str, name: str, count: int) -> bool:
    for i in range(count):
        try:
            fd = os.open(os.path.join(directory, f"{name}.fired.{i}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            continue
        os.write(fd, str(os.getpid()).encode())
        os.close(fd)
        return True
    return False


def _act(action: str, name: str) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(23)
        case "hang":
            while True:
                time.sleep(3600)
        case "raise":
            raise OSError(f"fault armed at {name}")
        case _:
            raise ValueError(f"unknown fault action {action!r} at {name}")
