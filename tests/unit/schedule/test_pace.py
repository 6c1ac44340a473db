"""What a running attempt looks like beside the tasks of its stage that are done."""

from __future__ import annotations

import statistics

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.pace import SAMPLE, Pace, Verdict

OPTIONS = SchedulerOptions(speculation_multiplier=2.0, speculation_minimum=1.0)


def pace(*done: tuple[float, int]) -> Pace:
    """Of a stage of which tasks with these seconds and records are done."""
    found = Pace(100, 0.75)
    for seconds, records in done:
        found.add(TaskMetrics(seconds=seconds, records_read=records))
    return found


USUAL = [(1.0, 1000)] * 10


@pytest.mark.parametrize(
    ("seconds", "records", "verdict"),
    [
        (0.5, 1, Verdict.USUAL),
        (1.9, 1, Verdict.USUAL),
        (2.1, 1049, Verdict.SLOW),
        (2.1, 1051, Verdict.USUAL),
        (2.1, 2100, Verdict.SKEWED),
        (3.9, 0, Verdict.SLOW),
        (4.1, 0, Verdict.STUCK),
        (60.0, 29_000, Verdict.STUCK),
        (60.0, 31_000, Verdict.SKEWED),
        (2.1, 0, Verdict.SLOW),
    ],
)
def test_slow_is_a_matter_of_rate_and_time(seconds: float, records: int, verdict: Verdict) -> None:
    assert pace(*USUAL).judge(seconds, records, OPTIONS) is verdict


def test_nothing_is_slow_before_the_minimum() -> None:
    quick = pace(*[(0.01, 1000)] * 10)
    assert quick.judge(0.9, 0, OPTIONS) is Verdict.USUAL
    assert quick.judge(1.1, 0, OPTIONS) is Verdict.SLOW


def test_where_no_records_are_known_time_alone_counts() -> None:
    assert pace(*[(1.0, 0)] * 10).judge(2.1, 0, OPTIONS) is Verdict.SLOW
    assert pace(*[(0.0, 0)] * 10).judge(1.1, 0, OPTIONS) is Verdict.SLOW


def test_one_task_is_nothing_to_compare_with() -> None:
    assert pace((1.0, 1000)).judge(60.0, 0, OPTIONS) is Verdict.USUAL
    assert pace((1.0, 1000), (3.0, 1000)).judge(5.0, 0, OPTIONS) is Verdict.USUAL
    assert pace((1.0, 1000), (3.0, 1000)).judge(6.5, 0, OPTIONS) is Verdict.SLOW


def test_shuffled_records_count_too() -> None:
    found = Pace(10, 0.75)
    for _ in range(3):
        found.add(TaskMetrics(seconds=1.0, records_read=200, shuffle_records_read=800))
    assert found.medians() == (1000.0, 1.0, 1000)


@pytest.mark.parametrize(("n_tasks", "n_enough"), [(3, 2), (4, 3), (8, 6), (100, 75)])
def test_how_much_of_a_stage_must_be_done(n_tasks: int, n_enough: int) -> None:
    assert Pace(n_tasks, 0.75).n_enough == n_enough


def test_the_sample_of_a_large_stage_stays_small_and_like_the_whole() -> None:
    found = Pace(1_000_000, 0.75)
    everything = [1.0 + (number * 7919 % 1000) / 100 for number in range(50_000)]
    for seconds in everything:
        found.add(TaskMetrics(seconds=seconds, records_read=1000))
    assert len(found._sample) < SAMPLE
    assert found.medians()[1] == pytest.approx(statistics.median(everything), rel=0.15)
