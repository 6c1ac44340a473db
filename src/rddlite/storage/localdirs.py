"""Scratch directories of this host: made private, held by a lock, swept when nobody holds them any more.

    <base>/rddlite-<uid>/app-<id>/         what an application keeps; mode 0700
    <base>/rddlite-<uid>/app-<id>.lock     locked (shared) by every process of the application that lives

A lock goes with its processes, however they end, so a directory whose lock can be had alone belongs to nobody. The lock
file is made before its directory and removed after it, both under the lock. Callers: the driver makes and sweeps,
executors attach.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rddlite.base.log import logger
from rddlite.errors import DataError, DiskFull, PathNotFound, PathUnreadable, UsageError
from rddlite.storage.disks import LINK, links_of, trouble

SOCKET_NAME_BYTES = 24
_SOCKET_PATH_BYTES = 107  # what fits into a unix socket address
_SHORT_BASE = "/tmp"
_SHORT_LINK = "short"
_SOCKETS = "s"
_PREFIX, _LOCK = "app-", ".lock"
_OPEN_LOCK = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOOK_AGAIN = 0.1

_log = logger("storage.localdirs")


class Scratch:
    """An application's scratch directory, as held by this process until `release` or its end, whichever is first.

    `path` is the directory, `sockets` one whose name leaves room for sockets with names up to `SOCKET_NAME_BYTES`.
    A forked child holds nothing.
    """

    def __init__(self, path: str, lock: _Lock) -> None:
        self.path = path
        self._finalizer = weakref.finalize(self, _let_go, path, lock)
        self._others = _attach_others(path)
        link = os.path.join(path, _SHORT_LINK)
        self._short = attach(os.readlink(link)) if os.path.islink(link) else None

    @property
    def sockets(self) -> str:
        """The directory for sockets."""
        return os.path.join(self._short.path if self._short else self.path, _SOCKETS)

    def borrow_sockets(self, short: Scratch) -> None:
        """Use the sockets' directory of a scratch directory with a shorter path, here and wherever this is attached."""
        os.symlink(short.path, os.path.join(self.path, _SHORT_LINK))
        self._short = short

    def add_disk(self, other: Scratch) -> None:
        """Have large files go to that one as well, here and wherever this is attached."""
        os.symlink(other.path, os.path.join(self.path, f"{LINK}{len(self._others) + 1}"))
        self._others.append(other)

    def subdir(self, name: str) -> str:
        """A directory of that name in the scratch directory, made when it is not there yet.

        Raises:
            DiskFull: if there is no room for it.
        """
        path = os.path.join(self.path, name)
        with disk_errors(path), suppress(FileExistsError):
            os.mkdir(path, 0o700)
        return path

    def socket_path(self, name: str) -> str:
        """Where a socket of that name goes: never longer than a unix socket address can be."""
        if len(os.fsencode(name)) > SOCKET_NAME_BYTES or "/" in name:
            raise UsageError(f"a socket's name has at most {SOCKET_NAME_BYTES} bytes and no slash: {name!r}")
        return os.path.join(self.sockets, name)

    def release(self, patience: float = 0.0) -> None:
        """Let go. The last process to do so removes the directory. Harmless when called again.

        With `patience`, wait so many seconds for others to let go: those that are killed remove nothing.
        """
        self._finalizer()
        for other in self._others:
            other.release(patience)
        if self._short is not None:
            self._short.release(patience)
        end = time.monotonic() + patience
        while os.path.isdir(self.path) and time.monotonic() < end and not _remove_if_free(self.path):
            time.sleep(_LOOK_AGAIN)


def create(app_id: str, base: str | None = None) -> Scratch:
    """Make and hold the scratch directory of an application, after a sweep of what dead ones left.

    `base` is the directory for temporary files of this system unless given. It may name several, with commas between:
    large files are spread over those that work.

    Raises:
        PathUnreadable: if the place cannot be written, or is in the hands of somebody else.
        DiskFull: if there is no room.
    """
    if not app_id or "/" in app_id:
        raise UsageError(f"not the id of an application: {app_id!r}")
    scratch, *others = _create_each(_split(base), app_id)
    for other in others:
        scratch.add_disk(other)
    if not _fits_sockets(scratch.path):
        short = Scratch(*_create_in(_SHORT_BASE, app_id))
        if not _fits_sockets(short.path):
            raise UsageError(f"the id of the application is too long for the path of a socket: {app_id!r}")
        scratch.borrow_sockets(short)
    with disk_errors(scratch.sockets):
        os.mkdir(scratch.sockets, 0o700)
    return scratch


def attach(path: str) -> Scratch:
    """Hold the scratch directory that another process of the application made.

    Raises:
        PathNotFound: if it is gone, or going: nobody else holds it any more.
    """
    lock = _Lock.open(path + _LOCK)
    if lock is None or not lock.take(fcntl.LOCK_SH):
        raise PathNotFound(f"the scratch directory {path} is gone: the application that made it has ended")
    return Scratch(path, lock)


def sweep(root: str) -> list[str]:
    """Remove what dead applications left in a root (`open_root`); the directories removed.

    Safe while any number of processes sweep, make and release directories there.
    """
    with os.scandir(root) as found:
        names = [entry.name for entry in found if entry.name.startswith(_PREFIX)]
    paths = {os.path.join(root, name.removesuffix(_LOCK)) for name in names}
    return [path for path in sorted(paths) if _remove_if_free(path)]


def open_root(base: str) -> str:
    """The directory of this user's applications below `base`, made when it is not there.

    Raises:
        PathUnreadable: if it cannot be made, is a link, or belongs to another user.
        DiskFull: if there is no room for it.
    """
    root = os.path.join(os.path.abspath(base), f"rddlite-{os.geteuid()}")
    try:
        with disk_errors(root), suppress(FileExistsError):
            os.makedirs(root, 0o700)
        status = os.lstat(root)
    except (PermissionError, NotADirectoryError, FileNotFoundError) as error:
        raise PathUnreadable(f"cannot make scratch directories in {base}: {error}; set local.dir") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PathUnreadable(f"{root} is not a directory of this user, so it is not used; remove it or set local.dir")
    if status.st_mode & 0o077:
        os.chmod(root, 0o700)
    return root


ELSEWHERE = "set local.dir (of an executor that joins by itself: --scratch-dir) to a place with more"


@contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Say `DiskFull`, with the path, when what is written there finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(f"no space left for {path}: free some, or {ELSEWHERE}") from error


class _Lock:
    """An open lock file. Forked children lose it, so that it tells which processes really take part."""

    __slots__ = ("__weakref__", "_fd", "_path")

    def __init__(self, path: str, fd: int) -> None:
        self._path, self._fd = path, fd
        _open_locks.add(self)

    @classmethod
    def open(cls, path: str) -> _Lock | None:
        """An existing lock file; None if there is none."""
        try:
            return cls(path, os.open(path, _OPEN_LOCK))
        except FileNotFoundError:
            return None

    @classmethod
    def make(cls, path: str) -> _Lock | None:
        """A new lock file; None if there is one already."""
        try:
            return cls(path, os.open(path, _OPEN_LOCK | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return None

    def take(self, kind: int) -> bool:
        """Lock it without waiting. False, and closed, if others hold it or it was removed meanwhile."""
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
            mine, there = os.fstat(self._fd), os.stat(self._path)
        except (BlockingIOError, FileNotFoundError):
            self.close()
            return False
        if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            self.close()
            return False
        return True

    def remove(self) -> None:
        """Remove the file, which must be locked, and let go."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_open_locks: weakref.WeakSet[_Lock] = weakref.WeakSet()


def _close_inherited() -> None:
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_inherited)


def _create_in(base: str, app_id: str) -> tuple[str, _Lock]:
    root = open_root(base)
    sweep(root)
    n = 0
    while True:
        n += 1
        path = os.path.join(root, f"{_PREFIX}{app_id}" + (f"-{n}" if n > 1 else ""))
        with disk_errors(path):
            lock = _Lock.make(path + _LOCK)
            # Another process that sweeps may have had the lock for a moment, and removed it.
            if lock is None or not lock.take(fcntl.LOCK_SH):
                continue
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                lock.remove()  # what could not be swept
            except OSError:
                lock.remove()
                raise
            else:
                return path, lock


def _split(base: str | None) -> list[str]:
    bases = [each.strip() for each in (base or "").split(",")]
    return list(dict.fromkeys(filter(None, bases))) or [tempfile.gettempdir()]


def _create_each(bases: list[str], app_id: str) -> list[Scratch]:
    """In all of these where that can be done; in the only one even if it is nearly full."""
    if len(bases) == 1:
        return [Scratch(*_create_in(bases[0], app_id))]
    made: list[Scratch] = []
    failed: list[OSError | DataError] = []
    for base in bases:
        try:
            scratch = Scratch(*_create_in(base, app_id))
        except (OSError, DataError) as error:
            failed.append(error)
            _log.warning("%s of local.dir is left out: %s", base, error)
            continue
        why = trouble(scratch.path)
        if why and (made or base != bases[-1]):
            _log.warning("%s of local.dir is left out: %s", base, why)
            scratch.release()
        else:
            made.append(scratch)
    if not made:
        raise failed[-1]
    return made


def _attach_others(path: str) -> list[Scratch]:
    """Those of the same application on other disks, as far as they can be reached."""
    found = []
    for other in links_of(path):
        try:
            found.append(attach(other))
        except (OSError, DataError) as error:
            _log.warning("scratch directory %s is left out: %s", other, error)
    return found


def _fits_sockets(path: str) -> bool:
    return len(os.fsencode(os.path.join(path, _SOCKETS))) + 1 + SOCKET_NAME_BYTES <= _SOCKET_PATH_BYTES


def _let_go(path: str, lock: _Lock) -> None:
    lock.close()
    _remove_if_free(path)


def _remove_if_free(path: str) -> bool:
    """Remove a scratch directory and its lock file, unless a living process holds it."""
    lock = _Lock.open(path + _LOCK)
    if lock is None and os.path.isdir(path):
        # Left without its lock file. Made again, the lock keeps a process that wants the same name off.
        lock = _Lock.make(path + _LOCK)
    if lock is None or not lock.take(fcntl.LOCK_EX):
        return False
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass  # its maker ended between lock and directory
    except OSError as error:
        _log.warning("cannot remove the scratch directory %s of a dead application: %s", path, error)
        lock.close()
        return False
    lock.remove()
    return True
