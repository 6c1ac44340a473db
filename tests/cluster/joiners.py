"""Executors that are started by hand, as on a host that joins: what they say, and how they end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rddlite import Context
from tests.helpers.cluster import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
PROGRAM = """
import sys
{before}
from rddlite.executor.main import serve
driver, key_file, slots, memory, host, scratch = sys.argv[1:]
sys.exit(serve(driver, key_file, int(slots), int(memory) or None, host or None, scratch))
"""


@dataclass
class Joiner:
    """One executor process, the leader of its session; `log` is what it wrote to stderr so far."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE)

    def wait_says(self, text: str) -> None:
        """Wait until it has written this to stderr."""
        wait_until(lambda: text in self.log, f"the executor says {text!r}; it said: {self.log}")


class Joiners:
    """Starts them; their scratch goes below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._all: list[Joiner] = []

    def join(self, sc: Context, slots: int = 1, **options: Any) -> Joiner:
        """Start one with the driver of this context, and wait until it is there."""
        known = {executor.pid for executor in sc.executors}
        joiner = self.start(*address(sc), slots=slots, **options)
        self.wait_there(sc, joiner)
        assert joiner.pid not in known
        return joiner

    def wait_there(self, sc: Context, joiner: Joiner) -> None:
        """Wait until it is one of the context's executors."""
        wait_until(
            lambda: joiner.pid in [executor.pid for executor in sc.executors] or joiner.process.poll() is not None,
            "the executor joins",
        )
        assert joiner.process.poll() is None, joiner.log

    def start(
        self, driver: str, key_file: str, slots: int = 1, memory: int = 0, host: str = "", before: str = ""
    ) -> Joiner:
        """Start one; `before` is Python code that runs first."""
        log_file = self._root / f"joiner-{len(self._all)}.log"
        command = [sys.executable, "-c", PROGRAM.format(before=before), driver, key_file, str(slots), str(memory), host]
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        env.pop("PYTHONHASHSEED", None)
        with open(log_file, "wb") as log:
            process = subprocess.Popen(
                [*command, str(self._root)], env=env, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        self._all.append(Joiner(process, log_file))
        return self._all[-1]

    def close(self) -> None:
        """Wait until all are gone; they leave because their driver ends. Those that do not are killed."""
        for joiner in self._all:
            try:
                joiner.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                joiner.process.kill()
                joiner.process.wait()
            joiner.log_file.unlink()


def address(sc: Context) -> tuple[str, str]:
    """Where the driver listens, and its key file, as the command to join says them."""
    assert sc.join_command is not None
    words: Sequence[str] = shlex.split(sc.join_command)
    assert list(words[:3:2]) + list(words[4:5]) == ["rddlite", "--driver", "--key-file"]
    return words[3], words[5]
