"""Tables of map outputs survive their journey, and take a few bytes per map partition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.shuffle.locations import decode_tables, encode_tables

places = st.tuples(st.sampled_from(["0", "1", "17"]), st.sampled_from(["/tmp/a", "/tmp/größer", ""]))
attempts = st.one_of(st.integers(0, 300), st.integers(0, 1 << 62))
tables = st.dictionaries(
    st.integers(0, 1 << 40),
    st.lists(st.tuples(places, attempts).map(lambda row: (*row[0], row[1])), max_size=30),
    max_size=5,
)


@given(tables)
def test_round_trip(given_tables):
    assert decode_tables(encode_tables(given_tables)) == given_tables


def test_locations_have_names():
    (location,) = decode_tables(encode_tables({ShuffleId(0): [(ExecutorId("3"), "/s", AttemptId(9))]}))[ShuffleId(0)]
    assert (location.executor, location.scratch, location.attempt) == ("3", "/s", 9)


def test_many_executors():
    table = [(ExecutorId(str(i)), f"/scratch/{i}", AttemptId(i)) for i in range(1000)]
    assert decode_tables(encode_tables({ShuffleId(0): table})) == {0: table}


def test_a_large_table_takes_few_bytes_per_output():
    table = [(ExecutorId(str(i % 50)), f"/scratch/{i % 50}", AttemptId(1_000_000 + i)) for i in range(10_000)]
    assert len(encode_tables({ShuffleId(7): table})) < 3 * 10_000 + 2_000
