"""Results in files: who owns them when."""

from __future__ import annotations

from pathlib import Path

import pytest

from rddlite.base.ids import AttemptId
from rddlite.base.outcome import StoredResult
from rddlite.driver.results import claim, load_value
from rddlite.lineage.consumers import Count
from rddlite.serde.records import encode_object


def test_a_claimed_result_is_the_applications_and_no_longer_the_executors(tmp_path: Path) -> None:
    own = tmp_path / "executor-3" / "results"
    own.mkdir(parents=True)
    (own / "result-7").write_bytes(b"".join(encode_object(42)))
    value = claim(StoredResult(str(own / "result-7"), 5), str(own.parent), AttemptId(7))
    assert value == StoredResult(str(tmp_path / "result-7"), 5)
    assert list(own.iterdir()) == []
    assert load_value(value, Count()) == 42
    assert not (tmp_path / "result-7").exists()


def test_what_is_gone_cannot_be_claimed(tmp_path: Path) -> None:
    scratch = tmp_path / "executor-3"
    assert claim(StoredResult(str(scratch / "results" / "result-7"), 5), str(scratch), AttemptId(7)) is None


@pytest.mark.parametrize(
    "path",
    ["/{}", "{}", "{}/", "{}/results/../results/result-7", "{}/results/result-8", "{}/result-7", "\0", "{}/results/\0"],
)
def test_no_other_file_can_be_claimed(tmp_path: Path, path: str) -> None:
    scratch = tmp_path / "executor-3"
    (scratch / "results").mkdir(parents=True)
    for name in ("result-7", "results/result-7", "results/result-8"):
        (scratch / name).touch()
    assert claim(StoredResult(path.format(scratch), 5), str(scratch), AttemptId(7)) is None
    assert sorted(each.name for each in scratch.rglob("*")) == ["result-7", "result-7", "result-8", "results"]
