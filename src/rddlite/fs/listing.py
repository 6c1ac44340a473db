"""Which files an input pattern means, on any store: literal paths, globs, directories read one level deep.

Knows stores only by their two listing methods. Names that start with `_` or `.` are skipped in directories and by
globs; a path that is spelled out is taken as it stands. Caller: `fs/paths.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from rddlite.errors import UsageError
from rddlite.fs.globs import compile_part, expand_braces, has_glob, unescape


class Entry(NamedTuple):
    """A file or directory of a store, by the store's own name for it."""

    path: str
    is_dir: bool
    size: int | None

    @property
    def name(self) -> str:
        return self.path[self.path.rfind("/") + 1 :]


class Lister(Protocol):
    """What listing needs of a store."""

    def entry(self, path: str) -> Entry | None:
        """The file or directory at `path`, or None."""
        ...

    def listing(self, path: str) -> list[Entry]:
        """What is in the directory `path`, sorted by name; nothing when it is none."""
        ...


def find_files(store: Lister, pattern: str) -> list[Entry] | None:
    """The files that a path or pattern means, sorted; None when nothing is there at all.

    Raises:
        UsageError: for a directory that holds directories and no file.
    """
    found = {entry.path: entry for each in expand_braces(pattern) for entry in _matches(store, each)}
    if not found:
        return None
    return [file for path in sorted(found) for file in _files_of(store, found[path])]


def is_pattern(path: str) -> bool:
    """Whether a path stands for any number of files rather than for one."""
    return has_glob(path) or len(expand_braces(path)) > 1


def _files_of(store: Lister, entry: Entry) -> list[Entry]:
    if not entry.is_dir:
        return [entry]
    seen = [each for each in store.listing(entry.path) if not _is_hidden(each)]
    files = [each for each in seen if not each.is_dir]
    if seen and not files:
        raise UsageError(
            f"Input directory {entry.path} holds only directories, and they are not read: "
            f"name them, for instance as {entry.path}/*"
        )
    return files


def _matches(store: Lister, pattern: str) -> Iterator[Entry]:
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if has_glob(part)), len(parts))
    frontier = [unescape("/".join(parts[:first]))]
    for i in range(first, len(parts)):
        is_last = i == len(parts) - 1
        if has_glob(parts[i]):
            frontier = [path for base in frontier for path in _match_part(store, base, parts[i], is_last)]
        else:
            frontier = [f"{base}/{unescape(parts[i])}" for base in frontier]
    for path in frontier:
        entry = store.entry(path or "/")
        if entry is not None:
            yield entry


def _match_part(store: Lister, base: str, part: str, is_last: bool) -> Iterator[str]:
    matches = compile_part(part).fullmatch
    for entry in store.listing(base or "/"):
        wanted = not _is_hidden(entry) if is_last else entry.is_dir
        if wanted and matches(entry.name):
            yield entry.path


def _is_hidden(entry: Entry) -> bool:
    return entry.name.startswith(("_", "."))
