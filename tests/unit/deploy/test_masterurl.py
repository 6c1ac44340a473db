"""Master URLs mean one thing or are refused."""

from __future__ import annotations

import pytest

from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.errors import InvalidMaster


@pytest.mark.parametrize(
    ("url", "spec"),
    [
        ("inline", ClusterSpec(True, 1, 1)),
        ("local", ClusterSpec(False, 1, 1)),
        ("local[3]", ClusterSpec(False, 3, 1)),
        ("local[*]", ClusterSpec(False, 8, 1)),
        ("local[2,4]", ClusterSpec(False, 2, 4)),
        (" local[ * , 2 ] ", ClusterSpec(False, 8, 2)),
    ],
)
def test_known_forms(url: str, spec: ClusterSpec) -> None:
    assert parse_master(url, cores=8) == spec


@pytest.mark.parametrize(
    "url",
    ["", "Local", "local[0]", "local[-1]", "local[2,0]", "local[99999]", "local[x]", "yarn", "spark://h:1", "local[2"],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidMaster):
        parse_master(url, cores=8)


def test_not_even_a_string() -> None:
    with pytest.raises(InvalidMaster, match="is a string, not int"):
        parse_master(4, cores=8)  # type: ignore[arg-type]
