"""What every executor process does, however it was started: fork the zygote, connect, run the loop, undo it all.

Order matters: what workers need is imported first; then the zygote is forked, while there is one thread and no socket;
it forks the workers while this process imports the rest and connects. Over TCP workers fetch from other hosts, so what
they need for that is imported before the fork too, and the block server listens before the executor registers.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from rddlite.base.clock import SystemClock
from rddlite.base.config import SETTINGS
from rddlite.base.faults import belong_to
from rddlite.base.log import configure_process, logger
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.executor.commands import Exit, Spawn
from rddlite.executor.descriptors import Descriptors
from rddlite.executor.lifeline import watch_process
from rddlite.executor.meetings import Meetings
from rddlite.executor.output import OutputLog
from rddlite.executor.pool import Pool
from rddlite.executor.runner import TaskRunner
from rddlite.executor.worker import RunnerFactory, WorkerSpec, run_worker
from rddlite.executor.zygote import Zygote, start_zygote
from rddlite.net.address import own_address, parse_tcp
from rddlite.net.messages import PROTOCOL, Register
from rddlite.net.samehost import make_token
from rddlite.serde.closures import cloudpickle_version
from rddlite.version import __version__

if TYPE_CHECKING:  # loads zmq
    from rddlite.executor.adoption import Adopter
    from rddlite.net.auth import ExecutorKeys
    from rddlite.net.fetch import Fetcher

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_FOLDERS = ("shuffle", "results", "spill", "cache")
_log = logger("executor")


@dataclass(frozen=True, slots=True)
class Role:
    """Who this executor is and whom it serves.

    `scratch` is a directory of its own. `keys` are there over TCP. `driver_pid` is a process to end with, and
    `has_lifeline` says that the end of stdin means the same. `memory` is in bytes; None leaves it to the driver. Where
    `shares_files` is not set, nobody may read its files directly. `runner` names what makes the task runner of a worker
    (for tests).
    """

    executor: str
    endpoint: str
    slots: int
    scratch: str
    host: str
    keys: ExecutorKeys | None = None
    driver_pid: int | None = None
    has_lifeline: bool = False
    memory: int | None = None
    shares_files: bool = True
    runner: str | None = None


def prepare_process(*, level: str = "WARNING") -> None:
    """What comes before anything else is done or opened; may start this program again from its beginning."""
    _open_standard_streams()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Keys would be placed differently here than elsewhere.
        os.environ["PYTHONHASHSEED"] = "0"
        _start_again()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    configure_process("executor", level)


def run_executor(role: Role) -> Exit:
    """Be this executor until it ends; all its processes are gone then. Its directory is the caller's to remove."""
    belong_to(role.executor)
    for name in _FOLDERS:
        os.makedirs(os.path.join(role.scratch, name), mode=0o700, exist_ok=True)
    make_fetcher = None if role.keys is None else _fetcher_maker(role.keys)
    with contextlib.ExitStack() as stack:  # undone in reverse, each step whatever becomes of the others
        zygote = start_zygote(functools.partial(run_worker, _worker_spec(role)))
        stack.callback(zygote.close)
        return _run(role, zygote, make_fetcher, stack)


def _fetcher_maker(keys: ExecutorKeys) -> Callable[[], Fetcher]:
    """What makes fetchers here. Loads what workers fetch with, which is to be done once, and before they are forked."""
    from rddlite.net.fetch import Fetcher

    return lambda: Fetcher(keys.executors)


def _open_standard_streams() -> None:
    """Who starts this without stdout or stderr hands none on: what is opened next must not get their numbers, which
    workers take for their output.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _start_again() -> NoReturn:
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _worker_spec(role: Role) -> WorkerSpec:
    make_runner: RunnerFactory = TaskRunner
    if role.runner is not None:
        module, _, name = role.runner.partition(":")
        make_runner = cast("RunnerFactory", getattr(importlib.import_module(module), name))
    return WorkerSpec(role.executor, role.host, role.scratch, make_runner)


def _run(role: Role, zygote: Zygote, make_fetcher: Callable[[], Fetcher] | None, stack: contextlib.ExitStack) -> Exit:
    """Everything after the fork of the zygote, which forks the workers meanwhile."""
    clock = SystemClock()
    descriptors = Descriptors()
    events: deque[ev.Event] = deque()
    output = OutputLog(SETTINGS["output.rateLimit"].default)
    pool = Pool(zygote, descriptors, output, clock, events.append, Meetings(role.executor))
    agent = Agent(role.slots, clock.now())
    for command in agent.start(clock.now()):
        assert isinstance(command, Spawn)
        pool.spawn(command.worker)
    _watch_for_the_end(role, descriptors, events)

    # Not before: zmq takes as long to import as workers take to start.
    from rddlite.executor.loop import ExecutorLoop, Identity
    from rddlite.net.link import Link

    link = Link(role.endpoint, role.executor, descriptors.fileno(), role.keys)
    stack.callback(link.close)
    address, adopter = "", None
    if role.keys is not None and make_fetcher is not None:
        address = _serve(role, role.keys, agent, stack)
        adopter = _adopter(role, role.keys, descriptors, make_fetcher)
        stack.callback(adopter.close)
    keys = "" if role.keys is None else role.keys.to_json()
    identity = Identity(_registration(role, address), (os.getpid(), zygote.pid), keys, role.memory)
    loop = ExecutorLoop(identity, agent, pool, link, descriptors, output, events, clock, adopter)
    stack.callback(loop.say_goodbye)
    left = loop.run()
    return left._replace(why=f"{left.why}: {link.trouble}") if left.is_failure and link.trouble else left


def _serve(role: Role, keys: ExecutorKeys, agent: Agent, stack: contextlib.ExitStack) -> str:
    """Have others get blocks from here, at the address from which the driver is reached; what they connect to."""
    from rddlite.executor.served import start_block_server

    host = own_address(towards=parse_tcp(role.endpoint).host)
    server = start_block_server(role.scratch, keys, host, agent.whereabouts)
    stack.callback(server.close)
    return server.address


def _adopter(role: Role, keys: ExecutorKeys, descriptors: Descriptors, make_fetcher: Callable[[], Fetcher]) -> Adopter:
    from rddlite.executor.adoption import Adopter

    return Adopter(role.executor, role.scratch, keys, descriptors, make_fetcher)


def _registration(role: Role, address: str) -> Register:
    python = "{}.{}.{}".format(*sys.version_info[:3])
    token = make_token(role.scratch)
    return Register(
        PROTOCOL, role.executor, role.host, os.getpid(), role.slots, [],
        python, __version__, cloudpickle_version(), role.scratch, [],
        address=address, token=token if role.shares_files else "",
    )  # fmt: skip


def _watch_for_the_end(role: Role, descriptors: Descriptors, events: deque[ev.Event]) -> None:
    """The ways to learn that it is time to leave, all through the same door."""

    def when_ready(fd: int, event: Callable[[], ev.Event]) -> None:
        descriptors.watch(fd, lambda: events.append(event()))

    def leave_when_ready(fd: int, why: str) -> None:
        def leave() -> None:
            descriptors.unwatch(fd)
            events.append(ev.LeaveAsked(why))

        descriptors.watch(fd, leave)

    if role.driver_pid is not None:
        driver = watch_process(role.driver_pid)
        if driver is None:
            events.append(ev.LeaveAsked("the driver has ended"))
        else:
            leave_when_ready(driver, "the driver has ended")
    if role.has_lifeline:
        leave_when_ready(0, "the driver closed the pipe to this executor")
    signals = Signals(may_drain=role.keys is not None)
    when_ready(signals.fileno(), signals.read)


class Signals:
    """What signals ask for. `SIGTERM` is a request to hand over and leave, where there are others to hand over to; any
    second signal, and any other, is one to leave at once.
    """

    def __init__(self, *, may_drain: bool) -> None:
        self._may_drain = may_drain
        self._fd, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        signal.set_wakeup_fd(wake)

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._fd

    def read(self) -> ev.Event:
        """What the signals that have come ask for."""
        numbers = os.read(self._fd, 64)
        why = f"it was sent {' and '.join(signal.Signals(number).name for number in numbers)}"
        may_drain, self._may_drain = self._may_drain, False
        return ev.DrainAsked(why) if may_drain and numbers == bytes([signal.SIGTERM]) else ev.LeaveAsked(why)
