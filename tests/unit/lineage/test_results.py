"""The values of a group as users see them."""

from __future__ import annotations

import pickle

import pytest

from rddlite.lineage.results import ResultIterable


def test_it_can_be_iterated_again_and_again():
    values = ResultIterable([3, 1])
    assert list(values) == list(values) == [3, 1]
    assert len(values) == 2
    assert 3 in values


def test_its_data_is_a_copy():
    values = ResultIterable([1])
    values.data.append(2)
    assert values.data == [1]


def test_it_is_no_list():
    values = ResultIterable([1])
    assert values != ResultIterable([1])
    assert hash(values) is not None
    with pytest.raises(TypeError):
        values[0]


def test_it_travels():
    assert list(pickle.loads(pickle.dumps(ResultIterable([1, 2])))) == [1, 2]


def test_it_can_be_subscripted_in_annotations():
    assert ResultIterable[int] is not None
    assert repr(ResultIterable([1])) == "<ResultIterable of 1 values>"
