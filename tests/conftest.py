"""What holds for every test: how hypothesis searches, and that the run leaves no process behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

# A suite that is started in the background, as on some CI machines, inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines and no "too slow": a busy machine is not a failure. In CI the same examples every time.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when one of its child processes is still there, and end that process."""
    left = list(_children(os.getpid()))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    for pid, command in left:
        os.kill(pid, signal.SIGKILL)
        if reporter is not None:
            reporter.write_line(f"\nleft behind by the tests: process {pid}: {command}", red=True)
    if left and session.exitstatus == 0:
        session.exitstatus = 1


def _children(parent: int) -> Iterator[tuple[int, str]]:
    """Living child processes, except those that the standard library keeps for itself."""
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in task.read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if command and "multiprocessing.resource_tracker" not in command:
                yield int(pid), command
