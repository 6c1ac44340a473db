"""Paths and URLs to stores: the only importer of fsspec, and that only when a URL asks for it.

Local paths and `file:` URLs never load it. `options` everywhere are those of `storage.options`: keyword arguments of
fsspec file systems, keyed by protocol. Reading goes through open files and `seek`: calls that fetch a range of a file
ignore the range on some stores.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from rddlite.errors import PathNotFound, UnknownFilesystem, UsageError
from rddlite.fs.codecs import codec_of
from rddlite.fs.globs import escape, split_list, unescape
from rddlite.fs.listing import Entry, find_files, is_pattern
from rddlite.fs.local import LocalFiles, is_local, local_path
from rddlite.fs.splits import FileInfo
from rddlite.fs.store import Store, path_errors

Options = Mapping[str, Mapping[str, Any]]

_RENAMING = frozenset({"hdfs", "webhdfs", "sftp", "ssh", "smb"})
_HTTP = frozenset({"http", "https"})
_LOCAL = LocalFiles()


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a store. `url` of the store's own names gives what `locate` takes again."""

    store: Store
    path: str
    prefix: str
    suffix: str

    def url(self, name: str) -> str:
        """The path or URL of something in the same store."""
        return self.prefix + name + self.suffix


def locate(path: str, options: Options | None = None, *, inline: bool = True) -> Place:
    """Where a path or URL is.

    Raises:
        UnknownFilesystem: if nothing handles the protocol; the text names the package that would.
        UsageError: for `memory://` when tasks run in other processes (`inline` is False).
    """
    if is_local(path):
        return Place(_LOCAL, local_path(path), "", "")
    protocols = [_protocol_of(link) for link in path.split("::")]
    if "memory" in protocols and not inline:
        raise UsageError(
            f"{path}: memory:// files exist only in the process that made them, and tasks run in other processes here; "
            f"use a directory, or master='inline'"
        )
    return _locate_remote(path.rstrip("/"), protocols, options or {})


def expand(paths: str, options: Options | None = None, *, inline: bool = False) -> list[FileInfo]:
    """The files that a comma list of paths, directories and globs means, in its order and sorted by name within.

    Raises:
        PathNotFound: if an element means nothing that exists.
        PathUnreadable: if a directory may not be listed.
    """
    found: list[FileInfo] = []
    for element in split_list(paths):
        place = locate(element, options, inline=inline)
        pattern = place.path if place.store.can_list else escape(place.path)
        files = find_files(place.store, pattern)
        if files is None:
            if is_pattern(pattern):
                raise PathNotFound(f"Input Pattern {place.url(pattern)} matches 0 files")
            raise PathNotFound(f"Input path does not exist: {place.url(unescape(pattern))}")
        found += [FileInfo(place.url(file.path), file.size, codec_of(file.path)) for file in files]
    return found


def open_read(path: str, options: Options | None = None) -> BinaryIO:
    """One file for reading, unbuffered, with `readinto`, `read` and `seek`.

    Raises:
        PathNotFound, PathUnreadable: with the path.
    """
    place = locate(path, options)
    return place.store.open_read(place.path)


def exists(path: str, options: Options | None = None) -> bool:
    """Whether something is at a path or URL."""
    place = locate(path, options)
    return place.store.entry(place.path) is not None


def _protocol_of(link: str) -> str:
    protocol, separator, _ = link.partition("://")
    return protocol if separator or link.isalnum() else "file"


def _locate_remote(url: str, protocols: Sequence[str], options: Options) -> Place:
    for protocol in protocols:
        _require(protocol, url)
    from fsspec.core import url_to_fs

    single = "::" not in url
    chosen = _options_of(protocols[0], options) if single else {p: _options_of(p, options) for p in protocols}
    system, name = url_to_fs(url, **chosen)
    store = RemoteFiles(system, protocols[0])
    if protocols[0] in _HTTP:
        return Place(store, url, "", "")
    # The store's name of a file is a part of its URL: what stands around it is the same for its neighbours.
    head, link, rest = url.partition("::")
    if name and head.endswith(name):
        return Place(store, name, head[: len(head) - len(name)], link + rest)
    if name and url.endswith(name):
        return Place(store, name, url[: len(url) - len(name)], "")
    return Place(store, name, f"{protocols[0]}://", link + rest)


def _options_of(protocol: str, options: Options) -> dict[str, Any]:
    # s3a is Hadoop's name for s3. A copy, as botocore changes the dictionaries that it is given.
    return copy.deepcopy(dict(options.get(protocol) or (options.get("s3") if protocol == "s3a" else None) or {}))


def _require(protocol: str, url: str) -> None:
    """Load what handles the protocol, or say what is missing."""
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise UnknownFilesystem(f"{url} needs fsspec: pip install fsspec") from error
    if protocol not in fsspec.available_protocols():
        raise UnknownFilesystem(f"no file system is known for {protocol}:// in {url}")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        hint = known_implementations.get(protocol, {}).get("err", "a package that is not installed")
        raise UnknownFilesystem(f"{protocol}:// in {url} cannot be used yet: {hint}") from error


class RemoteFiles:
    """A `Store` over an fsspec file system. What it lists is never taken from fsspec's cache of listings."""

    block_bytes = 4 << 20

    def __init__(self, system: Any, protocol: str) -> None:
        self._system = system
        self.can_list = protocol not in _HTTP
        self.reveals_by_rename = protocol in _RENAMING

    def entry(self, path: str) -> Entry | None:
        self._system.invalidate_cache()
        with path_errors(path), suppress(FileNotFoundError, NotADirectoryError):
            info = self._system.info(path)
            is_dir = info["type"] == "directory"
            return Entry(path, is_dir, None if is_dir else info["size"])
        return None

    def listing(self, path: str) -> list[Entry]:
        self._system.invalidate_cache()
        with path_errors(path), suppress(FileNotFoundError, NotADirectoryError):
            return sorted(
                Entry(info["name"].rstrip("/"), info["type"] == "directory", info["size"])
                for info in self._system.ls(path, detail=True)
                if info["name"].rstrip("/") != path  # a file lists itself, as does the marker of a directory
            )
        return []

    def open_read(self, path: str) -> BinaryIO:
        # No cache: whoever reads asks for exactly what it needs, in blocks of its own.
        with path_errors(path):
            file: Any = self._system.open(path, "rb", cache_type="none")
        if getattr(file, "fs", None) is None:
            file.fs = self._system  # an archive closes when its file system is collected
        opened: BinaryIO = file
        return opened

    def create(self, path: str) -> BinaryIO:
        with path_errors(path):
            file: BinaryIO = self._system.open(path, "wb")
            return file

    def discard(self, file: Any, path: str) -> None:
        from fsspec.spec import AbstractBufferedFile

        with suppress(OSError):
            if isinstance(file, AbstractBufferedFile):
                # Closing would complete the upload of what is there so far.
                file.discard()
                file.closed = True
            else:
                file.close()
        with suppress(OSError):
            self._system.rm_file(path)

    def make_directory(self, path: str) -> bool:
        if self.entry(path) is not None:
            return False
        if self.reveals_by_rename:
            with path_errors(path):
                self._system.makedirs(path, exist_ok=True)
        return True

    def rename(self, old: str, new: str) -> None:
        if self.entry(new) is not None:
            raise FileExistsError(f"File exists: {new}")
        self._system.mv(old, new)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        if pairs:
            self._system.copy([old for old, _ in pairs], [new for _, new in pairs])

    def remove_all(self, paths: Sequence[str]) -> None:
        if paths:
            self._system.rm(list(paths))

    def remove_tree(self, path: str) -> None:
        self._system.invalidate_cache()
        with suppress(FileNotFoundError):
            self._system.rm(path, recursive=True)
