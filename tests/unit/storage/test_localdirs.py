from __future__ import annotations

import errno
import gc
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite.errors import DiskFull, PathNotFound, PathUnreadable, UsageError
from rddlite.storage import localdirs
from rddlite.storage.localdirs import SOCKET_NAME_BYTES, attach, create, disk_errors, open_root, sweep


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A base directory, and a short one for sockets that is not the system's /tmp."""
    short = f"/tmp/rl{os.getpid()}"
    monkeypatch.setattr(localdirs, "_SHORT_BASE", short)
    yield str(tmp_path / "base")
    gc.collect()
    for root in (short, str(tmp_path / "base")):
        left = os.path.join(root, f"rddlite-{os.geteuid()}")
        if os.path.isdir(left):
            os.rmdir(left)  # fails when a test left something
            os.rmdir(root)


def names(base: str) -> set[str]:
    return set(os.listdir(os.path.join(base, f"rddlite-{os.geteuid()}")))


def test_private_directories(base: str) -> None:
    scratch = create("local-1", base)
    assert scratch.path == f"{base}/rddlite-{os.geteuid()}/app-local-1"
    blocks = scratch.subdir("blocks")
    assert scratch.subdir("blocks") == blocks == f"{scratch.path}/blocks"
    for path in (os.path.dirname(scratch.path), scratch.path, scratch.sockets, blocks):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    scratch.release()
    assert names(base) == set()


def test_released_once_for_all(base: str) -> None:
    scratch = create("a", base)
    Path(scratch.subdir("blocks"), "data").write_bytes(b"x")
    scratch.release()
    other = create("a", base)
    scratch.release()
    assert os.path.isdir(other.path)
    other.release()


def test_forgotten_is_released(base: str) -> None:
    scratch = create("a", base)
    path = scratch.path
    del scratch
    gc.collect()
    assert not os.path.exists(path)


def test_the_last_holder_removes_it(base: str) -> None:
    driver = create("a", base)
    executor = attach(driver.path)
    assert executor.path == driver.path
    assert executor.sockets == driver.sockets
    driver.release()
    assert os.path.isdir(executor.path)
    executor.release()
    assert names(base) == set()


def test_who_waits_removes_what_those_that_are_killed_held(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = create("app-1", base)
    other = attach(scratch.path)

    def is_killed(seconds: float) -> None:
        for held in (other, other._short):
            detached = held._finalizer.detach() if held is not None else None
            if detached is not None:
                detached[2][1].close()

    monkeypatch.setattr(localdirs.time, "sleep", is_killed)
    scratch.release(patience=60.0)
    assert not os.path.exists(scratch.path)


def test_nothing_to_attach_to(base: str) -> None:
    scratch = create("a", base)
    path = scratch.path
    scratch.release()
    with pytest.raises(PathNotFound, match="has ended"):
        attach(path)


def test_two_applications_of_one_name_have_two_directories(base: str) -> None:
    one, two = create("a", base), create("a", base)
    assert one.path != two.path
    one.release()
    assert os.path.isdir(two.path)
    two.release()


@pytest.mark.parametrize("app_id", ["", "a/b", "../a"])
def test_an_id_is_a_name(base: str, app_id: str) -> None:
    with pytest.raises(UsageError):
        create(app_id, base)


class TestSweep:
    def test_removes_what_nobody_holds(self, base: str) -> None:
        living = create("living", base)
        root = os.path.dirname(living.path)
        os.makedirs(f"{root}/app-dead/blocks/deep")
        Path(root, "app-dead.lock").touch()
        os.mkdir(f"{root}/app-without-lock")
        Path(root, "app-without-directory.lock").touch()
        os.mkdir(f"{root}/something-else")
        assert [os.path.basename(path) for path in sweep(root)] == [
            "app-dead", "app-without-directory", "app-without-lock",
        ]  # fmt: skip
        assert names(base) == {"app-living", "app-living.lock", "something-else"}
        os.rmdir(f"{root}/something-else")
        living.release()

    def test_runs_when_an_application_starts(self, base: str) -> None:
        root = open_root(base)
        os.mkdir(f"{root}/app-dead")
        scratch = create("new", base)
        assert names(base) == {"app-new", "app-new.lock"}
        scratch.release()

    def test_what_cannot_be_removed_stays_for_the_next_one(
        self, base: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        root = open_root(base)
        os.mkdir(f"{root}/app-dead")

        def busy(path: str) -> None:
            raise OSError(errno.EBUSY, "busy")

        with monkeypatch.context() as patch:
            patch.setattr("rddlite.storage.localdirs.shutil.rmtree", busy)
            assert sweep(root) == []
        assert "app-dead" in caplog.text
        assert sweep(root) == [f"{root}/app-dead"]

    def test_a_lock_that_was_removed_meanwhile_is_not_taken_for_ours(
        self, base: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A sweep between making the lock file and locking it: the maker starts over.
        make, swept = localdirs._Lock.make, []

        def make_and_be_swept(path: str) -> Any:
            lock = make(path)
            if not swept:
                swept.extend(sweep(os.path.dirname(path)))
            return lock

        monkeypatch.setattr(localdirs._Lock, "make", make_and_be_swept)
        scratch = create("a", base)
        assert [os.path.basename(path) for path in swept] == ["app-a"]
        assert os.path.isdir(scratch.path)
        assert sweep(os.path.dirname(scratch.path)) == []
        scratch.release()

    def test_nor_is_the_one_that_somebody_made_in_its_place(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        make, others = localdirs._Lock.make, []

        def make_and_be_replaced(path: str) -> Any:
            lock = make(path)
            monkeypatch.undo()
            sweep(os.path.dirname(path))
            others.append(create("a", base))
            return lock

        monkeypatch.setattr(localdirs._Lock, "make", make_and_be_replaced)
        scratch = create("a", base)
        (other,) = others
        assert scratch.path != other.path
        assert sweep(os.path.dirname(scratch.path)) == []
        for each in (other, scratch):
            each.release()
            assert not os.path.exists(each.path)


class TestRoot:
    def test_a_link_is_refused(self, base: str, tmp_path: Path) -> None:
        os.mkdir(base)
        target = tmp_path / "target"
        target.mkdir()
        link = Path(base, f"rddlite-{os.geteuid()}")
        link.symlink_to(target)
        with pytest.raises(PathUnreadable, match=r"not a directory of this user.*local\.dir"):
            create("a", base)
        link.unlink()

    def test_another_users_is_refused(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        root = open_root(base)
        with monkeypatch.context() as patch:
            patch.setattr("rddlite.storage.localdirs.os.geteuid", lambda: os.getuid() + 1)
            os.rename(root, os.path.join(base, f"rddlite-{os.getuid() + 1}"))
            with pytest.raises(PathUnreadable, match="not a directory of this user"):
                create("a", base)
        os.rename(os.path.join(base, f"rddlite-{os.getuid() + 1}"), root)

    def test_open_to_others_is_closed(self, base: str) -> None:
        root = open_root(base)
        os.chmod(root, 0o755)
        assert open_root(base) == root
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o700

    def test_a_base_that_is_no_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(PathUnreadable, match=r"set local\.dir"):
            create("a", str(tmp_path / "file"))

    def test_the_default_is_the_systems_temporary_directory(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkdir(base)
        monkeypatch.setattr("tempfile.tempdir", base)
        scratch = create("a")
        assert scratch.path.startswith(f"{base}/")
        scratch.release()


class TestSockets:
    def test_paths_fit_into_an_address_however_long_the_base_is(self, base: str, tmp_path: Path) -> None:
        deep = os.path.join(base, *["d" * 50] * 4)
        driver = create("local-1", deep)
        executor = attach(driver.path)
        name = "n" * SOCKET_NAME_BYTES
        assert len(driver.socket_path(name)) <= 107
        assert executor.socket_path(name) == driver.socket_path(name)
        assert driver.path.startswith(deep)
        assert stat.S_IMODE(os.stat(driver.sockets).st_mode) == 0o700
        short = os.path.dirname(driver.sockets)
        driver.release()
        assert os.path.isdir(executor.sockets)
        executor.release()
        assert not os.path.exists(short)
        for path in [open_root(deep), *(os.path.join(base, *["d" * 50] * n) for n in range(4, 0, -1))]:
            os.rmdir(path)
        open_root(base)

    def test_a_long_name_is_refused(self, base: str) -> None:
        scratch = create("a", base)
        for name in ("n" * (SOCKET_NAME_BYTES + 1), "a/b"):
            with pytest.raises(UsageError):
                scratch.socket_path(name)
        scratch.release()

    def test_an_id_too_long_for_any_socket_leaves_nothing(self, base: str) -> None:
        with pytest.raises(UsageError, match="too long"):
            create("i" * 90, base)
        gc.collect()
        assert names(base) == set()


class TestFullDisk:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_named(self, number: int) -> None:
        with pytest.raises(DiskFull, match=r"/scratch/x.*local\.dir"), disk_errors("/scratch/x"):
            raise OSError(number, "full")

    def test_other_errors_pass(self) -> None:
        with pytest.raises(OSError, match="broken") as caught, disk_errors("/scratch/x"):
            raise OSError(errno.EIO, "broken")
        assert not isinstance(caught.value, DiskFull)

    def test_no_room_for_the_directory_leaves_no_lock(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        open_root(base)

        def full(path: str, mode: int = 0o777) -> None:
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patch:
            patch.setattr("rddlite.storage.localdirs.os.mkdir", full)
            patch.setattr("rddlite.storage.localdirs.os.makedirs", lambda *args: None)
            with pytest.raises(DiskFull):
                create("a", base)
        assert names(base) == set()
