"""`local-cluster[n,c,m]`: executors that are hosts of their own, there from the start, replaced when they die."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.deploy import cluster
from rddlite.errors import ConfigError, ProviderError
from rddlite.net.auth import create_keys
from rddlite.testing.faults import Faults
from tests.helpers.cluster import EXPECTED, MAPS, PATIENT, REDUCES, counts, kill, wait_for_executors, wait_until


def test_words_are_counted_through_the_network() -> None:
    with Context("local-cluster[2,1,512m]", conf=PATIENT) as sc:
        assert dict(counts(sc).collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert job.remote_bytes_read > 0
        assert job.attempts == MAPS + REDUCES + job.copied


def test_all_executors_are_there_from_the_start() -> None:
    with Context("local-cluster[3,2,256m]", conf=PATIENT) as sc:
        executors = sc.executors
        assert sorted(each.host for each in executors) == [f"executor-host-{i}" for i in range(3)]
        assert [each.slots for each in executors] == [2, 2, 2]
        assert len({each.pid for each in executors}) == 3
        assert sc.defaultParallelism == 6
        assert sc.parallelize(range(6), 6).map(lambda _: os.getppid()).distinct().count() == 3, "all of them take part"


def test_memory_is_what_the_master_says() -> None:
    with Context("local-cluster[1,2,300m]", conf=PATIENT) as sc:
        assert sc.range(1, numSlices=1).map(lambda _: memory_limit()).collect()[0] < 2 * (300 << 20)
        assert sc.getConf().get("executor.memory") is None
    with Context("local-cluster[1,1,300m]", conf={"executor.memory": "300m"}):
        pass
    with pytest.raises(ConfigError, match=r"executor.memory is 1.0 GiB, but master .* says 300.0 MiB: leave"):
        Context("local-cluster[1,1,300m]", conf={"executor.memory": "1g"})


def test_nobodys_files_are_read_directly(tmp_path: Path) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, "local.dir": str(tmp_path)}) as sc:
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        assert {path.parent.parent.name for path in tmp_path.glob("*/*/*/shuffle/*.data")} == {
            "executor-0",
            "executor-1",
        }
        large = sc.parallelize([0, 1], 2).map(lambda i: bytes([i]) * (1 << 20)).collect()
        assert large == [b"\0" * (1 << 20), b"\1" * (1 << 20)]


def test_a_killed_executor_is_replaced_by_one_of_the_same_host(tmp_path: Path) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, "local.dir": str(tmp_path)}) as sc:
        first, second = wait_for_executors(sc, 2)
        host = next(each.host for each in sc.executors if each.id == first)
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        replaced = wait_for_executors(sc, 2)
        (new,) = set(replaced) - {second}
        assert new != first
        assert next(each.host for each in sc.executors if each.id == new) == host
        wait_until(lambda: not list(tmp_path.glob(f"*/*/executor-{first}")), "its files are removed")
        assert dict(counts(sc).collect()) == EXPECTED


def test_the_cause_of_a_loss_is_how_its_process_ended(faults: Faults) -> None:
    faults.arm("task.map", "kill-executor", times=100)
    conf = {**PATIENT, "executor.restarts": "1"}
    with Context("local-cluster[1,1,256m]", conf=conf) as sc, pytest.raises(Exception, match="got SIGKILL") as caught:
        counts(sc).collect()
    assert "died and were replaced 1 times (executor.restarts)" in str(caught.value)


def test_one_that_cannot_start_fails_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "sitecustomize.py"
    broken.write_text("import os, sys\nif 'rddlite.executor.main' in sys.orig_argv: os._exit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ProviderError, match="executors could not be started: its process ended with exit code 7"):
        Context("local-cluster[3,1,256m]")


def test_keys_are_on_no_command_line_and_in_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [create_keys()]
    monkeypatch.setattr(cluster, "create_keys", lambda: made[0])
    with Context("local-cluster[1,1,256m]", conf=PATIENT) as sc:
        pids = {sc.executors[0].pid, *sc.executors[0].workers}
        seen = [Path(f"/proc/{pid}/{name}").read_bytes() for pid in pids for name in ("cmdline", "environ")]
        in_task = sc.range(1, numSlices=1).map(lambda _: repr(dict(os.environ)).encode()).collect()
    for pair in (made[0].driver, made[0].executors):
        for key in (pair.public, pair.secret):
            assert not [text for text in seen + in_task if key.encode() in text]


def memory_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_DATA)[0]
