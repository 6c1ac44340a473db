"""The two ways in which an executor process starts: by its driver, and by somebody on a host that is to join.

A driver starts `python -m rddlite.executor.main` as its child. Stdin is a pipe that it holds: over TCP the keys come
through it first, as a line; its end means that the driver is gone or wants this executor to leave. Whatever ends the
executor, its scratch directory is removed, and if the driver is gone too, the application's with it. Options:
`--endpoint`, `--executor` (id), `--slots`, `--scratch` (a directory of its own in the application's scratch directory),
`--driver-pid`; `--host` (a label that makes it a host of its own); for tests `--runner MODULE:NAME`, what makes the
task runner of a worker. On another host, `serve` is what `rddlite executor` does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rddlite.base.log import logger
from rddlite.errors import ProviderError, RddliteError
from rddlite.executor.commands import Exit
from rddlite.executor.lifeline import await_end, is_ending
from rddlite.executor.process import Role, prepare_process, run_executor
from rddlite.storage import localdirs
from rddlite.storage.disks import remove_all

if TYPE_CHECKING:  # loads zmq
    from rddlite.net.auth import ExecutorKeys

_OPTIONAL = ("host", "runner")
_TCP = "tcp://"
_LONGEST_LINE = 4096
_PATIENCE = 5.0
_log = logger("executor")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of a driver's child."""

    endpoint: str
    executor: str
    slots: int
    scratch: str
    driver_pid: int
    host: str | None = None
    runner: str | None = None


def parse(arguments: list[str]) -> Options:
    """The options, which all have values.

    Raises:
        SystemExit: if they are not complete, or one is unknown.
    """
    names = ["endpoint", "executor", "slots", "scratch", "driver-pid"]
    given = {name.removeprefix("--"): value for name, value in zip(arguments[::2], arguments[1::2], strict=False)}
    if len(arguments) % 2 or not set(names) <= set(given) <= {*names, *_OPTIONAL}:
        raise SystemExit(f"usage: {' '.join(f'--{name} ...' for name in names)} [--host LABEL] [--runner MODULE:NAME]")
    try:
        return Options(
            given["endpoint"], given["executor"], int(given["slots"]), os.path.abspath(given["scratch"]),
            int(given["driver-pid"]), given.get("host"), given.get("runner"),
        )  # fmt: skip
    except ValueError as error:
        raise SystemExit(f"--slots and --driver-pid are numbers: {error}") from error


def main() -> int:
    """Be the executor of the driver that started this process; the exit code, when everything is gone."""
    options = parse(sys.argv[1:])
    prepare_process()
    if os.getsid(0) != os.getpid():
        with contextlib.suppress(PermissionError):  # started as the leader of a group
            os.setsid()
    with contextlib.ExitStack() as stack:
        try:
            application = localdirs.attach(os.path.dirname(options.scratch))
            stack.callback(_let_go, application, options.driver_pid)
            stack.callback(remove_all, options.scratch)
            left = run_executor(_child(options))
        except (RddliteError, OSError) as error:
            _log.error("executor %s does not start: %s", options.executor, error)
            return 1
        return _exit_code(options.executor, left)


def _let_go(application: localdirs.Scratch, driver_pid: int) -> None:
    """Who lets go last removes what is left, unless it was killed: so nobody goes before those who are being killed."""
    await_end(driver_pid)
    application.release(patience=_PATIENCE if is_ending(driver_pid) else 0.0)


def serve(driver: str, key_file: str, slots: int, memory: int | None, host: str | None, scratch_dir: str | None) -> int:
    """Join the driver that listens at `driver` (`tcp://host:port`) with `slots` workers, until it has no more use for
    this executor, or the executor is told to leave; the exit code. To be called by a process that has started nothing.

    `SIGTERM` has it end its tasks, hand over what it holds and leave; a second one, or Ctrl-C, has it leave at once.
    """
    prepare_process(level="INFO")
    name = os.uname().nodename
    executor = f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        left = _join(executor, driver, key_file, slots, memory, host or name, scratch_dir)
    except (RddliteError, OSError) as error:
        _log.error("executor %s does not start: %s", executor, error)
        return 1
    return _exit_code(executor, left)


def _exit_code(executor: str, left: Exit) -> int:
    (_log.error if left.is_failure else _log.info)("executor %s leaves: %s", executor, left.why)
    return int(left.is_failure)


def _child(options: Options) -> Role:
    return Role(
        options.executor,
        options.endpoint,
        options.slots,
        options.scratch,
        options.host or os.uname().nodename,
        keys=_keys_from_stdin() if options.endpoint.startswith(_TCP) else None,
        driver_pid=options.driver_pid,
        has_lifeline=stat.S_ISFIFO(os.fstat(0).st_mode),
        shares_files=options.host is None,
        runner=options.runner,
    )


def _keys_from_stdin() -> ExecutorKeys:
    """The keys, which are on their way already.

    Raises:
        AuthRefused: if something else comes.
    """
    from rddlite.net.auth import ExecutorKeys

    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE and (more := os.read(0, _LONGEST_LINE)):
        line += more
    return ExecutorKeys.from_json(line.decode("ascii", "replace"))


def _join(
    executor: str, driver: str, key_file: str, slots: int, memory: int | None, host: str, scratch_dir: str | None
) -> Exit:
    from rddlite.net.auth import read_key_file

    if not driver.startswith(_TCP):
        raise ProviderError(f"not the endpoint of a driver that listens: {driver!r} (tcp://host:port)")
    keys = read_key_file(key_file)
    with contextlib.ExitStack() as stack:
        application = localdirs.create(executor, scratch_dir)
        stack.callback(application.release)
        scratch = application.subdir("executor")
        workers = "1 worker" if slots == 1 else f"{slots} workers"
        _log.info("executor %s with %s asks the driver at %s to let it join", executor, workers, driver)
        return run_executor(Role(executor, driver, slots, scratch, host, keys=keys, memory=memory))


if __name__ == "__main__":
    sys.exit(main())
