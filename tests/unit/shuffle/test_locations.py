"""Tables of map outputs survive their journey, and take a few bytes per map partition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.shuffle.locations import MapLocation, decode_tables, encode_tables

locations = st.builds(
    MapLocation,
    executor=st.sampled_from(["0", "1", "17"]),
    scratch=st.sampled_from(["/tmp/a", "/tmp/größer", ""]),
    attempt=st.one_of(st.integers(0, 300), st.integers(0, 1 << 62)),
    address=st.sampled_from(["", "tcp://127.0.0.1:1", "tcp://[::1]:65535"]),
    token=st.sampled_from(["", "0123456789abcdef"]),
)
tables = st.dictionaries(st.integers(0, 1 << 40), st.lists(locations, max_size=30), max_size=5)


@given(tables)
def test_round_trip(given_tables):
    assert decode_tables(encode_tables(given_tables)) == given_tables


def location(executor: int, attempt: int) -> MapLocation:
    address = f"tcp://10.0.0.{executor}:40000"
    return MapLocation(ExecutorId(str(executor)), f"/scratch/{executor}", AttemptId(attempt), address, "t" * 32)


def test_locations_have_names():
    (found,) = decode_tables(encode_tables({ShuffleId(0): [location(3, 9)]}))[ShuffleId(0)]
    assert (found.executor, found.scratch, found.attempt) == ("3", "/scratch/3", 9)
    assert (found.address, found.token) == ("tcp://10.0.0.3:40000", "t" * 32)


def test_an_executor_that_moved_is_another_place():
    old = location(3, 9)
    new = old._replace(address="tcp://10.0.0.3:40001", attempt=AttemptId(10))
    assert decode_tables(encode_tables({ShuffleId(0): [old, new]}))[ShuffleId(0)] == [old, new]


def test_many_executors():
    table = [location(i, i) for i in range(1000)]
    assert decode_tables(encode_tables({ShuffleId(0): table})) == {0: table}


def test_a_large_table_takes_few_bytes_per_output():
    table = [location(i % 50, 1_000_000 + i) for i in range(10_000)]
    assert len(encode_tables({ShuffleId(7): table})) < 3 * 10_000 + 50 * 100
