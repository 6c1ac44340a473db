"""The parent of all workers: a single-threaded process that forks them and tells how they end.

The executor forks it before it opens any socket or starts any thread, and it never runs user code, so a worker forked
late is as clean as the first. It keeps every worker's process id until it has told of its end, so a signal never goes
to a stranger. When the executor is gone, all workers go, with every process they started, and the zygote too.

Requests and reports are single packets (`_PACKET`) on a socketpair; a worker is named by the executor's own number.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from rddlite.executor.interrupt import KILL_SIGNAL
from rddlite.executor.lifeline import die_with_parent

_PACKET = struct.Struct("<Bqqq")
_SPAWN, _INTERRUPT, _KILL = 1, 2, 3
_INTERRUPTED, _EXITED = 4, 5
_PATIENCE_MS = 5_000
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
"""Meant for the executor, which may be started in a terminal and knows how to leave."""


class WorkerFds(NamedTuple):
    """What a worker is born with: its end of the channel, where its output goes, its kill cell, and its permits."""

    channel: int
    stdout: int
    stderr: int
    cell: int
    permits: int


_N_FDS = len(WorkerFds._fields)
WorkerMain = Callable[[WorkerFds], NoReturn]


class Interrupted(NamedTuple):
    """The signal was sent; a worker that reads anything sent after this has it behind itself."""

    worker: int


class Exited(NamedTuple):
    """The worker and all processes of its group are gone. `status` is as from `waitpid`, `peak_memory` bytes."""

    worker: int
    status: int
    peak_memory: int


Report = Interrupted | Exited


class Zygote:
    """The executor's side."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self._control = control

    def fileno(self) -> int:
        """Readable when there are reports, or when the zygote is gone."""
        return self._control.fileno()

    def spawn(self, worker: int, fds: WorkerFds) -> None:
        """Ask for a worker. The descriptors are copied."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is reported by `reports`
            socket.send_fds(self._control, [_PACKET.pack(_SPAWN, worker, 0, 0)], list(fds))

    def interrupt(self, worker: int) -> None:
        """Ask for the signal that stops a task; answered by `Interrupted` unless the worker has exited."""
        self._request(_INTERRUPT, worker)

    def kill(self, worker: int) -> None:
        """Ask for the end of a worker and its whole process group."""
        self._request(_KILL, worker)

    def reports(self) -> list[Report] | None:
        """What there is to tell; None when the zygote is gone."""
        reports: list[Report] = []
        while True:
            try:
                packet = self._control.recv(_PACKET.size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return reports
            except ConnectionResetError:
                return None
            if not packet:
                return reports or None
            reports.append(_open(packet))

    def close(self) -> None:
        """End all workers and the zygote, and wait until they are gone."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            pidfd = os.pidfd_open(self.pid)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(_PATIENCE_MS):
                os.kill(self.pid, signal.SIGKILL)  # its workers die with it
            os.close(pidfd)
            os.waitpid(self.pid, 0)

    def _request(self, what: int, worker: int) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.send(_PACKET.pack(what, worker, 0, 0))


def _open(packet: bytes) -> Report:
    what, worker, first, second = _PACKET.unpack(packet)
    if what == _INTERRUPTED:
        return Interrupted(worker)
    return Exited(worker, first, second)


def start_zygote(worker_main: WorkerMain) -> Zygote:
    """Fork the zygote. To be called while this process has one thread and no sockets.

    `worker_main` runs in each worker and must not return; what it needs should be imported already.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    gc.freeze()  # what is here now stays shared: no collection of a child touches it
    pid = os.fork()
    if pid == 0:
        _become_zygote(parent, ours, theirs, worker_main)
    theirs.close()
    return Zygote(pid, ours)


def _become_zygote(parent: int, ours: socket.socket, theirs: socket.socket, worker_main: WorkerMain) -> NoReturn:
    code = 1
    try:
        # Not SIGKILL: a zygote that wakes once more takes the groups of its workers along.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
        for number in _OF_TERMINALS:
            signal.signal(number, signal.SIG_IGN)
        die_with_parent(parent, signal.SIGTERM)
        ours.close()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.close(null)
        _Nursery(theirs, worker_main).serve()
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class _Child(NamedTuple):
    worker: int
    pid: int
    pidfd: int


class _Nursery:
    """The zygote's side."""

    def __init__(self, control: socket.socket, worker_main: WorkerMain) -> None:
        self._control = control
        self._worker_main = worker_main
        self._children: dict[int, _Child] = {}
        self._by_worker: dict[int, _Child] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Until the executor is gone."""
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd in self._children:
                        self._reap(self._children[fd])
                    elif fd == self._control.fileno() and not self._obey():
                        return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            for child in self._children.values():
                _kill_group(child.pid)
            for child in self._children.values():
                os.waitpid(child.pid, 0)

    def _obey(self) -> bool:
        packet, fds, _, _ = socket.recv_fds(self._control, _PACKET.size, _N_FDS, socket.MSG_CMSG_CLOEXEC)
        if not packet:
            return False
        what, worker, _, _ = _PACKET.unpack(packet)
        child = self._by_worker.get(worker)
        if what == _SPAWN:
            self._spawn(worker, fds)
        elif child is not None and what == _INTERRUPT:
            os.kill(child.pid, KILL_SIGNAL)
            self._tell(_INTERRUPTED, worker)
        elif child is not None and what == _KILL:
            _kill_group(child.pid)
        return True

    def _spawn(self, worker: int, fds: list[int]) -> None:
        me = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            print(f"a worker could not be forked: {error}", file=sys.stderr)
            self._tell(_EXITED, worker, os.EX_OSERR << 8, 0)
            return
        finally:
            # The child needs them. It closes what it does not need by itself.
            if os.getpid() == me:
                for fd in fds:
                    os.close(fd)
        if pid == 0:
            self._become_worker(me, WorkerFds(*fds))
        # Both sides make the group, so that it exists whoever is first.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        child = _Child(worker, pid, os.pidfd_open(pid))
        self._children[child.pidfd] = self._by_worker[worker] = child
        self._poll.register(child.pidfd, select.POLLIN)

    def _become_worker(self, zygote: int, fds: WorkerFds) -> NoReturn:
        try:
            die_with_parent(zygote, signal.SIGKILL)
            for number in (signal.SIGTERM, *_OF_TERMINALS):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)
            self._worker_main(fds)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _reap(self, child: _Child) -> None:
        # The process is dead but not yet forgotten, so its number, and that of its group, are still its own.
        _kill_group(child.pid)
        # Before it is forgotten: SIGTERM may break in anywhere, and who is in the table is waited for at the end.
        del self._children[child.pidfd], self._by_worker[child.worker]
        _, status, usage = os.wait4(child.pid, 0)
        self._poll.unregister(child.pidfd)
        os.close(child.pidfd)
        self._tell(_EXITED, child.worker, status, usage.ru_maxrss << 10)

    def _tell(self, what: int, worker: int, first: int = 0, second: int = 0) -> None:
        self._control.send(_PACKET.pack(what, worker, first, second))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
