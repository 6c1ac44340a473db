"""The bar's line fits the terminal, whatever is in it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import JobId, StageId
from rddlite.observe.bar import bar, bar_line, clip, display_width
from rddlite.observe.summaries import JobSummary, StageSummary


def job(job_id=3, description="collect at x.py:12", n_stages=3, seconds=4.2, **stage) -> JobSummary:
    options = {"tasks": 200, "done": 45, "running": 8, "seconds": 1.5, **stage}
    stages = (
        StageSummary(StageId(0), "map", "map at x.py:1", "done", tasks=5, done=5),
        StageSummary(StageId(1), "map", "map at x.py:2", "running", **options),
    )
    return JobSummary(JobId(job_id), description, None, "running", seconds, stages, n_stages)


def test_a_wide_line():
    line = bar_line([job(failed=1)], 120)
    assert line == (
        "job 3 collect at x.py:12  ━━━━━━────────────────────────  "
        "stage 2 of 3: 45/200 tasks, 1 failed, 8 under way, 30/s, 4.2 s"
    )


def test_ascii():
    assert "######------------------------" in bar_line([job()], 120, unicode=False)
    assert bar_line([job()], 120, unicode=False).isascii()


def test_without_a_limit_there_is_no_bar():
    assert bar_line([job()], None) == "job 3 collect at x.py:12: stage 2 of 3: 45/200 tasks, 8 under way, 30/s, 4.2 s"


def test_other_jobs_are_counted():
    assert "job 3 collect at x.py:12 (+2 more): " in bar_line([job(), job(4), job(5)], None)


def test_stages_that_run_at_once_are_added_up():
    one = job()
    both = replace(one, stages=(*one.stages, one.stages[1]), n_stages=4)
    assert "stage 2 of 4: 90/400 tasks, 16 under way" in bar_line([both], None)


def test_a_job_without_a_stage_yet():
    nothing = JobSummary(JobId(1), "count at x.py:3", None, "running", 0.7, (), 2)
    assert bar_line([nothing], None) == "job 1 count at x.py:3: stage 1 of 2: 0/0 tasks, 700 ms"


def test_slow_tasks_are_counted_by_the_minute():
    slow = replace(job(), stages=(StageSummary(StageId(0), "map", "m", "running", tasks=9, done=1, seconds=10.0),))
    assert "6.0/min" in bar_line([slow], None)


def test_what_is_least_needed_goes_first():
    lines = [bar_line([job(lost=2)], width) for width in (100, 80, 64, 50, 30)]
    assert all("45/200" in line for line in lines[:-1])
    assert ["2 lost" in line for line in lines] == [True, True, True, False, False]
    assert ["/s" in line for line in lines] == [True, True, False, False, False]


@given(
    st.text(max_size=60),
    st.integers(0, 200),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.booleans(),
)
def test_every_line_fits(description, width, done, tasks, jobs, unicode):
    line = bar_line([job(description=description, done=done, tasks=tasks)] * jobs, width, unicode=unicode)
    assert display_width(line) <= width
    assert len(line.splitlines()) <= 1


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 40))
def test_a_bar_has_its_size_and_is_full_at_the_end_only(done, total, size):
    text = bar(done, total, size, unicode=False)
    assert len(text) == size
    if size and total:
        assert ("-" not in text) == (done >= total)


def test_wide_characters_count_twice():
    assert display_width("データ") == 6
    assert display_width("e\u0301") == 1
    assert clip("データ処理", 8) == "デー..."
    assert clip("データ", 6) == "データ"
