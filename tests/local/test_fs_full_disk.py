"""A disk that is really full: a small tmpfs."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rddlite.errors import DiskFull
from rddlite.fs.commit import prepare, publish
from rddlite.fs.writers import AttemptFile, write_lines
from rddlite.storage.localdirs import create, disk_errors, open_root

pytestmark = [pytest.mark.local, pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "small", str(tmp_path)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(place: Path) -> None:
    """Use up what is left."""
    with suppress(OSError), open(place / "filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@pytest.mark.parametrize("codec", [None, "deflate"])
def test_output_that_does_not_fit_is_never_published(small: Path, codec: str | None) -> None:
    staging = prepare(f"{small}/out", "app-1", codec)
    noise = [os.urandom(100).hex() for _ in range(2000)]
    with pytest.raises(DiskFull, match=rf"no space left for {small}/\..*part-00000-1"):
        write_lines(iter([noise] * 20), AttemptFile(staging.staging, 0, 1, codec))
    # The place of the failed attempt is free again.
    report = write_lines(iter([noise]), AttemptFile(staging.staging, 0, 2, codec))
    assert not (small / "out").exists()
    publish(staging, [report])
    assert sorted(path.name[:10] for path in (small / "out").iterdir()) == ["_SUCCESS", "part-00000"]


def test_a_finished_job_needs_no_more_room(small: Path) -> None:
    staging = prepare(f"{small}/out", "app-1")
    report = write_lines(iter([["a"]]), AttemptFile(staging.staging, 0, 1))
    with suppress(OSError):
        for i in itertools.count():
            os.mkdir(small / f"inode{i}")
    with pytest.raises(DiskFull, match=str(small)):
        prepare(f"{small}/other", "app-1")
    publish(staging, [report])
    assert [path.name for path in small.iterdir() if not path.name.startswith("inode")] == ["out"]
    assert sorted(path.name for path in (small / "out").iterdir()) == ["_SUCCESS", "part-00000"]


def test_scratch(small: Path) -> None:
    scratch = create("a", str(small))
    fill(small)
    path = os.path.join(scratch.path, "data")
    with pytest.raises(DiskFull, match=path), disk_errors(path), open(path, "wb") as file:
        file.write(bytes(1 << 16))
    (small / "filler").unlink()
    scratch.release()
    assert os.listdir(open_root(str(small))) == []
