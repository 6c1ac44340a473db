"""What an application could leave behind: processes, scratch directories, unix sockets."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 10.0


@dataclass(frozen=True)
class Leftovers:
    """A look at what is there now."""

    processes: frozenset[tuple[int, str]]
    scratch: frozenset[str]
    sockets: frozenset[str]

    @classmethod
    def now(cls) -> Leftovers:
        return cls(frozenset(_processes()), frozenset(_scratch()), frozenset(_sockets()))

    def new(self) -> list[str]:
        now = Leftovers.now()
        found = [f"process {pid}: {command}" for pid, command in sorted(now.processes - self.processes)]
        return found + sorted(now.scratch - self.scratch) + sorted(now.sockets - self.sockets)

    def assert_nothing_new(self) -> None:
        """Fail with a list of what is new; processes that are just ending get a moment."""
        end = time.monotonic() + _PATIENCE
        while (found := self.new()) and time.monotonic() < end:
            time.sleep(0.02)
        assert not found, "left behind:\n" + "\n".join(found)


def _processes() -> list[tuple[int, str]]:
    """Executors, zygotes and workers of any application of this user: forks keep the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if "rddlite.executor" in command and state != "Z":
                found.append((int(entry.name), command))
    return found


def _scratch() -> list[str]:
    roots = {Path(tempfile.gettempdir()), Path("/tmp")}
    return [
        str(app) for root in roots for app in root.glob(f"rddlite-{os.getuid()}*/*") if not app.name.startswith(".")
    ]


def _sockets() -> list[str]:
    with open("/proc/net/unix") as file:
        return [line.split()[-1] for line in file if "rddlite" in line]
