"""Data files of shuffles that nobody wants any more, kept for a moment to be written over by the next map outputs.

The pages of a new file cost the system two to three times as much as those of an old one that is written over. A file
becomes a spare by being renamed, and is taken by being renamed again, so who still reads it finds its name gone, and
looks after each read (`format.has_name`). A file with a batch so large that readers may have mapped it is deleted.
Executors `retire` shuffles, and `drop` spares that nobody took; writers of large outputs `take` them. Who finds the
disk full makes room first (`make_room`): what can be written without spares can be written with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from operator import sub

from rddlite.base.ids import ShuffleId
from rddlite.shuffle.format import LARGEST_READ, read_index, remove_shuffle, shuffle_dir
from rddlite.storage.disks import disks_of

LEAST = 1 << 20
"""Smaller files are not worth it."""
_SHARE_OF_FREE = 8
"""Spares may take so large a part of what is free on a disk."""
_INDEXES_READ = 64
"""Of the files that may have a batch so large, so many are looked into: an executor does nothing else meanwhile."""
_DATA, _INDEX = ".data", ".index"


def retire(scratch: str, shuffle: ShuffleId) -> bool:
    """Delete every file of a shuffle; say whether some of them became spares instead."""
    prefix = f"shuffle-{shuffle}-"
    names = set(_reusable(shuffle_dir(scratch), prefix))
    found = False
    if names:
        for place in disks_of(scratch).places:
            with suppress(OSError):
                found = _keep(place, names) or found
    remove_shuffle(scratch, shuffle)
    return found


def take(directory: str, path: str) -> bool:
    """Have a spare of the disk on which `directory`, that of map outputs, is renamed to `path`, if there is one."""
    spares = _spares(os.path.dirname(directory))
    with suppress(OSError):
        for name in os.listdir(spares):
            with suppress(OSError):  # another task was faster
                os.rename(os.path.join(spares, name), path)
                return True
    return False


def drop(scratch: str) -> None:
    """Delete all spares."""
    for place in disks_of(scratch).places:
        _empty(place)


def make_room(path: str) -> bool:
    """Delete the spares of the executor and disk on which a file of map outputs, or of a spill, is; say whether there
    were any.
    """
    return _empty(os.path.dirname(os.path.dirname(path)))


def _empty(place: str) -> bool:
    found = False
    with suppress(OSError):
        for name in os.listdir(_spares(place)):
            with suppress(OSError):  # somebody took it
                os.unlink(os.path.join(_spares(place), name))
                found = True
    return found


def _spares(place: str) -> str:
    return os.path.join(place, "spare")


def _reusable(directory: str, prefix: str) -> Iterator[str]:
    """The data files of a shuffle that are large, and that nobody maps."""
    n_read = 0
    with suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(prefix) and name.endswith(_INDEX):
                data = name.removesuffix(_INDEX) + _DATA
                with suppress(OSError):
                    size = os.stat(os.path.join(directory, data)).st_size
                    if LEAST <= size <= LARGEST_READ:
                        yield data
                    elif size > LARGEST_READ and n_read < _INDEXES_READ:
                        n_read += 1
                        offsets = read_index(os.path.join(directory, name)).offsets
                        if max(map(sub, offsets[1:], offsets), default=0) <= LARGEST_READ:
                            yield data


def _keep(place: str, names: set[str]) -> bool:
    status = os.statvfs(place)
    room = status.f_bavail * status.f_frsize // _SHARE_OF_FREE
    with suppress(FileExistsError):
        os.mkdir(_spares(place), mode=0o700)
    with os.scandir(_spares(place)) as spares:
        room -= sum(entry.stat().st_size for entry in spares)
    found = False
    with os.scandir(shuffle_dir(place)) as entries:
        for entry in entries:
            if entry.name in names and entry.is_file(follow_symlinks=False):
                room -= entry.stat().st_size
                if room < 0:
                    break
                os.rename(entry.path, os.path.join(_spares(place), entry.name))
                found = True
    return found
