"""Block servers as processes of their own: `python -m tests.helpers.serving SCRATCH`, keys on stdin, address on stdout.

Each serves the files of one scratch directory, as an executor does, until its stdin ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from rddlite.executor.served import start_block_server
from rddlite.net.auth import ExecutorKeys
from rddlite.net.transfer import Source


class ServerProcess:
    """One of them. Ended by `close`, however it stands."""

    def __init__(self, scratch: Path, keys: ExecutorKeys, name: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.serving", str(scratch)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(keys.to_json() + "\n")
        self.process.stdin.flush()
        self.address = self.process.stdout.readline().strip()
        self.source = Source(name, self.address, keys.executors.public)

    def send_signal(self, number: int) -> None:
        """Send it a signal; after SIGKILL it is gone when this returns."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def serving(scratch: Path, keys: ExecutorKeys, *names: str) -> Iterator[list[ServerProcess]]:
    """Servers of these names, all of the same files."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(ServerProcess(scratch, keys, name))) for name in names]


def main() -> None:
    keys = ExecutorKeys.from_json(sys.stdin.readline())
    server = start_block_server(sys.argv[1], keys, "127.0.0.1")
    print(server.address, flush=True)
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
