"""What reading and publishing need of a place where files live; `local.py` and `paths.py` provide two such places."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from rddlite.errors import DataError, DiskFull, PathNotFound, PathUnreadable
from rddlite.fs.listing import Entry

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def path_errors(path: str) -> Iterator[None]:
    """Turn what operating system and stores say of a missing, refused or full place into errors that name it."""
    try:
        yield
    except DataError:
        raise  # said already, and nearer to the place
    except FileNotFoundError as error:
        raise PathNotFound(f"Path does not exist: {path}") from error
    except PermissionError as error:
        raise PathUnreadable(
            f"no permission for {path}: check its owner and mode, and those of the directories above it"
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(f"no space left for {path}: free some, or choose another place") from error


class Store(Protocol):
    """Files by the store's own names. Missing things are `PathNotFound`, refused ones `PathUnreadable`."""

    reveals_by_rename: bool
    """Whether `rename` moves a whole directory at once; if not, files appear one after another."""
    can_list: bool
    """Whether directories can be listed; if not, paths are taken as they are spelled."""
    block_bytes: int
    """How much to read at once where much is read: a request to a remote store costs a round trip."""

    def entry(self, path: str) -> Entry | None:
        """The file or directory at `path`, or None."""
        ...

    def listing(self, path: str) -> list[Entry]:
        """What is in the directory `path`, sorted by name; nothing when it is none."""
        ...

    def open_read(self, path: str) -> BinaryIO:
        """An unbuffered file with `readinto`, `read` and `seek`."""
        ...

    def create(self, path: str) -> BinaryIO:
        """A new file to write to."""
        ...

    def discard(self, file: BinaryIO, path: str) -> None:
        """Give up a file that `create` made; nothing stays of it where the store can help it."""
        ...

    def make_directory(self, path: str) -> bool:
        """Create a directory and those above it; False when it was there already. No-op without directories."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Move a file or directory.

        Raises:
            FileExistsError: if something is at `new`; it is left as it is.
        """
        ...

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy files inside the store, as (from, to), without moving their bytes through this process."""
        ...

    def remove_all(self, paths: Sequence[str]) -> None:
        """Remove files that exist."""
        ...

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; fine when it is not there."""
        ...
