"""Large updates of accumulators wait for the end of their job in files, so that the driver's memory does not.

Made by the loop's thread, read by the thread that waits for the job; a file goes with the object that stands for it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref

from rddlite.base.log import logger

SMALL = 4 << 10
"""Up to this size an update waits in memory."""
_FOLDER = "updates"
_log = logger("driver")


class StoredUpdate:
    """An update in a file."""

    def __init__(self, path: str, data: bytes) -> None:
        with open(path, "xb") as file:
            self._finalizer = weakref.finalize(self, _remove, path)
            file.write(data)
        self._path = path

    def read(self) -> bytes:
        """The update, once: its file goes."""
        with open(self._path, "rb") as file:
            data = file.read()
        self._finalizer()
        return data


Update = bytes | StoredUpdate


class UpdateFiles:
    """Where large updates go; without a scratch directory they stay in memory."""

    def __init__(self, scratch: str) -> None:
        self._folder = os.path.join(scratch, _FOLDER) if scratch else None
        self._numbers = itertools.count()

    def keep(self, data: bytes) -> Update:
        """The update as it shall wait."""
        if len(data) <= SMALL or self._folder is None:
            return data
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            return StoredUpdate(os.path.join(self._folder, str(next(self._numbers))), data)
        except OSError as error:
            _log.warning("what a task added to accumulators waits in memory, not in %s: %s", self._folder, error)
            return data


def read_update(update: Update) -> bytes:
    """What a task packed."""
    return update if isinstance(update, bytes) else update.read()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
