"""The zygote's own bookkeeping, in this process: what its end finds when it breaks in."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from rddlite.executor import zygote

pytestmark = pytest.mark.local


def test_an_end_that_breaks_in_when_a_worker_was_just_reaped_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when SIGTERM comes, whose handler raises, between `wait4` and what follows."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wait4 = os.wait4

    def interrupted(pid: int, options: int) -> Any:
        wait4(pid, options)
        raise SystemExit(0)

    with ours, theirs:
        nursery = zygote._Nursery(theirs, lambda fds: None)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os._exit(0)
        child = zygote._Child(1, pid, os.pidfd_open(pid))
        nursery._children[child.pidfd] = nursery._by_worker[1] = child
        nursery._poll.register(child.pidfd)
        monkeypatch.setattr(os, "wait4", interrupted)
        with pytest.raises(SystemExit):
            nursery.serve()
        os.close(child.pidfd)
