"""Files of this host by plain system calls: nothing that takes time to import stands before a job over local files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from rddlite.errors import UsageError
from rddlite.fs.listing import Entry
from rddlite.fs.store import path_errors

_ABSENT = (FileNotFoundError, NotADirectoryError)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
_WRITE_BUFFER = 256 << 10


def is_local(path: str) -> bool:
    """Whether a path or URL names a file of this host."""
    return "://" not in path or path.startswith("file:")


def local_path(path: str) -> str:
    """The absolute path of a local path or `file:` URL, without a slash at its end.

    Raises:
        UsageError: for a `file:` URL that names a host.
    """
    name = path
    if path.startswith("file://"):
        host, slash, rest = path[len("file://") :].partition("/")
        if host not in ("", "localhost"):
            raise UsageError(
                f"{path} names the host {host!r}; three slashes begin a path of this host: file:///{host}/{rest}"
            )
        name = slash + rest
    elif path.startswith("file:"):
        name = path[len("file:") :]
    if not name:
        raise UsageError(f"{path!r} names no path")
    # Not os.path.abspath: it takes `link/..` for nothing, which is wrong for links.
    return os.path.join(os.getcwd(), name).rstrip("/") or "/"


class LocalFiles:
    """The `Store` of this host."""

    reveals_by_rename = True
    can_list = True
    block_bytes = 256 << 10  # measured: larger blocks leave the processor's cache, smaller ones cost calls

    def entry(self, path: str) -> Entry | None:
        with path_errors(path):
            try:
                status = os.stat(path)
            except _ABSENT:
                return None
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, True, None)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is neither a file nor a directory")
        return Entry(path, False, status.st_size)

    def listing(self, path: str) -> list[Entry]:
        found = []
        with path_errors(path), suppress(*_ABSENT), os.scandir(path) as seen:
            for each in seen:
                with suppress(FileNotFoundError):  # a dangling link, or removed just now
                    if each.is_dir():
                        found.append(Entry(os.path.join(path, each.name), True, None))
                    elif each.is_file():
                        found.append(Entry(os.path.join(path, each.name), False, each.stat().st_size))
        return sorted(found)

    def open_read(self, path: str) -> BinaryIO:
        with path_errors(path):
            return open(path, "rb", buffering=0)

    def create(self, path: str) -> BinaryIO:
        with path_errors(path):
            return open(path, "xb", buffering=_WRITE_BUFFER)

    def discard(self, file: BinaryIO, path: str) -> None:
        # Closing writes what is buffered and may fail for the reason that made us give up.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            os.unlink(path)

    def make_directory(self, path: str) -> bool:
        parent = os.path.dirname(path)
        with path_errors(path):
            try:
                os.makedirs(parent, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise UsageError(f"cannot make {path}: not everything above it is a directory") from error
            try:
                os.mkdir(path)
            except FileExistsError:
                return False
        return True

    def rename(self, old: str, new: str) -> None:
        # The system call replaces an empty directory, which is no loss, and never one that holds something.
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        with path_errors(new):
            try:
                os.rename(old, new)
            except OSError as error:
                if error.errno in _IN_THE_WAY and os.path.lexists(new):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
                raise

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        for old, new in pairs:
            shutil.copyfile(old, new)

    def remove_all(self, paths: Sequence[str]) -> None:
        for path in paths:
            os.unlink(path)

    def remove_tree(self, path: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
