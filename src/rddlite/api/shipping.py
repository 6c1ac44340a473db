"""Files that the program gives to its tasks: data, modules, archives. Tasks find them by `SparkFiles.get(name)`."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from rddlite.api.arguments import text
from rddlite.api.sharedvars import SharedVariables
from rddlite.base.callsite import CallSite, call_site
from rddlite.errors import PathNotFound, UsageError
from rddlite.fs.local import is_local, local_path
from rddlite.fs.paths import open_read
from rddlite.shared import files
from rddlite.shared.files import Kind, Shipped, SparkFiles

if TYPE_CHECKING:
    from rddlite.shared.broadcast import Broadcast

_MODULES = (".py", ".zip", ".egg", ".whl", ".jar")


class Shipping(SharedVariables):
    """The mixin of `Context` for files of the program. Their content is held in memory and sent to each host once."""

    def addFile(self, path: str | os.PathLike[str], recursive: bool = False) -> None:
        """Give a file to the tasks of all jobs from now on; `SparkFiles.get(name)` is its path there, and here.

        Args:
            path: a path or URL; a file of the same name that was given before is replaced.
            recursive: needed for a directory, which is given with everything below it.

        Raises:
            PathNotFound: if nothing is there.
            UsageError: for a directory without `recursive`.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "limit.txt").write_text("7")
        ...     sc.addFile(folder + "/limit.txt")
        >>> sc.range(1).map(lambda x: pathlib.Path(SparkFiles.get("limit.txt")).read_text()).collect()
        ['7']
        """
        site = call_site("addFile")
        url = _url(path, site)
        self._ship(_name_of(url), "file", self._content(url, bool(recursive), site))

    def addPyFile(self, path: str | os.PathLike[str]) -> None:
        """Give a module (`.py`) or packages (`.zip`, `.egg`, `.whl`) to the tasks of all jobs from now on, and to this
        program: both can import them.

        Raises:
            PathNotFound: if nothing is there.
            UsageError: for any other file.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "rates_of_docs.py").write_text("RATE = 3")
        ...     sc.addPyFile(folder + "/rates_of_docs.py")
        >>> sc.range(3).map(lambda x: x * __import__("rates_of_docs").RATE).collect()
        [0, 3, 6]
        """
        site = call_site("addPyFile")
        url = _url(path, site)
        if not url.endswith(_MODULES):
            raise UsageError(f"addPyFile: {url} is no module or package of them: needs one of {', '.join(_MODULES)}")
        self._ship(_name_of(url), "python", self._content(url, False, site))

    def addArchive(self, path: str | os.PathLike[str]) -> None:
        """Give what an archive holds to the tasks of all jobs from now on: `SparkFiles.get(name)` is the directory that
        it is unpacked into. `path#alias` names that directory.

        Args:
            path: a path or URL of a zip or tar file, compressed or not.

        Raises:
            PathNotFound: if nothing is there.
            UsageError: for any other file.

        >>> import pathlib, shutil, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "a.txt").write_text("7")
        ...     sc.addArchive(shutil.make_archive(folder + "/packed", "zip", folder, "a.txt") + "#model")
        >>> sc.range(1).map(lambda x: pathlib.Path(SparkFiles.get("model"), "a.txt").read_text()).collect()
        ['7']
        """
        site = call_site("addArchive")
        url, _, alias = _url(path, site).partition("#")
        known = [suffix for _, suffixes, _ in shutil.get_unpack_formats() for suffix in suffixes]
        if not url.endswith((*known, ".jar")):
            raise UsageError(f"addArchive: {url} is no archive that can be unpacked: needs one of {', '.join(known)}")
        self._ship(alias or _name_of(url), "archive", self._content(url, False, site))

    @property
    def listFiles(self) -> list[str]:
        """The names of the files that `addFile` and `addPyFile` gave.

        >>> isinstance(sc.listFiles, list)
        True
        """
        return [each.name for each in self._shipped if each.kind != "archive"]

    @property
    def listArchives(self) -> list[str]:
        """The names of what `addArchive` gave.

        >>> isinstance(sc.listArchives, list)
        True
        """
        return [each.name for each in self._shipped if each.kind == "archive"]

    def stop(self) -> None:
        """End all jobs, worker processes and files of this context. Safe to call twice: what a call left undone that
        was interrupted, the next one does.

        >>> sc.stop()  # doctest: +SKIP
        """
        super().stop()
        if self._shipped and os.getpid() == self._pid:
            self._shipped = ()
            files.forget_root()

    def _ship(self, name: str, kind: Kind, content: dict[str, bytes]) -> None:
        broadcast: Broadcast[dict[str, bytes]] = self.broadcast(content)
        shipped = Shipped(name, kind, broadcast)
        files.put(shipped, SparkFiles.getRootDirectory(), broadcast.id, content)
        self._shipped = (*(each for each in self._shipped if each.name != name), shipped)

    def _content(self, url: str, recursive: bool, site: CallSite) -> dict[str, bytes]:
        name = _name_of(url)
        folder = local_path(url) if is_local(url) else ""
        if not folder or not os.path.isdir(folder):
            if folder and not os.path.exists(folder):
                raise PathNotFound(f"{site.method}: path does not exist: {folder}")
            with open_read(url, self._storage_options) as file:
                return {name: b"".join(iter(lambda: file.read(1 << 20), b""))}
        if not recursive:
            raise UsageError(f"{site.method}: {folder} is a directory: addFile(path, recursive=True) takes it all")
        found: dict[str, bytes] = {}
        for place, _, names in os.walk(folder):
            for each in names:
                path = os.path.join(place, each)
                with open(path, "rb") as opened:
                    found[os.path.join(name, os.path.relpath(path, folder))] = opened.read()
        return found


def _url(path: str | os.PathLike[str], site: CallSite) -> str:
    return text(os.fspath(path) if isinstance(path, os.PathLike) else path, site, "path").rstrip("/")


def _name_of(url: str) -> str:
    return os.path.basename(local_path(url) if is_local(url) else url)
