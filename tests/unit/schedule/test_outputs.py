"""The table of map outputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.schedule.outputs import MapOutputs, ShuffleOutputs
from tests.helpers.scheduling import map_stage


def test_a_table_is_made_once_per_epoch_and_never_with_holes() -> None:
    outputs = ShuffleOutputs(map_stage(0, 2), 0)
    assert outputs.add(1, "a", 5)
    with pytest.raises(LookupError, match="1 of 2 map outputs are missing"):
        outputs.table()
    assert outputs.add(0, "b", 6)
    table = outputs.table()
    assert table == (("b", 6), ("a", 5))
    assert outputs.table() is table
    epoch = outputs.epoch
    outputs.lose(0)
    outputs.add(0, "a", 7)
    assert outputs.epoch > epoch
    assert outputs.table() == (("a", 7), ("a", 5))


def test_the_first_output_counts() -> None:
    outputs = ShuffleOutputs(map_stage(0, 1), 0)
    assert outputs.add(0, "a", 1)
    assert not outputs.add(0, "b", 2)
    assert outputs.table() == (("a", 1),)


def test_losing_names_what_is_lost_exactly() -> None:
    table = MapOutputs()
    table.shuffles[3] = ShuffleOutputs(map_stage(0, 2), 0)
    table.shuffles[3].add(0, "a", 1)
    assert not table.lose(3, 0, "a", 2), "another attempt"
    assert not table.lose(3, 0, "b", 1), "another executor"
    assert not table.lose(3, 1, "a", 1), "missing anyway"
    assert not table.lose(4, 0, "a", 1), "unknown"
    assert table.lose(3, 0, "a", 1)
    assert not table.lose(3, 0, "a", 1)
    table.shuffles[3].add(0, "a", 9)
    assert table.lose(3, 0, "a", None)


def test_what_was_lost_and_made_again_on_the_same_executor_is_lost_once() -> None:
    outputs = ShuffleOutputs(map_stage(0, 2), 0)
    outputs.add(0, "a", 1)
    outputs.lose(0)
    outputs.add(0, "a", 2)
    assert outputs.lose_all_of("a") == [0]
    assert outputs.lose_all_of("a") == []


def test_an_output_that_moved_counts_where_it_is_now() -> None:
    table = MapOutputs()
    outputs = table.shuffles[0] = ShuffleOutputs(map_stage(0, 2), 0)
    outputs.add(0, "a", 5)
    outputs.add(1, "a", 6)
    before, epoch = outputs.table(), outputs.epoch
    assert table.move(0, 0, "a", 5, "b")
    assert before != outputs.table() == (("b", 5), ("a", 6))
    assert outputs.epoch > epoch
    assert outputs.held_by("a") == [(1, 6)]
    assert outputs.held_by("b") == [(0, 5)]
    assert table.move(0, 0, "a", 5, "b"), "told twice"
    assert not table.move(0, 0, "a", 5, "c"), "it was not the one that counted"
    assert not table.move(0, 1, "a", 5, "b"), "another attempt"
    assert not table.move(0, 7, "a", 5, "b")
    assert not table.move(9, 0, "a", 5, "b")
    assert table.lose_executor("a") == [(0, [1])]
    assert table.lose_executor("b") == [(0, [0])]


moves = st.lists(
    st.tuples(st.sampled_from(["add", "lose", "lose executor", "move"]), st.integers(0, 4), st.sampled_from("abc")),
    max_size=40,
)


@given(moves)
def test_against_a_dictionary(steps: list[tuple[str, int, str]]) -> None:
    table, model = MapOutputs(), dict[int, tuple[str, int]]()
    outputs = table.shuffles[0] = ShuffleOutputs(map_stage(0, 5), 0)
    for attempt, (step, index, executor) in enumerate(steps):
        if step == "add":
            assert outputs.add(index, executor, attempt) == (index not in model)
            model.setdefault(index, (executor, attempt))
        elif step == "lose":
            lost = index in model and model[index][0] == executor
            assert table.lose(0, index, executor, None) == lost
            if lost:
                del model[index]
        elif step == "move":
            target = chr(ord("a") + (attempt + index) % 3)
            place = model.get(index, ("", 0))
            assert outputs.move(index, executor, place[1], target) == (place[0] == executor)
            if place[0] == executor:
                model[index] = (target, place[1])
        else:
            indices = [i for i in range(5) if model.get(i, ("", 0))[0] == executor]
            found = table.lose_executor(executor)
            assert sorted(found[0][1] if found else []) == indices
            model = {i: place for i, place in model.items() if i not in indices}
        assert outputs.n_missing == 5 - len(model)
        assert [outputs.places[i] for i in range(5)] == [model.get(i) for i in range(5)]
        assert table.is_complete(0) == (len(model) == 5)


def fingerprint(number: int) -> bytes:
    return number.to_bytes(8, "little")


def test_a_fingerprint_outlives_its_output() -> None:
    outputs = ShuffleOutputs(map_stage(0, 2), 0)
    assert not outputs.is_other(1, b""), "nothing is known"
    assert outputs.is_worthless()
    assert not outputs.is_other(1, fingerprint(5)), "the first one"
    outputs.add(1, "a", 1)
    outputs.lose(1)
    assert outputs.is_empty()
    assert not outputs.is_worthless()
    assert not outputs.is_other(1, fingerprint(5))
    assert not outputs.is_other(1, b"")
    assert outputs.is_other(1, fingerprint(6))
    assert not outputs.is_other(1, fingerprint(6)), "it is the last one now"
    assert not outputs.is_other(0, fingerprint(0))
    assert outputs.is_other(0, fingerprint(9)), "a fingerprint of zeros is one"


def test_nobody_reads_what_was_never_complete() -> None:
    outputs = ShuffleOutputs(map_stage(0, 2), 0)
    outputs.add(0, "a", 1)
    assert not outputs.was_complete
    outputs.add(1, "a", 2)
    outputs.lose(0)
    assert outputs.was_complete
    assert outputs.lose_all(7) == [1]
    assert not outputs.was_complete
    assert outputs.valid_from == 7
    assert outputs.is_empty()
    assert outputs.lose_all_of("a") == []
    assert ShuffleOutputs(map_stage(0, 0), 0).was_complete


def test_what_a_shuffle_went_into() -> None:
    table = MapOutputs()
    for shuffle, parents in ((4, (2, 3)), (3, (1,)), (2, (0, 1)), (1, (0,)), (0, ()), (5, (9,)), (6, (3, 5))):
        table.new(shuffle, map_stage(shuffle, int(shuffle != 3), parents), shuffle)
    assert table.made_from(0) == [2, 1, 4]
    assert table.made_from(1) == [2, 4], "shuffle 3 has no maps, so nothing goes through it"
    assert table.made_from(9) == [5, 6]
    assert table.made_from(4) == []


def test_what_is_new_is_not_older_than_the_last_roll_back() -> None:
    table = MapOutputs()
    table.rolled_back_at = 12
    assert table.new(0, map_stage(0, 1), 0).valid_from == 12


def test_sizes_are_one_byte_each_and_only_where_they_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = ShuffleOutputs(map_stage(0, 3), 0)
    outputs.add(1, "a", 1, bytes([7, 8]))
    outputs.add(2, "a", 2, bytes([9]))
    assert outputs.sizes == bytearray([0, 0, 7, 8, 0, 0])
    monkeypatch.setattr("rddlite.schedule.outputs.MOST_SIZES", 5)
    many = ShuffleOutputs(map_stage(0, 3), 0)
    many.add(1, "a", 1, bytes([7, 8]))
    assert many.sizes is None
