"""Master URLs mean one thing or are refused."""

from __future__ import annotations

import pytest

from rddlite.deploy.masterurl import ClusterSpec, parse_master
from rddlite.errors import InvalidMaster

MB = 1 << 20


@pytest.mark.parametrize(
    ("url", "spec"),
    [
        ("inline", ClusterSpec("inline", 1, 1, 1)),
        ("local", ClusterSpec("local", 1, 1, 1)),
        ("local[3]", ClusterSpec("local", 1, 3, 1)),
        ("local[*]", ClusterSpec("local", 1, 8, 1)),
        ("local[2,4]", ClusterSpec("local", 1, 2, 4)),
        (" local[ * , 2 ] ", ClusterSpec("local", 1, 8, 2)),
        ("local-cluster[4,1,512m]", ClusterSpec("local-cluster", 4, 1, 4, memory=512 * MB)),
        ("local-cluster[2, 3, 1024]", ClusterSpec("local-cluster", 2, 3, 4, memory=1024 * MB)),
        (" local-cluster[ 1 , 1 , 1.5 GiB ]", ClusterSpec("local-cluster", 1, 1, 4, memory=1536 * MB)),
        ("rdd://127.0.0.1:0", ClusterSpec("listen", 0, 0, 4, host="127.0.0.1", port=0)),
        ("rdd://[::1]:7077", ClusterSpec("listen", 0, 0, 4, host="::1", port=7077)),
        ("rdd://*:7077", ClusterSpec("listen", 0, 0, 4, host="*", port=7077)),
        ("rdd://node-7.example.org:7077", ClusterSpec("listen", 0, 0, 4, host="node-7.example.org", port=7077)),
    ],
)
def test_known_forms(url: str, spec: ClusterSpec) -> None:
    assert parse_master(url, cores=8) == spec


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", r"rdd://host:port"),
        ("Local", r"local-cluster\[executors,cores,memory\]"),
        ("local[0]", "asks for 0 workers"),
        ("local[-1]", "cannot read"),
        ("local[2,0]", "at least 1 attempt"),
        ("local[99999]", "1 to 4096"),
        ("local[x]", "cannot read"),
        ("yarn", r"local\[\*\]"),
        ("spark://h:1", r"rdd://host:port"),
        ("local[2", "cannot read"),
        ("local-cluster", "cannot read"),
        ("local-cluster[2,1]", "cannot read"),
        ("local-cluster[2,1,1g,4]", "cannot read"),
        ("local-cluster[*,1,1g]", "whole numbers"),
        ("local-cluster[0,1,1g]", "asks for 0 executors"),
        ("local-cluster[9999,1,1g]", "1 to 1024"),
        ("local-cluster[1,0,1g]", "asks for 0 workers in each"),
        ("local-cluster[1,1,lots]", "memory of an executor is not a size in bytes: 'lots'"),
        ("local-cluster[1,1,]", "not a size"),
        ("local-cluster[1,8,256m]", r"each of 8 workers 32.0 MiB .* at least 64.0 MiB"),
        ("rdd://", "cannot read"),
        ("rdd://host", "cannot read"),
        ("rdd://host:port", "cannot read"),
        ("rdd://::1:7077", "cannot read"),
        ("rdd://:7077", "cannot read"),
        ("rdd://host:70777", "ports end at 65535"),
    ],
)
def test_everything_else_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(InvalidMaster, match=complaint):
        parse_master(url, cores=8)


def test_not_even_a_string() -> None:
    with pytest.raises(InvalidMaster, match="is a string, not int"):
        parse_master(4, cores=8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["yarn", "yarn-client", "spark://host:7077", "k8s://https://host:443", "mesos://host:5050", "sc://host"]
)
def test_clusters_of_sparks_name_what_to_use(url):
    with pytest.raises(InvalidMaster, match=r"is a cluster of Spark's, which rddlite does not use: .*rdd://host:port"):
        parse_master(url, 2)
