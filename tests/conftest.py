"""What holds for every test: how hypothesis searches, that no process is left behind, and what `--spill` does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.helpers.memory import force_spilling

if TYPE_CHECKING:
    from collections.abc import Iterator

# A suite that is started in the background, as on some CI machines, inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines and no "too slow": a busy machine is not a failure. The same examples every time, or others if asked for.
settings.register_profile("others", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("same", settings.get_profile("others"), derandomize=True)
settings.load_profile("others" if os.environ.get("OTHER_EXAMPLES") else "same")


_SETTINGS = "_hypothesis_internal_use_settings"
"""Where hypothesis keeps what a test's own `@settings` say, which no profile overrides."""

_FEW = 5
"""So many examples there are at least, where a test asks for that many."""
_limited: set[Any] = set()
"""Tests that got fewer examples already."""

_left: list[str] = []
"""Processes that the workers of pytest-xdist had left behind when they were done."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spill", action="store_true", help="let operators hold hardly any memory, so that everything goes to disk"
    )
    parser.addoption(
        "--few-examples", action="store_true", help="a tenth of hypothesis's examples, for another Python of several"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--spill"):
        force_spilling()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Processes that share the tests call them alike."""
    if " at 0x" in item.nodeid:
        raise pytest.UsageError(f"{item.nodeid}: an address is not the same in each process: give this test other ids")
    function = getattr(item, "function", None)
    if item.config.getoption("--few-examples") and is_hypothesis_test(function) and function not in _limited:
        _limited.add(function)  # once, however many parameters it has
        own = getattr(function, _SETTINGS, None) or settings.default
        fewer = max(_FEW, own.max_examples // 10)
        setattr(function, _SETTINGS, settings(own, max_examples=min(own.max_examples, fewer)))


@pytest.hookimpl(trylast=True)  # pytest-xdist has ended its workers by then
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a child of its processes is still there, and end that child."""
    left = list(_left)
    for pid, command in _children(os.getpid()):
        os.kill(pid, signal.SIGKILL)
        left.append(f"process {pid}: {command}")
    told: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["left"] = left
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for each in left:
            reporter.write_line(f"\nleft behind by the tests: {each}", red=True)
    if left and session.exitstatus == 0:
        session.exitstatus = 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist is done, or has died."""
    _left.extend(getattr(node, "workeroutput", {}).get("left", ()))


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
