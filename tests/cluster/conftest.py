"""Clusters of this machine: executors over TCP, started by the driver or joining it. Nothing may stay behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite.testing.faults import Faults
from tests.cluster.joiners import Joiners
from tests.helpers.leftovers import Leftovers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.local)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for temporary files of our own, so that other applications of this machine do not count."""
    tmp_path_factory.getbasetemp()  # made before the place for temporary files changes, or it would be made in there
    before, cached = os.environ.get("TMPDIR"), tempfile.tempdir
    root = Path(tempfile.mkdtemp(prefix="rl-"))
    os.environ["TMPDIR"], tempfile.tempdir = str(root), None
    yield root
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before
    tempfile.tempdir = cached
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def nothing_left(temporary: Path) -> Iterator[None]:
    """Processes, sockets and scratch are the same after the test as before."""
    before = Leftovers.below(temporary)
    yield
    before.assert_nothing_new()


@pytest.fixture
def joiners(nothing_left: None, temporary: Path) -> Iterator[Joiners]:
    """Starts executors that join a driver, and waits for their end: their drivers have ended by then."""
    joiners = Joiners(temporary)
    yield joiners
    joiners.close()


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    with Faults(tmp_path / "faults") as armed:
        yield armed
