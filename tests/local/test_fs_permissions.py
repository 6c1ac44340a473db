"""What the operating system refuses, seen by a process that is not root."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite.errors import PathNotFound, PathUnreadable
from rddlite.fs.commit import abort, prepare
from rddlite.fs.lines import read_lines
from rddlite.fs.paths import expand
from rddlite.fs.splits import FileSplit
from rddlite.storage.localdirs import create

pytestmark = pytest.mark.local
NOBODY = 65534


def as_somebody(call: Callable[[], Any]) -> Any:
    """What `call` raises or returns in a process without root's powers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            outcome: Any = NOBODY
            if become_somebody():
                try:
                    outcome = call()
                except Exception as error:
                    outcome = error
            os.write(write, pickle.dumps(outcome))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        outcome = pickle.load(pipe)
    os.waitpid(pid, 0)
    if outcome == NOBODY:
        pytest.skip("root cannot become somebody else here")
    return outcome


def become_somebody() -> bool:
    """Give root's powers up; False where that cannot be done, as in some containers."""
    try:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    except OSError:
        return False
    return True


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are its user's."""
    if not all(path.stat().st_mode & 0o001 for path in (Path("/tmp"), Path("/"))):
        pytest.skip("not everybody may enter /tmp")
    place = Path(tempfile.mkdtemp(prefix="rl-", dir="/tmp"))
    place.chmod(0o755)
    load_what_is_loaded_late(place / "first")
    yield place
    shutil.rmtree(place)


def load_what_is_loaded_late(place: Path) -> None:
    """Whoever is not root may not be able to read the Python that runs here."""
    place.mkdir()
    (place / "f").write_text("a\n")
    assert len(expand(str(place))) == 1
    assert list(read_lines(FileSplit(f"{place}/f", 0, 2, None))) == [["a"]]
    abort(prepare(f"{place}/out", "app-1"))
    create("a", str(place)).release()
    with pytest.raises(PathNotFound):
        expand(f"{place}/none")
    shutil.rmtree(place)


def refused(outcome: Any, path: object) -> None:
    assert isinstance(outcome, PathUnreadable)
    assert isinstance(outcome, PermissionError)
    assert f"no permission for {path}" in str(outcome)


def test_a_directory_that_may_not_be_listed(place: Path) -> None:
    (place / "in").mkdir(mode=0o300)
    (place / "in").chmod(0o300)
    refused(as_somebody(lambda: expand(f"{place}/in")), place / "in")
    refused(as_somebody(lambda: expand(f"{place}/in/*")), place / "in")
    (place / "in").chmod(0o700)


def test_a_directory_that_may_not_be_entered(place: Path) -> None:
    (place / "in").mkdir()
    (place / "in" / "f").touch()
    (place / "in").chmod(0)
    refused(as_somebody(lambda: expand(f"{place}/in/f")), place / "in" / "f")
    (place / "in").chmod(0o700)


def test_a_file_that_may_not_be_read(place: Path) -> None:
    path = place / "f"
    path.write_text("a\n")
    path.chmod(0)
    assert len(as_somebody(lambda: expand(str(path)))) == 1
    refused(as_somebody(lambda: list(read_lines(FileSplit(str(path), 0, 2, None)))), path)


def test_output_where_nothing_may_be_written(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out").chmod(0o555)
    refused(as_somebody(lambda: prepare(f"{place}/out/deep/er", "app-1")), place / "out" / "deep")
    (place / "out").chmod(0o755)


def test_scratch_where_nothing_may_be_written(place: Path) -> None:
    (place / "scratch").mkdir()
    (place / "scratch").chmod(0o555)
    outcome = as_somebody(lambda: create("a", f"{place}/scratch").path)
    assert isinstance(outcome, PathUnreadable)
    assert "set local.dir" in str(outcome)


def test_scratch_in_the_hands_of_another_user(place: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to make a directory of another user")
    (place / f"rddlite-{NOBODY}").mkdir()
    outcome = as_somebody(lambda: create("a", str(place)).path)
    assert isinstance(outcome, PathUnreadable)
    assert "not a directory of this user" in str(outcome)
