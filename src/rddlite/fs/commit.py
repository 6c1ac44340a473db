"""The driver's side of output: a directory appears with exactly the accepted attempts' files, or not at all.

`prepare` before any task, then either `publish` with the reports of the accepted attempts, or `abort`. Tasks write to
`_attempts` in a hidden directory beside the target, named after the job: what a dead job left is in nobody's way.
A store that renames directories shows the finished one in a single step. An object store gets copies made inside the
store, one after another, and `_SUCCESS` last: a reader there must wait for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from rddlite.base.faults import fault_point
from rddlite.errors import CommitConflict, InternalError, OutputExists, UsageError
from rddlite.fs.codecs import codec_for
from rddlite.fs.local import is_local
from rddlite.fs.paths import Options, locate
from rddlite.fs.store import Store
from rddlite.fs.writers import ATTEMPTS, WrittenPart, suffix_of

_SUCCESS = "_SUCCESS"
_LONGEST_NAME = 100  # bytes of the target's name taken into that of the staging directory


@dataclass(frozen=True, slots=True)
class Staging:
    """Output in the making: paths or URLs of the target and of the hidden directory that tasks write below."""

    target: str
    staging: str
    codec: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """An accepted file: its name below `_attempts`, and the name it will have."""

    staged: str
    final: str


class Committer(Protocol):
    """How a kind of store publishes. Paths are the store's own names."""

    def publish(self, staging: str, target: str, parts: Sequence[Part]) -> None:
        """Make `target` of the parts, with `_SUCCESS` last. Raises FileExistsError if it is there by now."""
        ...


def prepare(
    url: str, token: str, codec: str | None = None, options: Options | None = None, *, inline: bool = False
) -> Staging:
    """Make room for the output of a job. `token` names the job and its application.

    Raises:
        OutputExists: if something is at `url`.
        UsageError, UnknownFilesystem, PathUnreadable: if nothing can be written there, or for an unknown codec.
    """
    codec = codec_for(codec).name if codec else None
    if "::" in url and not is_local(url):
        raise UsageError(f"{url}: output goes to a plain path or URL, not through a chain of file systems")
    place = locate(url, options, inline=inline)
    target = place.url(place.path)
    if place.store.entry(place.path) is not None:
        raise OutputExists(f"Output directory {target} already exists: remove it, or choose another")
    return Staging(target, place.url(_make_staging(place.store, place.path, token)), codec)


def publish(staging: Staging, reports: Sequence[WrittenPart], options: Options | None = None) -> None:
    """Publish one accepted report per partition, in the order of the partitions. Cleans up after itself.

    Raises:
        OutputExists: if somebody made the target meanwhile. It is left alone, and so is what the job wrote to the
            staging directory, which the text names: do not `abort` then.
        CommitConflict: if a staged file is gone or not what was reported. Nothing is published.
    """
    target = locate(staging.target, options)
    work = locate(staging.staging, options).path
    store = target.store
    committer: Committer = RenamingCommitter(store) if store.reveals_by_rename else CopyingCommitter(store)
    try:
        parts = _accepted(store, work, staging, reports)
        committer.publish(work, target.path, parts)
    except FileExistsError as error:
        raise OutputExists(
            f"Output directory {staging.target} already exists: somebody made it while the job ran. "
            f"What the job wrote is kept in {staging.staging}"
        ) from error
    except BaseException:
        _remove(store, work)
        raise


def abort(staging: Staging, options: Options | None = None) -> None:
    """Forget a job's output: what its attempts wrote is removed as far as the store lets us."""
    place = locate(staging.staging, options)
    _remove(place.store, place.path)


class RenamingCommitter:
    """For stores that rename directories: nothing is seen of the output until one rename shows all of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, staging: str, target: str, parts: Sequence[Part]) -> None:
        store = self._store
        for part in parts:
            store.rename(f"{staging}/{ATTEMPTS}/{part.staged}", f"{staging}/{part.final}")
        fault_point("output.publish")
        _remove(store, f"{staging}/{ATTEMPTS}", f"{staging}.losers")
        store.create(f"{staging}/{_SUCCESS}").close()
        store.rename(staging, target)


class CopyingCommitter:
    """For object stores: copies inside the store, `_SUCCESS` last, then the staged files go."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, staging: str, target: str, parts: Sequence[Part]) -> None:
        store = self._store
        if store.entry(target) is not None:
            raise FileExistsError(target)
        finals, success = [f"{target}/{part.final}" for part in parts], f"{target}/{_SUCCESS}"
        try:
            store.copy_all(
                [(f"{staging}/{ATTEMPTS}/{part.staged}", final) for part, final in zip(parts, finals, strict=True)]
            )
            fault_point("output.publish")
            store.create(success).close()
        except BaseException:
            with suppress(OSError):
                store.remove_all([name for name in (success, *finals) if store.entry(name) is not None])
            raise
        _remove(store, staging)


def _remove(store: Store, path: str, aside: str | None = None) -> None:
    """Remove a tree as far as the store lets us, while attempts that were given up may still write to it."""
    with suppress(OSError):
        if store.reveals_by_rename:
            # Nobody creates files below the new name, so that the tree is empty when it has been emptied.
            store.rename(path, aside or f"{path}.removed")
            path = aside or f"{path}.removed"
        store.remove_tree(path)


def _make_staging(store: Store, target: str, token: str) -> str:
    parent, slash, name = target.rpartition("/")
    if not slash:
        raise UsageError(f"{target} names no directory inside its bucket")
    short = name.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
    wanted = f"{parent}/.{short}.rddlite-{token}"
    staging, n = wanted, 1
    while not store.make_directory(staging):
        n += 1
        staging = f"{wanted}-{n}"
    store.make_directory(f"{staging}/{ATTEMPTS}")
    return staging


def _accepted(store: Store, work: str, staging: Staging, reports: Sequence[WrittenPart]) -> list[Part]:
    """The parts to publish, each compared with what is really there."""
    if [report.partition for report in reports] != list(range(len(reports))):
        raise InternalError("output must be published with one report per partition, in their order")
    found = {entry.name: entry.size for entry in store.listing(f"{work}/{ATTEMPTS}")}
    parts = []
    for report in reports:
        name = report.path[report.path.rfind("/") + 1 :]
        if found.get(name) != report.bytes:
            state = "is gone" if name not in found else f"has {found[name]} bytes instead of {report.bytes}"
            raise CommitConflict(
                f"cannot publish {staging.target}: the staged file of partition {report.partition} "
                f"({report.path}) {state}; was it changed from outside?"
            )
        parts.append(Part(name, f"part-{report.partition:05d}{suffix_of(staging.codec)}"))
    return parts
