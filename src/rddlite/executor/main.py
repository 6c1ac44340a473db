"""The entry of an executor process: `python -m rddlite.executor.main --endpoint ... --executor ...`.

Order matters: what workers need is imported first; then the zygote is forked, while there is one thread and no socket;
it forks the workers while this process imports the rest and connects. Whatever ends the executor, its workers are
ended, its scratch directory is removed, and if the driver is gone too, the application's with it.

Stdin is a pipe that the driver holds: its end means that the driver is gone or wants this executor to leave. Options:
`--endpoint`, `--executor` (id), `--slots`, `--scratch` (a directory of its own in the application's scratch directory),
`--driver-pid`; `--host` (a label that makes it a host of its own); for tests `--runner MODULE:NAME`, what makes the
task runner of a worker.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import shutil
import signal
import stat
import sys
from collections import deque
from dataclasses import dataclass
from typing import NoReturn, cast

from rddlite.base.clock import SystemClock
from rddlite.base.config import SETTINGS
from rddlite.base.faults import belong_to
from rddlite.base.log import configure_process, logger
from rddlite.errors import DataError
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.executor.commands import Exit, Spawn
from rddlite.executor.descriptors import Descriptors
from rddlite.executor.lifeline import watch_process
from rddlite.executor.output import OutputLog
from rddlite.executor.pool import Pool
from rddlite.executor.runner import TaskRunner
from rddlite.executor.worker import RunnerFactory, WorkerSpec, run_worker
from rddlite.executor.zygote import Zygote, start_zygote
from rddlite.net.messages import PROTOCOL, Register
from rddlite.net.samehost import make_token
from rddlite.serde.closures import cloudpickle_version
from rddlite.storage import localdirs
from rddlite.version import __version__

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_OPTIONAL = ("host", "runner")
_LEAVE_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_log = logger("executor")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

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


def main() -> None:
    """Be an executor; returns when it has ended and everything is gone."""
    options = parse(sys.argv[1:])
    _prepare_process()
    belong_to(options.executor)
    with contextlib.ExitStack() as stack:
        try:
            application = localdirs.attach(os.path.dirname(options.scratch))
        except DataError as error:
            _log.warning("executor %s does not start: %s", options.executor, error)
            return
        # Undone in reverse, each step whatever becomes of the others.
        stack.callback(application.release)
        stack.callback(shutil.rmtree, options.scratch, ignore_errors=True)
        for name in ("shuffle", "results"):
            os.makedirs(os.path.join(options.scratch, name), mode=0o700, exist_ok=True)
        zygote = start_zygote(functools.partial(run_worker, _worker_spec(options)))
        stack.callback(zygote.close)
        left = _run(options, zygote, stack)
        _log.info("executor %s leaves: %s", options.executor, left.why)


def _prepare_process() -> None:
    _open_standard_streams()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Keys would be placed differently here than elsewhere.
        os.environ["PYTHONHASHSEED"] = "0"
        _start_again()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    if os.getsid(0) != os.getpid():
        with contextlib.suppress(PermissionError):  # started as the leader of a group
            os.setsid()
    configure_process("executor")


def _open_standard_streams() -> None:
    """A driver without stdout or stderr hands none on: what is opened next must not get their numbers, which workers
    take for their output.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _start_again() -> NoReturn:
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _worker_spec(options: Options) -> WorkerSpec:
    make_runner: RunnerFactory = TaskRunner
    if options.runner is not None:
        module, _, name = options.runner.partition(":")
        make_runner = cast("RunnerFactory", getattr(importlib.import_module(module), name))
    return WorkerSpec(options.executor, _host(options), options.scratch, make_runner)


def _run(options: Options, zygote: Zygote, stack: contextlib.ExitStack) -> Exit:
    """Everything after the fork of the zygote, which forks the workers meanwhile."""
    clock = SystemClock()
    descriptors = Descriptors()
    events: deque[ev.Event] = deque()
    output = OutputLog(SETTINGS["output.rateLimit"].default)
    pool = Pool(zygote, descriptors, output, clock, events.append)
    agent = Agent(options.slots, clock.now())
    for command in agent.start(clock.now()):
        assert isinstance(command, Spawn)
        pool.spawn(command.worker)
    _watch_for_the_end(options, descriptors, events)

    # Not before: zmq takes as long to import as workers take to start.
    from rddlite.executor.loop import ExecutorLoop, Identity
    from rddlite.net.link import Link

    link = Link(options.endpoint, options.executor, descriptors.fileno())
    stack.callback(link.close)
    identity = Identity(_registration(options, make_token(options.scratch)), (os.getpid(), zygote.pid))
    loop = ExecutorLoop(identity, agent, pool, link, descriptors, output, events, clock)
    stack.callback(loop.say_goodbye)
    return loop.run()


def _host(options: Options) -> str:
    return options.host or os.uname().nodename


def _registration(options: Options, token: str) -> Register:
    python = "{}.{}.{}".format(*sys.version_info[:3])
    return Register(
        PROTOCOL, options.executor, _host(options), os.getpid(), options.slots, [],
        python, __version__, cloudpickle_version(), options.scratch, [],
        token="" if options.host else token,  # a host of its own is one that nobody shares files with
    )  # fmt: skip


def _watch_for_the_end(options: Options, descriptors: Descriptors, events: deque[ev.Event]) -> None:
    """Three ways to learn that it is time to leave, all through the same door."""

    def leave_when_ready(fd: int, why: str) -> None:
        def leave() -> None:
            descriptors.unwatch(fd)
            events.append(ev.LeaveAsked(why))

        descriptors.watch(fd, leave)

    driver = watch_process(options.driver_pid)
    if driver is None:
        events.append(ev.LeaveAsked("the driver has ended"))
    else:
        leave_when_ready(driver, "the driver has ended")
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        leave_when_ready(0, "the driver closed the pipe to this executor")
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in _LEAVE_SIGNALS:
        signal.signal(number, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    leave_when_ready(woken, "it was sent a signal")


if __name__ == "__main__":
    main()
