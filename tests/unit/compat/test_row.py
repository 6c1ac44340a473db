"""Rows are tuples with names, and stay so through pickle."""

from __future__ import annotations

import pickle

import pytest

from rddlite.compat.pyspark.row import Row


def test_values_by_name_and_by_place():
    row = Row(name="Alice", age=11)
    assert (row.name, row["age"], row[0], row[-1], len(row)) == ("Alice", 11, "Alice", 11, 2)
    assert row == ("Alice", 11)
    assert "name" in row
    assert "Alice" not in row
    assert list(row) == ["Alice", 11]
    assert repr(row) == "Row(name='Alice', age=11)"
    with pytest.raises(AttributeError, match="height"):
        _ = row.height
    with pytest.raises(KeyError, match="height"):
        _ = row["height"]
    with pytest.raises(AttributeError, match="cannot be changed"):
        row.name = "Bob"


def test_rows_made_by_a_row_of_names():
    person = Row("name", "age")
    assert person("Bob", 7) == Row(name="Bob", age=7)
    assert "name" in person
    assert repr(person) == "<Row('name', 'age')>"
    with pytest.raises(ValueError, match="3 values for 2 names"):
        person(1, 2, 3)
    with pytest.raises(ValueError, match="not both"):
        Row("a", b=1)


def test_as_a_dictionary():
    row = Row(a=1, b=Row(c=2), d=[Row(e=3)], f={"g": Row(h=4)})
    assert row.asDict() == {"a": 1, "b": Row(c=2), "d": [Row(e=3)], "f": {"g": Row(h=4)}}
    assert row.asDict(recursive=True) == {"a": 1, "b": {"c": 2}, "d": [{"e": 3}], "f": {"g": {"h": 4}}}
    with pytest.raises(TypeError, match="no names"):
        Row(1, 2).asDict()


@pytest.mark.parametrize("row", [Row(a=1, b="x"), Row(1, 2), Row()])
def test_pickled(row):
    back = pickle.loads(pickle.dumps(row))
    assert back == row
    assert repr(back) == repr(row)
    assert isinstance(back, Row)
