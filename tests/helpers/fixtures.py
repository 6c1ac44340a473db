"""Fixtures of tests that run whole applications; `conftest.py` of such a folder imports those that it wants."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite.testing.faults import Faults
from tests.helpers.leftovers import Leftovers


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for temporary files of our own, so that other applications of this machine do not count."""
    tmp_path_factory.getbasetemp()  # made before the place for temporary files changes, or it would be made in there
    root = Path(tempfile.mkdtemp(prefix="rl-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(root))
        patch.setattr(tempfile, "tempdir", None)
        yield root
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def nothing_left(temporary: Path, tmp_path: Path) -> Iterator[None]:
    """Processes, sockets and scratch are the same after the test as before, also where `local.dir` is `tmp_path`."""
    before = Leftovers.below(temporary, tmp_path)
    yield
    before.assert_nothing_new()


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    """Fault points to be armed, for the applications of this test."""
    with Faults(tmp_path / "faults") as armed:
        yield armed
