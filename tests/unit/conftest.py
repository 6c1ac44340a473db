"""Unit tests talk to nobody and wait for nothing: sockets, processes and sleeping raise while one runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from unittest import mock

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class ForbiddenInUnitTests(BaseException):
    """Not an `Exception`, so that no code under test can swallow it."""


FORBIDDEN: list[tuple[Any, str]] = [
    (socket.socket, "__init__"),
    (socket, "socketpair"),
    (subprocess.Popen, "__init__"),
    (time, "sleep"),
    *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system") if hasattr(os, name)),
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around fixtures and the test itself. The hook is called for the tests of other folders as well."""
    if Path(__file__).parent not in item.path.parents:
        return (yield)
    with ExitStack() as stack:
        for owner, name in _forbidden_now():
            stack.enter_context(mock.patch.object(owner, name, _refusal(owner, name)))
        return (yield)


def _forbidden_now() -> Iterator[tuple[Any, str]]:
    yield from FORBIDDEN
    zmq = sys.modules.get("zmq")
    if zmq is not None:
        yield zmq.Context, "socket"


def _refusal(owner: Any, name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise ForbiddenInUnitTests(f"{owner.__name__}.{name}: no sockets, processes or sleeps in tests/unit")

    return refuse
