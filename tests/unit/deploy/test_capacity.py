"""Which clusters a machine can hold, and which it is warned of."""

from __future__ import annotations

import logging
import re

import pytest

from rddlite.deploy import capacity
from rddlite.deploy.capacity import Machine, doubts, most_tasks, require_room, what_lacks
from rddlite.deploy.masterurl import ClusterSpec
from rddlite.errors import ProviderError

MB = 1 << 20
LAPTOP = Machine(cores=4, memory=16 << 30, tasks=30_000)


def cluster(executors: int, slots: int, memory: int) -> ClusterSpec:
    return ClusterSpec("local-cluster", executors, slots, 4, memory=memory * MB)


@pytest.mark.parametrize(
    "spec", [cluster(1, 1, 64), cluster(2, 1, 512), cluster(16, 4, 256), cluster(1, 64, 16 << 10), cluster(64, 1, 256)]
)
def test_what_fits_is_not_talked_about(spec: ClusterSpec) -> None:
    assert what_lacks(spec, LAPTOP) is None
    assert list(doubts(spec, LAPTOP)) == []


def test_what_makes_no_sense_is_warned_of() -> None:
    assert what_lacks(cluster(1000, 1, 256), LAPTOP) is None
    many, promises = doubts(cluster(1000, 1, 256), LAPTOP)
    assert "starts 1000 workers in 1000 executors on 4 cores" in many
    assert "fewer executors or cores" in many
    assert "promises 250.0 GiB of memory in all, and this machine has 16.0 GiB" in promises
    assert "name less memory" in promises
    (many,) = doubts(cluster(1, 65, 8192), LAPTOP)
    assert "starts 65 workers" in many
    (promises,) = doubts(cluster(2, 1, (8 << 10) + 1), LAPTOP)
    assert "promises 16.0 GiB" in promises


@pytest.mark.parametrize(
    ("machine", "complaint"),
    [
        (Machine(4, 1 << 30, None), r"needs 11\.7 GiB of memory before anything runs, and this .* has 1\.0 GiB: use"),
        (Machine(4, 16 << 30, 4000), r"needs at least 9000 processes and threads, and 4000 are .*: use fewer .*ulimit"),
    ],
)
def test_what_surely_does_not_fit_is_refused_with_what_to_do(machine: Machine, complaint: str) -> None:
    lack = what_lacks(cluster(1000, 1, 256), machine)
    assert lack is not None
    assert re.match(complaint, lack)


def test_no_limit_lacks_nothing() -> None:
    assert what_lacks(cluster(1000, 1, 256), Machine(1, 16 << 30, None)) is None


def test_the_master_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(capacity, "usable_cores", lambda: 1)
    monkeypatch.setattr(capacity, "usable_memory", lambda: 1 << 30)
    with caplog.at_level(logging.WARNING, "rddlite"):
        require_room(cluster(20, 1, 64), "local-cluster[20,1,64m]")
    assert caplog.messages[0].startswith(
        "master 'local-cluster[20,1,64m]' starts 20 workers in 20 executors on 1 cores"
    )
    with pytest.raises(ProviderError, match=r"^master 'local-cluster\[200,1,64m\]' needs 2\.\d GiB of memory"):
        require_room(cluster(200, 1, 64), "local-cluster[200,1,64m]")


@pytest.mark.parametrize(
    ("limits", "user", "expected"), [((10, 20), 1000, 20), ((20, 20), 0, None), ((-1, -1), 1000, None)]
)
def test_the_hard_limit_of_processes_counts_and_none_for_root(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], user: int, expected: int | None
) -> None:
    monkeypatch.setattr(capacity.resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(capacity.os, "geteuid", lambda: user)
    found = most_tasks()
    assert found == expected if expected else found is None or found > 1000


def test_the_soft_limit_of_processes_is_raised_where_it_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(capacity.resource, "getrlimit", lambda _: (100, 5000))
    monkeypatch.setattr(capacity.resource, "setrlimit", lambda _, limits: raised.append(limits))
    monkeypatch.setattr(capacity, "usable_memory", lambda: 16 << 30)
    require_room(cluster(1, 1, 64), "small")
    assert raised == []
    require_room(cluster(20, 1, 64), "large")
    assert raised == [(5000, 5000)]


def test_this_machine_has_limits_that_can_be_read() -> None:
    found = most_tasks()
    assert found is None or found > 0
