from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rddlite.errors import CommitConflict, InternalError, OutputExists, PathUnreadable, UsageError
from rddlite.fs.commit import Part, RenamingCommitter, Staging, abort, prepare, publish
from rddlite.fs.local import LocalFiles
from rddlite.fs.paths import RemoteFiles
from rddlite.fs.writers import ATTEMPTS, AttemptFile, WrittenPart, write_lines


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where to write: once on a file system with directories to rename, once on an object store."""
    if request.param == "local":
        yield f"{tmp_path}/out"
        return
    system = fsspec.filesystem("memory")
    yield "memory://work/out"
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def contents(url: str) -> dict[str, bytes]:
    """Every file below a directory, by its path there."""
    system, path = fsspec.url_to_fs(url)
    found = system.find(path) if system.exists(path) else []
    return {name[len(path) :].lstrip("/"): system.cat_file(name) for name in found}


def around(url: str) -> set[str]:
    """Names beside the output, hidden ones included."""
    system, path = fsspec.url_to_fs(url)
    parent = path.rpartition("/")[0]
    return {name.rpartition("/")[2] for name in system.ls(parent, detail=False)} if system.exists(parent) else set()


def write(staging: Staging, partition: int, attempt: int, *lines: str) -> WrittenPart:
    return write_lines(iter([list(lines)]), AttemptFile(staging.staging, partition, attempt, staging.codec))


def test_exactly_the_accepted_attempts_are_published(out: str) -> None:
    staging = prepare(out, "app-1", inline=True)
    first = write(staging, 0, 10, "zero")
    write(staging, 1, 11, "one, lost")
    second = write(staging, 1, 12, "one")
    write(staging, 0, 13, "zero, late")
    empty = write_lines(iter([]), AttemptFile(staging.staging, 2, 14))
    assert contents(out) == {}
    publish(staging, [first, second, empty])
    assert contents(out) == {"part-00000": b"zero\n", "part-00001": b"one\n", "part-00002": b"", "_SUCCESS": b""}
    assert around(out) == {"out"}


def test_compressed_parts_carry_the_suffix(out: str) -> None:
    staging = prepare(out, "app-1", "org.apache.hadoop.io.compress.GzipCodec", inline=True)
    publish(staging, [write(staging, 0, 1, "a")])
    assert set(contents(out)) == {"part-00000.gz", "_SUCCESS"}


def test_no_partitions_give_success_alone(out: str) -> None:
    publish(prepare(out, "app-1", inline=True), [])
    assert contents(out) == {"_SUCCESS": b""}
    assert around(out) == {"out"}


def test_existing_output_is_refused_before_anything_is_made(out: str) -> None:
    publish(prepare(out, "app-1", inline=True), [])
    with pytest.raises(OutputExists, match=r"^Output directory .*out already exists") as caught:
        prepare(out, "app-2", inline=True)
    assert isinstance(caught.value, FileExistsError)
    assert around(out) == {"out"}


def test_abort_leaves_nothing(out: str) -> None:
    staging = prepare(out, "app-1", inline=True)
    write(staging, 0, 1, "a")
    abort(staging)
    abort(staging)
    assert around(out) == set()


def test_what_a_dead_job_left_is_in_nobodys_way(out: str) -> None:
    dead = prepare(out, "app-1", inline=True)
    write(dead, 0, 1, "dead")
    for token in ("app-1", "app-2"):
        staging = prepare(out, token, inline=True)
        assert staging.staging != dead.staging
        publish(staging, [write(staging, 0, 1, token)])
        assert contents(out)["part-00000"] == f"{token}\n".encode()
        system, path = fsspec.url_to_fs(out)
        system.rm(path, recursive=True)


def test_of_two_jobs_for_one_place_the_second_is_told_and_keeps_its_files(out: str) -> None:
    one, two = prepare(out, "app-1", inline=True), prepare(out, "app-2", inline=True)
    first, second = write(one, 0, 1, "one"), write(two, 0, 2, "two")
    publish(one, [first])
    with pytest.raises(OutputExists, match=f"What the job wrote is kept in {two.staging}"):
        publish(two, [second])
    assert contents(out) == {"part-00000": b"one\n", "_SUCCESS": b""}
    assert b"two\n" in contents(two.staging).values()


@pytest.mark.parametrize("change", ["gone", "longer"])
def test_a_staged_file_that_is_not_as_reported_stops_it(out: str, change: str) -> None:
    staging = prepare(out, "app-1", inline=True)
    reports = [write(staging, i, i, "a") for i in range(3)]
    system, path = fsspec.url_to_fs(reports[1].path)
    if change == "gone":
        system.rm(path)
    else:
        system.pipe_file(path, b"half-written")
    with pytest.raises(CommitConflict, match="partition 1"):
        publish(staging, reports)
    assert around(out) == set()


def test_reports_must_be_one_for_each_partition(out: str) -> None:
    staging = prepare(out, "app-1", inline=True)
    report = write(staging, 0, 1, "a")
    with pytest.raises(InternalError):
        publish(staging, [report, replace(report, attempt=2)])


def test_an_error_while_publishing_shows_nothing(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(point: str) -> None:
        raise KeyboardInterrupt

    staging = prepare(out, "app-1", inline=True)
    report = write(staging, 0, 1, "a")
    monkeypatch.setattr("rddlite.fs.commit.fault_point", fail)
    with pytest.raises(KeyboardInterrupt):
        publish(staging, [report])
    assert contents(out) == {}
    assert around(out) == set()


class TestLocal:
    def test_directories_above_are_made(self, tmp_path: Path) -> None:
        publish(prepare(f"file://{tmp_path}/a/b/out", "app-1"), [])
        assert (tmp_path / "a" / "b" / "out" / "_SUCCESS").exists()

    def test_an_existing_file_is_output_that_exists(self, tmp_path: Path) -> None:
        (tmp_path / "out").touch()
        with pytest.raises(OutputExists):
            prepare(str(tmp_path / "out"), "app-1")

    @pytest.mark.parametrize("kind", ["file", "link", "full", "empty"])
    def test_whatever_came_in_the_way_meanwhile_is_left_alone(self, tmp_path: Path, kind: str) -> None:
        out = tmp_path / "out"
        staging = prepare(str(out), "app-1")
        if kind == "file":
            out.write_text("mine")
        elif kind == "link":
            out.symlink_to("nowhere")
        else:
            out.mkdir()
        if kind == "full":
            (out / "mine").touch()
        with pytest.raises(OutputExists):
            publish(staging, [])
        assert os.path.lexists(out)
        assert not (out / "_SUCCESS").exists()
        assert (Path(staging.staging) / "_SUCCESS").exists()

    def test_a_place_below_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="not everything above it is a directory"):
            prepare(str(tmp_path / "file" / "out"), "app-1")
        with pytest.raises(UsageError, match="not everything above it is a directory"):
            prepare(str(tmp_path / "file" / "deep" / "out"), "app-1")

    def test_a_place_without_permission_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("rddlite.fs.local.os.mkdir", refuse)
        with pytest.raises(PathUnreadable, match=f"no permission for {tmp_path}/"):
            prepare(str(tmp_path / "out"), "app-1")

    def test_a_name_as_long_as_names_can_be(self, tmp_path: Path) -> None:
        out = tmp_path / ("ü" * 127)
        publish(prepare(str(out), "application-1-job-2"), [])
        assert (out / "_SUCCESS").exists()

    def test_an_attempt_still_at_work_is_neither_seen_nor_harmed(self, tmp_path: Path) -> None:
        staging = prepare(str(tmp_path / "out"), "app-1")
        late = LocalFiles().create(f"{staging.staging}/{ATTEMPTS}/part-00000-9")
        late.write(b"late")
        publish(staging, [write(staging, 0, 1, "a")])
        late.close()
        assert contents(str(tmp_path / "out")) == {"part-00000": b"a\n", "_SUCCESS": b""}
        assert around(str(tmp_path / "out")) == {"out"}


class TestRefused:
    def test_memory_where_tasks_run_in_other_processes(self) -> None:
        with pytest.raises(UsageError, match="only in the process that made them"):
            prepare("memory://out", "app-1")

    def test_chains(self) -> None:
        with pytest.raises(UsageError, match="chain"):
            prepare("simplecache::memory://out", "app-1", inline=True)

    def test_an_unknown_codec_before_anything_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="snappy"):
            prepare(str(tmp_path / "out"), "app-1", "snappy")
        assert list(tmp_path.iterdir()) == []


class Renaming:
    """A remote file system whose `mv` renames, as that of sftp or HDFS."""

    def __init__(self) -> None:
        self.local = fsspec.filesystem("file")
        self.moves: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.local, name)

    def mv(self, old: str, new: str) -> None:
        self.moves.append((os.path.basename(old), os.path.basename(new)))
        os.rename(old, new)


def test_a_remote_store_that_renames_reveals_with_one_rename(tmp_path: Path) -> None:
    system = Renaming()
    store = RemoteFiles(system, "sftp")
    assert store.reveals_by_rename
    staging = f"{tmp_path}/.out.rddlite-1"
    assert store.make_directory(f"{staging}/{ATTEMPTS}")
    assert not store.make_directory(f"{staging}/{ATTEMPTS}")
    with store.create(f"{staging}/{ATTEMPTS}/part-00000-7") as file:
        file.write(b"a\n")
    RenamingCommitter(store).publish(staging, f"{tmp_path}/out", [Part("part-00000-7", "part-00000")])
    assert contents(f"{tmp_path}/out") == {"part-00000": b"a\n", "_SUCCESS": b""}
    assert around(f"{tmp_path}/out") == {"out"}
    assert system.moves[-1] == (".out.rddlite-1", "out")
    os.mkdir(staging)
    os.mkdir(f"{staging}/{ATTEMPTS}")
    with pytest.raises(FileExistsError):
        RenamingCommitter(store).publish(staging, f"{tmp_path}/out", [])
