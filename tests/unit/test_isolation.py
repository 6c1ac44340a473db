"""The guard of tests/unit does guard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda: socket.socket(),
        lambda: socket.socketpair(),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: subprocess.run([sys.executable, "-c", ""]),
        lambda: os.fork(),
        lambda: os.system("true"),
        lambda: time.sleep(0),
    ],
    ids=["socket", "socketpair", "connection", "process", "fork", "shell", "sleep"],
)
def test_what_unit_tests_must_not_do_raises(forbidden):
    with pytest.raises(BaseException, match="no sockets, processes or sleeps in tests/unit"):
        forbidden()
