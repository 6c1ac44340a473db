"""Who holds how much, and when it is too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.executor import budget as budgets
from rddlite.executor.budget import Budget, Holder

MB = 1 << 20
LIMIT = 1050 * MB + budgets._BESIDE


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The resident size that the budget will read."""
    sizes = {"resident": 50 * MB}
    monkeypatch.setattr(budgets, "resident", lambda _: sizes["resident"])
    return sizes


def given(capacity: int | None, limit: int | None = LIMIT, scratch: str = "/nowhere") -> Budget:
    return Budget(Settings({"memory.operators": capacity}), limit, scratch)


def holder(budget: Budget, operation: str = "groupByKey") -> Holder:
    return budget.holder(operation, TaskMetrics())


def test_operators_get_a_share_of_what_is_free(process: dict[str, int]) -> None:
    assert given(None).capacity == 600 * MB
    process["resident"] = 550 * MB
    assert given(None).capacity == 300 * MB


def test_operators_get_something_however_full_the_process_is(process: dict[str, int]) -> None:
    process["resident"] = 2000 * MB
    assert given(None).capacity == LIMIT // 16


def test_the_setting_says_how_much(process: dict[str, int]) -> None:
    assert given(123).capacity == 123


def test_there_is_a_limit_where_none_was_set(process: dict[str, int]) -> None:
    budget = given(None, limit=None)
    assert 0 < budget.capacity < budget.limit


def test_one_operator_may_hold_all(process: dict[str, int]) -> None:
    mine = holder(given(100 * MB))
    mine.holds(99 * MB)
    assert not mine.is_full
    mine.holds(100 * MB)
    assert mine.is_full


def test_two_operators_share(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    mine, other = holder(budget), holder(budget)
    other.holds(60 * MB)
    mine.holds(39 * MB)
    assert not mine.is_full
    mine.holds(40 * MB)
    assert mine.is_full


def test_every_operator_has_a_least_share(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    mine, other = holder(budget), holder(budget)
    other.holds(100 * MB)
    mine.holds(24 * MB)
    assert not mine.is_full
    mine.holds(25 * MB)
    assert mine.is_full


def test_what_is_done_leaves_its_share(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    mine = holder(budget)
    with holder(budget) as other:
        other.holds(100 * MB)
    mine.holds(99 * MB)
    assert not mine.is_full


def test_guesses_are_corrected_by_what_the_process_takes(process: dict[str, int]) -> None:
    mine = holder(given(100 * MB))
    mine.holds(40 * MB)
    process["resident"] += 120 * MB
    assert mine.is_full


def test_guesses_are_never_taken_for_too_large(process: dict[str, int]) -> None:
    mine = holder(given(100 * MB))
    mine.holds(99 * MB)
    process["resident"] += 20 * MB
    assert not mine.is_full
    mine.holds(100 * MB)
    assert mine.is_full


def test_a_process_near_its_limit_makes_operators_write(process: dict[str, int]) -> None:
    mine = holder(given(600 * MB))
    mine.holds(30 * MB)
    process["resident"] = 900 * MB
    assert mine.is_full
    mine.emptied()
    mine.holds(1 * MB)
    assert not mine.is_full, "what else is there is not the operator's"


def test_what_was_freed_but_not_given_back_is_no_growth(process: dict[str, int]) -> None:
    mine = holder(given(100 * MB))
    process["resident"] += 100 * MB
    mine.holds(100 * MB)
    assert mine.is_full
    mine.emptied()
    mine.holds(99 * MB)
    assert not mine.is_full


def test_what_was_written_is_counted(process: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "spill").mkdir()
    metrics = TaskMetrics()
    budget = given(1, scratch=str(tmp_path))
    first, second = budget.holder("groupByKey", metrics), budget.holder("join", metrics)
    first.spilled(10)
    first.spilled(5, 2)
    second.spilled(1)
    assert (metrics.bytes_spilled, metrics.spill_runs, metrics.spilled_by) == (16, 4, "groupByKey; join")
    run = first.new_run()
    span = run.add_pairs([1, 2], ["a", "b"])
    assert run.read(span).columns() == ([1, 2], ["a", "b"])
    assert list((tmp_path / "spill").iterdir()) == []


def test_the_last_words_tell_what_was_held_and_the_largest_in_it(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    assert budget.last_words() == ("", "")
    mine, other = holder(budget, "groupByKey at job.py:3"), holder(budget, "join at job.py:4")
    mine.table = {"small": [1], "large": [str(i) for i in range(100_000)], "none": []}
    mine.holds(7 * MB)
    other.holds(1 * MB)
    operation, held = budget.last_words()
    assert operation == "groupByKey at job.py:3"
    assert held.startswith("it held about 7.0 MiB, of which the key 'large' has about 5.")


def test_the_last_words_tell_of_the_largest_group_that_was_handed_on(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    mine = holder(budget, "groupByKey at job.py:3")
    mine.hands_on("some", 10, 1 * MB)
    mine.hands_on("most", 2000, 9 * MB)
    mine.hands_on("few", 1, 5 * MB)
    _, held = budget.last_words()
    assert held.startswith("it handed on a group of 2,000 values, of the key 'most', that take 9.0 MiB in their file")


def test_an_operator_that_runs_out_of_memory_is_remembered(process: dict[str, int]) -> None:
    budget = given(100 * MB)
    larger = holder(budget, "groupByKey")
    larger.holds(9 * MB)
    mine = holder(budget, "join")
    mine.holds(2 * MB)
    mine.__exit__(MemoryError, MemoryError(), None)
    assert budget.last_words() == ("join", "it held about 2.0 MiB")
    budget.start_task()
    assert budget.last_words() == ("", "")


def test_a_note_says_what_the_process_is_doing(process: dict[str, int]) -> None:
    words = memoryview(bytearray(16 + 256)).cast("q")

    def note() -> str:
        return bytes(words[2:]).rstrip(b"\0").decode()

    budget = Budget(Settings({"memory.operators": 600 * MB}), 1050 * MB, "/nowhere", words)
    budget.start_task()
    budget.may_be_held_by("mapPartitions(f) at job.py:1")
    assert note() == "mapPartitions(f) at job.py:1\n"
    mine = holder(budget, "groupByKey at \N{SNOWMAN}.py:3")
    assert note() == "groupByKey at \N{SNOWMAN}.py:3\n"
    mine.table = {"hot": list(range(1000)), "cold": [1]}
    mine.holds(100 * MB)
    process["resident"] = 1000 * MB
    assert mine.is_full
    assert note().startswith(
        "groupByKey at \N{SNOWMAN}.py:3\nit held about 100.0 MiB, of which the key 'hot' has about"
    )
    budget.start_task()
    assert note() == "\n"
    holder(budget, "x" * 1000)
    assert note() == "x" * 256


class Cache:
    """Objects that cost so much to make again, of which the process holds so many bytes."""

    def __init__(self, process: dict[str, int], held: int, cost: float, *, is_read: bool = False) -> None:
        self.process, self.held, self.cost, self.is_read = process, held, cost, is_read
        self.n_calls = 0
        process["resident"] += held

    def release(self, n_bytes: int, most_cost: float) -> int:
        self.n_calls += 1
        released = min(self.held, n_bytes) if self.cost <= most_cost else 0
        self.held -= released
        if not self.is_read:
            self.process["resident"] -= released
        return released


def with_cache(cache: Cache, capacity: int | None = None) -> Budget:
    budget = Budget(Settings({"memory.operators": capacity}), LIMIT, "/nowhere", None, cache.release)
    budget.start_task()
    return budget


def test_what_is_cheap_to_make_again_goes_before_operators_write_out(process: dict[str, int]) -> None:
    cache = Cache(process, 500 * MB, 1e-9)
    mine = holder(with_cache(cache))
    assert mine.capacity == 300 * MB
    process["resident"] += 290 * MB
    mine.holds(300 * MB)
    assert not mine.is_full
    assert cache.held == 425 * MB
    assert mine.capacity == 345 * MB
    while not mine.is_full:
        mine.holds(mine.guess + 50 * MB)
        process["resident"] += 50 * MB
        assert process["resident"] < LIMIT
    assert cache.held < 50 * MB


def test_what_is_dear_to_make_again_stays_while_there_is_another_way(process: dict[str, int]) -> None:
    cache = Cache(process, 500 * MB, 1e-6)
    mine = holder(with_cache(cache))
    mine.holds(300 * MB)
    process["resident"] += 300 * MB
    assert mine.is_full
    assert cache.held == 500 * MB


def test_anything_goes_before_the_process_gets_too_large(process: dict[str, int]) -> None:
    cache = Cache(process, 500 * MB, 1e-6)
    mine = holder(with_cache(cache))
    mine.holds(MB)
    assert not mine.is_full
    process["resident"] += 420 * MB  # of something else, mostly
    mine.holds(20 * MB)
    assert not mine.is_full
    assert cache.held < 500 * MB


def test_what_the_task_reads_is_not_evicted_again_and_again(process: dict[str, int]) -> None:
    cache = Cache(process, 500 * MB, 1e-9, is_read=True)
    budget = with_cache(cache)
    for _ in range(3):
        mine = holder(budget)
        mine.holds(300 * MB)
        assert mine.is_full
        mine.close()
    assert cache.n_calls == 1
    budget.start_task()
    mine = holder(budget)
    mine.holds(300 * MB)
    assert mine.is_full
    assert cache.n_calls == 2


def test_a_given_capacity_is_what_it_is(process: dict[str, int]) -> None:
    cache = Cache(process, 500 * MB, 1e-9)
    mine = holder(with_cache(cache, 100 * MB))
    mine.holds(100 * MB)
    assert mine.is_full
    assert cache.n_calls == 0
