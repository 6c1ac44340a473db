"""What applications below some directories for temporary files could leave behind: processes, scratch, sockets."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 60.0


@dataclass(frozen=True)
class Leftovers:
    """A look at what is there now."""

    roots: tuple[Path, ...]
    found: frozenset[str]

    @classmethod
    def below(cls, *roots: Path) -> Leftovers:
        """Executors, zygotes and workers (forks keep the command line, which names the scratch directory), the
        directories themselves, bound sockets, and TCP ports that this process (a driver, perhaps) listens at.
        """
        found = {each for root in roots for each in [*_processes(root), *_scratch(root), *_sockets(root)]}
        return cls(roots, frozenset([*found, *_ports()]))

    def assert_nothing_new(self) -> None:
        """Fail with a list of what is new; processes that are just ending get a moment."""
        end = time.monotonic() + _PATIENCE
        while (new := Leftovers.below(*self.roots).found - self.found) and time.monotonic() < end:
            time.sleep(0.02)
        assert not new, "left behind:\n" + "\n".join(sorted(new))


def _processes(root: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if "rddlite" in command and "executor" in command and str(root) in command:
                found.append(f"process {entry.name}: {command}")
    return found


def _scratch(root: Path) -> list[str]:
    return [str(app) for app in root.glob("rddlite-*/*") if not app.name.startswith(".")]


def _sockets(root: Path) -> list[str]:
    with open("/proc/net/unix") as file:
        return [f"socket {line.split()[-1]}" for line in file if str(root) in line]


def _ports() -> list[str]:
    own = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            own.add(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:  # the listing's own
            continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listening = [(row[1], row[9]) for row in rows if row[3] == "0A"]
    return [f"port {int(address[-4:], 16)}" for address, inode in listening if f"socket:[{inode}]" in own]
