"""Named fault points: free when nothing is armed; tests arm them to die, hang or raise at exactly that line.

Arming is by files in the directory named by `RDDLITE_FAULTS`: a file `POINT`, or `POINT@EXECUTOR` for one executor and
its workers, holds an action, how many times it may fire, and how many passes go free before. Each pass claims one of
these by an exclusive create, so that "once" means once among all processes. `rddlite.testing.faults` writes the files.

`kill-executor` and `stop-executor` send SIGKILL and SIGSTOP to the executor process that this process belongs to (or
is): its workers learn that from `belong_to`, which the executor calls before it forks anything. Drivers never do.
"""

from __future__ import annotations

import errno
import os
import signal
import time

_DIRECTORY: str | None = os.environ.get("RDDLITE_FAULTS")
_OWNER: tuple[str, int] | None = None
_LOOK_EVERY = 0.01


def use_directory(directory: str | None) -> None:
    """Look for armed points there from now on, in this process; None turns all of them off."""
    global _DIRECTORY
    _DIRECTORY = directory


def belong_to(executor: str) -> None:
    """This process, and all that it forks, are that executor's."""
    global _OWNER
    _OWNER = (executor, os.getpid())


def fault_point(name: str) -> None:
    """Do what was armed for `name`, or nothing."""
    if _DIRECTORY is not None:
        _fire(_DIRECTORY, name)
        if _OWNER is not None:
            _fire(_DIRECTORY, f"{name}@{_OWNER[0]}")


def _fire(directory: str, name: str) -> None:
    try:
        with open(os.path.join(directory, name)) as armed:
            action, count, free = armed.read().split()
    except FileNotFoundError:
        return
    if not _claim(directory, name, "passed", int(free)) and _claim(directory, name, "fired", int(count)):
        _act(action, directory, name)


def _claim(directory: str, name: str, what: str, count: int) -> bool:
    for i in range(count):
        path = os.path.join(directory, f"{name}.{what}.{i}")
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            continue
        os.write(fd, f"{os.getpid()} {_OWNER[0] if _OWNER else ''}".encode())
        os.close(fd)
        return True
    return False


def _act(action: str, directory: str, name: str) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(23)
        case "hang":
            _hang()
        case "hold":
            released = os.path.join(directory, f"{name}.released")
            while not os.path.exists(released):
                time.sleep(_LOOK_EVERY)
        case "kill-executor":
            _signal_executor(signal.SIGKILL, name)
            _hang()  # a worker goes with it, and does nothing more
        case "stop-executor":
            _signal_executor(signal.SIGSTOP, name)
        case "raise":
            raise OSError(f"fault armed at {name}")
        case "raise-full":
            raise OSError(errno.ENOSPC, f"fault armed at {name}")
        case "raise-wrapped":
            _raise_wrapped(name)
        case _:
            raise ValueError(f"unknown fault action {action!r} at {name}")


def _hang() -> None:
    while True:
        time.sleep(3600)


def _signal_executor(number: int, name: str) -> None:
    if _OWNER is None:
        raise ValueError(f"the fault armed at {name} is for an executor, but no executor owns process {os.getpid()}")
    os.kill(_OWNER[1], number)


def _raise_wrapped(name: str) -> None:
    """What the world did, as libraries tell it: two exceptions of their own around it."""
    try:
        try:
            raise ConnectionResetError(errno.ECONNRESET, f"fault armed at {name}")
        except ConnectionResetError as error:
            raise ValueError("could not read") from error
    except ValueError as error:
        raise RuntimeError("could not go on") from error
