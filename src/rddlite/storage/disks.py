"""Further scratch directories of an application, on other disks: large files of its executors go to them in turn.

    <app directory>/disk-1 -> <app directory on another disk>          links, made by who makes the first
    <app directory on another disk>/<executor>/shuffle                 made when the first file goes there

Small files, and all that is named there, are in the first. A disk that is full or read-only, or on which nothing can be
made, is left out, with a warning, while others work.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil

from rddlite.base.log import logger

LINK = "disk-"
_LEAST = 16 << 20
"""Bytes: what has less room is as good as full."""
_log = logger("storage.disks")


def links_of(application: str) -> list[str]:
    """The directories of the application on other disks."""
    found = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(application) if name.startswith(LINK)]
        found = [os.readlink(os.path.join(application, name)) for name in sorted(names)]
    return found


def trouble(directory: str) -> str:
    """Why nothing more should go to this directory; nothing if it may."""
    try:
        status = os.statvfs(directory)
    except OSError as error:
        return error.strerror or str(error)
    if status.f_flag & os.ST_RDONLY:
        return "it is read-only"
    return "it is full" if status.f_bavail * status.f_frsize < _LEAST else ""


class Disks:
    """Where the large files of one executor go, whose own scratch directory is the first of `places`."""

    def __init__(self, scratch: str) -> None:
        others = links_of(scratch)  # where tasks run in the driver, its directory is the application's
        if not others:
            name = os.path.basename(scratch)
            others = [os.path.join(other, name) for other in links_of(os.path.dirname(scratch))]
        self.places = [scratch, *others]
        self._turns = itertools.count(os.getpid())
        self._left_out: set[str] = set()

    def next_for(self, folder: str) -> str:
        """The directory for a new file of this kind: of the next disk that works; the executor's own if none does."""
        n = len(self.places)
        if n > 1:
            start = next(self._turns)
            for i in range(n):
                place = self.places[(start + i) % n]
                if self._works(place, folder):
                    return os.path.join(place, folder)
        return os.path.join(self.places[0], folder)

    def _works(self, place: str, folder: str) -> bool:
        path = os.path.join(place, folder)
        try:
            for each in (place, path):  # not what is above: a disk that is gone leaves its mount point
                with contextlib.suppress(FileExistsError):
                    os.mkdir(each, mode=0o700)
            why = trouble(path)
        except OSError as error:
            why = error.strerror or str(error)
        if not why:
            self._left_out.discard(place)
        elif place not in self._left_out:
            self._left_out.add(place)
            _log.warning("scratch directory %s is left out for the time being: %s", place, why)
        return not why


@functools.lru_cache(maxsize=64)
def disks_of(scratch: str) -> Disks:
    """Those of an executor, looked up once in a process."""
    return Disks(scratch)


def remove_all(scratch: str) -> None:
    """Remove the directory of an executor, on all disks, as far as that can be done."""
    for place in Disks(scratch).places:
        shutil.rmtree(place, ignore_errors=True)
