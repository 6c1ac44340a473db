"""Files of map outputs get their names, whatever becomes of the disk that they are written on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rddlite.shuffle.output import OutputFile


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_file_on_another_disk(tmp_path: Path, unnamed: bool, is_lost: bool) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    file = OutputFile(str(other / "data.tmp"), unnamed=unnamed)
    file.append([b"abc", b"def"], 6)
    file.flush()
    file.append([b"ghi"], 3)
    if is_lost:
        shutil.rmtree(other)
    file.move_to(str(own / "data"))
    assert (own / "data").read_bytes() == b"abcdefghi"
    assert (own / "data").is_symlink() is not is_lost
    assert file.fd == -1
    assert [each.name for each in own.iterdir()] == ["data"]


def test_a_directory_that_is_gone_with_no_other_is_an_error(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    file = OutputFile(str(own / "data.tmp"), unnamed=True)
    file.append([b"abc"], 3)
    shutil.rmtree(own)
    with pytest.raises(FileNotFoundError):
        file.move_to(str(own / "data"))
    file.close()
