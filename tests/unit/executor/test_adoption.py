"""Map outputs that are copied from an executor that leaves: what could not be had is told in one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from rddlite.executor.adoption import Adopter
from rddlite.executor.descriptors import Descriptors
from rddlite.net.auth import create_keys
from rddlite.net.messages import Adopt
from rddlite.net.transfer import BlockMissing, Source, Wanted


class Fetcher:
    """Has the outputs of even map tasks."""

    def fetch_to(self, source: Source, wanted: Wanted, file: Any) -> None:
        if int(wanted.block.split("-")[2]) % 2:
            raise BlockMissing(source, 0, "it is gone")
        file.write(b"content")


def test_what_cannot_be_copied_is_told_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "shuffle").mkdir()
    adopter = Adopter("2", str(tmp_path), create_keys(), Descriptors(), lambda: pytest.fail("nothing is connected"))
    wish = Adopt("1", "tcp://one", [[7, i, 100 + i] for i in range(10)])
    with caplog.at_level(logging.WARNING):
        answer = adopter._adopted(Fetcher(), wish)  # type: ignore[arg-type]
    assert [row[1] for row in answer.outputs] == [0, 2, 4, 6, 8]
    assert len(list((tmp_path / "shuffle").iterdir())) == 10
    (line,) = caplog.messages
    assert line.startswith("5 of 10 map outputs of executor 1 could not be copied; the first was shuffle-7-1-101: ")
    assert "it is gone" in answer.why
