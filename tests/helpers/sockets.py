"""For tests of hubs and links: waiting for what comes, and where to listen."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rddlite.net.hub import Hub

PATIENCE = 120.0


def until(wait: Callable[[float], list[Any]], wanted: Any) -> list[Any]:
    """Everything that came until `wanted` did; fails after two minutes."""
    found: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    while wanted not in found:
        assert time.monotonic() < deadline, found
        found += wait(0.1)
    return found


def until_true(wait: Callable[[float], list[Any]], condition: Callable[[], Any]) -> list[Any]:
    """Everything that came until the condition held; fails after two minutes."""
    found: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, found
        found += wait(0.1)
    return found


def turning(hub: Hub, wait: Callable[[float], list[Any]]) -> Callable[[float], list[Any]]:
    """`wait` of somebody else, with turns of the hub in between: one who comes over TCP waits to be admitted."""

    def both(timeout: float) -> list[Any]:
        assert hub.wait(0) == []
        return wait(min(timeout, 0.02))

    return both


@contextlib.contextmanager
def directory_for_sockets() -> Iterator[str]:
    """One of a short name: a socket's has 107 bytes at most, and the one for temporary files may be deep."""
    place = None if len(tempfile.gettempdir()) < 60 else "/tmp"
    with tempfile.TemporaryDirectory(prefix="rl-", dir=place) as directory:
        yield directory


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of this host that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def has_ipv6() -> bool:
    """Whether this host can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
