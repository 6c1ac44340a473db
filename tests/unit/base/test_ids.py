"""Block names are the only names bytes are asked for by: printing and parsing are inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, ShuffleData, ShuffleId, TaskResult, parse_block

NUMBER = st.integers(0, 2**40)


@given(NUMBER, NUMBER, NUMBER)
def test_shuffle_blocks_round_trip(shuffle: int, map_index: int, attempt: int) -> None:
    block = ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt))
    assert parse_block(str(block)) == block


@given(NUMBER)
def test_results_round_trip(attempt: int) -> None:
    assert parse_block(str(TaskResult(AttemptId(attempt)))) == TaskResult(AttemptId(attempt))


@pytest.mark.parametrize(
    "text",
    ["", "shuffle", "shuffle-1-2", "shuffle-1-2-3-4", "result-", "result--1", "result-01", "../etc/passwd", "x-1"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a block name"):
        parse_block(text)
