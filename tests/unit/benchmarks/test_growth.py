"""Growth is judged by the time per record, against the smallest size."""

from __future__ import annotations

import pytest

from benchmarks import growth
from benchmarks.ratios import Result


def results(*walls: float) -> list[Result]:
    """Each twice as large as the one before."""
    return [Result("join", "local[2]", 1000 << i, wall, wall, 1, 1) for i, wall in enumerate(walls)]


def test_deviations_are_of_the_time_per_record() -> None:
    assert growth.deviations(results(1, 2, 4.4), "wall") == pytest.approx([0, 0, 0.1])


@pytest.mark.parametrize(("walls", "linear"), [((1, 2, 4), True), ((1, 1.5, 2), True), ((1, 2.2, 4.7), False)])
def test_only_more_per_record_is_too_much(walls: tuple[float, ...], linear: bool) -> None:
    assert growth.is_linear(results(*walls)) is linear


def test_the_table_has_a_line_for_each_size() -> None:
    lines = growth.table({"join": results(1, 2.2)}).splitlines()
    assert len(lines) == 4
    assert lines[-1].endswith("| +10% | +10% |")
