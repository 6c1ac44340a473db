"""SparkFiles: files that the program gave to its tasks, in a directory of each executor and in one of the driver.

The content travels as a broadcast. A worker puts it into place before it unpickles the functions of the first task
that may use it; the other workers of its executor find it there. Only what reads `SparkFiles` needs the API's names.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rddlite.shared.broadcast import Broadcast

Kind = Literal["file", "python", "archive"]
_PACKAGES = (".zip", ".egg", ".whl", ".jar")

_root: str | None = None
_installed: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Shipped:
    """A file, a directory, or an archive that is to be unpacked: the bytes of each file by its path below `name`."""

    name: str
    kind: Kind
    content: Broadcast[dict[str, bytes]]


class SparkFiles:
    """Where files are that `Context.addFile`, `addPyFile` and `addArchive` gave to tasks. For driver and tasks.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "stop.txt").write_text("the a an")
    ...     sc.addFile(folder + "/stop.txt")
    >>> sc.range(1).flatMap(lambda x: pathlib.Path(SparkFiles.get("stop.txt")).read_text().split()).collect()
    ['the', 'a', 'an']
    """

    @classmethod
    def get(cls, filename: str) -> str:
        """The absolute path of a file that was given, by its name.

        >>> SparkFiles.get("stop.txt").endswith("/stop.txt")
        True
        """
        return os.path.join(cls.getRootDirectory(), filename)

    @classmethod
    def getRootDirectory(cls) -> str:
        """The directory that holds them.

        >>> __import__("os").path.isdir(SparkFiles.getRootDirectory())
        True
        """
        return _root if _root is not None else _make_root()


def install(files: Iterable[Shipped], root: str) -> None:
    """Have these files below `root`, and Python files where modules are found. Cheap if they are there."""
    global _root
    _root = root
    for each in files:
        if _installed.get(each.name) != each.content.id:
            os.makedirs(root, exist_ok=True)
            put(each, root, each.content.id, each.content.value)
            _installed[each.name] = each.content.id


def put(each: Shipped, root: str, version: int, content: dict[str, bytes]) -> None:
    """Write one of them, whole or not at all: other processes may be doing the same."""
    target, mark = os.path.join(root, each.name), os.path.join(root, f".{each.name}.{version}")
    if not os.path.exists(mark):
        fresh = tempfile.mkdtemp(prefix=".new-", dir=root)
        try:
            made = _written(each, fresh, content)
            if os.path.isdir(target) and not os.path.islink(target):
                os.rename(target, os.path.join(fresh, ".old"))
            os.replace(made, target)
            with open(mark, "wb"):
                pass
        except OSError:
            if not os.path.exists(target):  # else another process was quicker
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    if each.kind == "python":
        place = target if each.name.endswith(_PACKAGES) else root
        if place not in sys.path:
            sys.path.insert(1, place)
        importlib.invalidate_caches()


def forget_root() -> None:
    """The context that gave the files is gone: so are its files."""
    global _root
    root, _root = _root, None
    _installed.clear()
    if root is not None:
        sys.path[:] = [place for place in sys.path if place != root and not place.startswith(root + os.sep)]
        shutil.rmtree(root, ignore_errors=True)


def _make_root() -> str:
    global _root
    _root = os.path.realpath(tempfile.mkdtemp(prefix="rddlite-files-"))
    atexit.register(shutil.rmtree, _root, ignore_errors=True)
    return _root


def _written(each: Shipped, folder: str, content: dict[str, bytes]) -> str:
    """The path of what was made below the folder."""
    for name, data in content.items():
        path = os.path.join(folder, "in", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    if each.kind != "archive":
        return os.path.join(folder, "in", each.name)
    (archive,) = content
    made = os.path.join(folder, "out")
    source = os.path.join(folder, "in", archive)
    if archive.endswith(_PACKAGES):
        shutil.unpack_archive(source, made, "zip")
    else:
        shutil.unpack_archive(source, made, filter="data")
    return made
