"""Connections are cut, refused, held up one way, and restored; executors that nobody here started stop and die.

One executor's connection to the driver goes through a proxy of the test's; blocks go directly.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.testing.faults import Faults
from tests.helpers.cluster import (
    EXPECTED,
    IMPATIENT,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    assert_accounted,
    assert_saved,
    counts,
    wait_until,
)
from tests.helpers.joined import MASTER, JoinedCluster, joined_cluster
from tests.helpers.proxy import DOWN, UP

SOON = {**IMPATIENT, "executor.silence": "1s"}
TASKS = MAPS + REDUCES


@contextmanager
def in_the_background(work: Callable[[], None]) -> Iterator[None]:
    """`work` goes on in a thread, and is over at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # shown by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    assert not failures, failures


def count_passes(faults: Faults, point: str) -> None:
    """Nobody is held there, but `fired` tells how often anybody came."""
    faults.arm(point, "hold", times=1000)
    faults.release(point)


def sweep() -> None:
    """Any start removes the scratch directories whose owners are dead."""
    with Context("inline"):
        pass


def answer(cluster: JoinedCluster) -> dict[str, int]:
    return dict(counts(cluster.sc).collect())


@pytest.mark.parametrize("point", ["task.map", "task.reduce"])
def test_a_connection_is_cut_and_comes_back(faults: Faults, point: str) -> None:
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        faults.arm(point, "hold", executor=cluster.far.id)

        def cut() -> None:
            faults.wait_fired(point, executor=cluster.far.id)
            n_before = cluster.proxy.n_accepted
            cluster.proxy.cut()
            wait_until(lambda: cluster.proxy.n_accepted > n_before, "it connects again")
            cluster.wait_alive(cluster.far)
            faults.release(point, executor=cluster.far.id)

        with in_the_background(cut):
            assert answer(cluster) == EXPECTED
        job = cluster.sc.jobs()[-1]
        assert (job.attempts, job.lost) == (TASKS, 0), "nothing is computed again"


def test_a_connection_is_cut_again_and_again(faults: Faults) -> None:
    """Launches get lost and are sent anew; what was done is never done again."""
    count_passes(faults, "map.commit")
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        done = threading.Event()

        def cut() -> None:
            while not done.is_set():
                for _ in range(2):  # once when all is well, once in the middle of connecting
                    n_before = cluster.proxy.n_accepted
                    cluster.proxy.cut()
                    wait_until(lambda n=n_before: cluster.proxy.n_accepted > n, "it connects again")
                cluster.wait_alive(cluster.far)

        with in_the_background(cut):
            for _ in range(3):
                assert answer(cluster) == EXPECTED
            done.set()
        assert_accounted(cluster.sc)
        assert faults.fired("map.commit") == 3 * MAPS
        cluster.wait_in_touch()


def test_a_connection_is_refused_for_a_while(faults: Faults) -> None:
    """What the worker did meanwhile is told, and taken, when the connection is back."""
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def refuse() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            cluster.proxy.refuse()
            wait_until(lambda: cluster.state(cluster.far) != "alive", "the driver notices")
            faults.release("task.map", executor=cluster.far.id)
            time.sleep(0.3)  # attempts end out of the driver's hearing, and new connections are refused
            cluster.proxy.accept()

        with in_the_background(refuse):
            assert answer(cluster) == EXPECTED
        job = cluster.sc.jobs()[-1]
        assert (job.attempts, job.lost) == (TASKS, 0), "nothing is computed again"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_one_way_only_for_a_while(faults: Faults, direction: str) -> None:
    """Held bytes arrive in the end, or are lost with their connection; outcomes are told again, and count once."""
    count_passes(faults, "map.commit")
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def hold() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            cluster.proxy.hold(UP if direction == "up" else DOWN)
            faults.release("task.map", executor=cluster.far.id)
            time.sleep(0.5)  # reports, or what the driver says to them, do not get through
            cluster.proxy.cut()
            cluster.proxy.restore()

        with in_the_background(hold):
            assert answer(cluster) == EXPECTED
        assert_accounted(cluster.sc)
        assert faults.fired("map.commit") == MAPS, "nothing is computed again"
        assert answer(cluster) == EXPECTED


@pytest.mark.parametrize("harm", ["refuse", "up", "down"])
def test_a_connection_is_gone_for_good(faults: Faults, harm: str) -> None:
    with joined_cluster(SOON) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def do_harm() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            if harm == "refuse":
                cluster.proxy.refuse()
            else:
                cluster.proxy.hold(UP if harm == "up" else DOWN)
            cluster.wait_gone(cluster.far)
            faults.release("task.map", executor=cluster.far.id)

        with in_the_background(do_harm):
            assert answer(cluster) == EXPECTED
        assert_accounted(cluster.sc)
        assert cluster.sc.jobs()[-1].lost > 0
        # Back again, it hears that nobody wants it any more, and ends.
        cluster.proxy.restore()
        cluster.proxy.accept()
        assert cluster.far.process.wait(30) is not None
        assert answer(cluster) == EXPECTED
        job = cluster.sc.jobs()[-1]
        assert job.attempts == TASKS + job.copied


def test_a_stopped_executor_wakes_after_it_was_given_up(faults: Faults, tmp_path: Path) -> None:
    """Its worker wrote its part of the output meanwhile, and wants to report."""
    target = tmp_path / "there" / "out"
    target.parent.mkdir()
    with joined_cluster(SOON) as cluster:
        far = cluster.far
        faults.arm("output.write", "hold", executor=far.id)

        def stop() -> None:
            faults.wait_fired("output.write", executor=far.id)
            far.stop()
            cluster.wait_gone(far)

        with in_the_background(stop):
            counts(cluster.sc).map(lambda count: f"{count[0]} {count[1]}").saveAsTextFile(target)
        assert_accounted(cluster.sc)
        assert_saved(target, EXPECTED, REDUCES)
        faults.release("output.write", executor=far.id)
        far.go_on()
        assert far.process.wait(30) is not None
        assert_saved(target, EXPECTED, REDUCES)
        assert answer(cluster) == EXPECTED


@pytest.mark.parametrize("point", ["task.map", "map.commit", "task.reduce"])
def test_an_executor_that_nobody_here_started_is_killed(faults: Faults, point: str) -> None:
    """The silence limit is an hour: that its port refuses connections is the proof. Its files go when the next one of
    its host starts.
    """
    with joined_cluster(PATIENT, n_near=2) as cluster:
        victim = cluster.near[0]
        faults.arm(point, "kill-executor", executor=victim.id)
        assert answer(cluster) == EXPECTED
        assert_accounted(cluster.sc)
        assert victim.process.wait(30) == -signal.SIGKILL
        cluster.wait_gone(victim)
    sweep()


PROGRAM = """
import os, sys, time
from operator import add
from rddlite import Context

sc = Context("MASTER", conf={"executor.heartbeat": "50ms", "executor.silence": "1s", "auth.keyFile": sys.argv[1]})
print(sc.join_command, flush=True)
while len(sc.executors) < 2:
    time.sleep(0.01)
assert sc.range(2000, numSlices=6).map(lambda x: (x % 7, x)).reduceByKey(add, 3).count() == 7
print("ready", flush=True)
sc.parallelize(range(6), 6).foreach(lambda _: time.sleep(600))
"""


def test_a_listening_driver_is_killed(tmp_path: Path, temporary: Path) -> None:
    """Executors that it did not start stop their tasks, remove their files, and end. Its own files go when the next
    driver starts.
    """
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": os.pathsep.join(sys.path)}
    keys = temporary / "keys"
    driver = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("MASTER", MASTER), str(keys)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with driver:
        assert driver.stdout is not None
        command = [sys.executable, "-m", *driver.stdout.readline().decode().split(), "--slots", "1"]
        executors = [
            subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        assert driver.stdout.readline() == b"ready\n"
        driver.kill()
    for executor in executors:
        assert executor.wait(30) is not None
    keys.unlink()
    sweep()
