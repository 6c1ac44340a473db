"""Connections are cut, refused, held up one way, and restored; executors that nobody here started stop and die.

One executor's connection to the driver goes through a proxy of the test's; blocks go directly.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import pytest

from rddlite import Context
from rddlite.base.ids import ExecutorId
from rddlite.driver.loop import Call
from rddlite.net import hub, monitor
from rddlite.net.messages import ReportsSeen
from rddlite.schedule.events import ExecutorLost, ExecutorSuspected, TaskEnded
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
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
from tests.helpers.eventlogs import EventLogs
from tests.helpers.joined import MASTER, Joined, JoinedCluster, joined_cluster
from tests.helpers.proxy import DOWN, UP, Direction

SOON = {**IMPATIENT, "executor.silence": "3s"}
TASKS = MAPS + REDUCES


def count_passes(faults: Faults, point: str) -> None:
    """Nobody is held there, but `fired` tells how often anybody came."""
    faults.arm(point, "hold", times=1000)
    faults.release(point)


def wait_ended_there(faults: Faults, executor: Joined) -> None:
    """Wait until its second attempt writes: then the first has ended, and its executor wants to tell. Needs
    `count_passes` of the point.
    """
    wait_until(lambda: faults.executors("map.commit").count(executor.id) >= 2, "attempts end there")


def can_be_told(sc: Context, executor: Joined) -> bool:
    """Whether the driver's hub has a connection to it; the scheduler does not hear of what is found."""
    loop, found = sc._driver._loop, SimpleQueue[bool]()
    harmless = ReportsSeen(0, 0)
    loop.post(Call(lambda: found.put(loop._transport.send(ExecutorId(executor.id), harmless))))
    return found.get(timeout=120)


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
            try:
                for _ in range(3):
                    assert answer(cluster) == EXPECTED
            finally:
                done.set()
        assert_accounted(cluster.sc)
        assert faults.fired("map.commit") == 3 * MAPS
        cluster.wait_in_touch()


def test_a_connection_is_refused_for_a_while(faults: Faults) -> None:
    """What the worker did meanwhile is told, and taken, when the connection is back."""
    count_passes(faults, "map.commit")
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def refuse() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            cluster.proxy.refuse()
            wait_until(lambda: cluster.state(cluster.far) != "alive", "the driver notices")
            faults.release("task.map", executor=cluster.far.id)
            wait_ended_there(faults, cluster.far)  # out of the driver's hearing
            cluster.proxy.accept()

        with in_the_background(refuse):
            assert answer(cluster) == EXPECTED
        job = cluster.sc.jobs()[-1]
        assert (job.attempts, job.lost) == (TASKS, 0), "nothing is computed again"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_one_way_only_for_a_while(faults: Faults, events: EventLogs, direction: Direction) -> None:
    """Held bytes arrive in the end, or are lost with their connection; outcomes are told again, and count once."""

    def told() -> Counter[int]:
        return Counter(each.attempt for each in events.of(TaskEnded) if each.executor == cluster.far.id)

    count_passes(faults, "map.commit")
    # A heartbeat that is answered before the executor registers again has nothing told again.
    conf = {**PATIENT, **NO_COPIES, "executor.heartbeat": "10min" if direction == DOWN else "50ms"}
    with joined_cluster(conf) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def hold() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            cluster.proxy.hold(direction)
            faults.release("task.map", executor=cluster.far.id)
            if direction == UP:
                wait_ended_there(faults, cluster.far)
            else:
                wait_until(told, "the driver hears how attempts ended, and cannot say so")
            cluster.proxy.cut()
            cluster.proxy.restore()

        with in_the_background(hold):
            assert answer(cluster) == EXPECTED
        assert_accounted(cluster.sc)
        assert faults.fired("map.commit") == MAPS, "nothing is computed again"
        if direction == DOWN:
            wait_until(lambda: max(told().values()) > 1, "an outcome comes for the second time")
        assert answer(cluster) == EXPECTED


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_bit_changes_on_the_way(faults: Faults, monkeypatch: pytest.MonkeyPatch, direction: Direction) -> None:
    """It cannot be decrypted: the connection ends, and what got lost with it is said again."""
    monkeypatch.setattr(monitor, "_PING_MS", 200)
    monkeypatch.setattr(monitor, "_SILENCE_MS", 1_000)
    count_passes(faults, "map.commit")
    with joined_cluster({**PATIENT, **NO_COPIES}) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def spoil() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            n_before = cluster.proxy.n_accepted
            cluster.proxy.spoil(direction, 20)
            faults.release("task.map", executor=cluster.far.id)
            wait_until(lambda: cluster.proxy.n_accepted > n_before, "it connects again")

        with in_the_background(spoil):
            assert answer(cluster) == EXPECTED
        assert cluster.proxy.n_spoiled == 1
        assert_accounted(cluster.sc)
        assert faults.fired("map.commit") == MAPS, "nothing is computed again"
        cluster.wait_alive(cluster.far)
        assert answer(cluster) == EXPECTED


@pytest.mark.parametrize("harm", ["refuse", UP, DOWN])
def test_a_connection_is_gone_for_good(faults: Faults, harm: Literal["refuse"] | Direction) -> None:
    with joined_cluster(SOON) as cluster:
        faults.arm("task.map", "hold", executor=cluster.far.id)

        def do_harm() -> None:
            faults.wait_fired("task.map", executor=cluster.far.id)
            if harm == "refuse":
                cluster.proxy.refuse()
            else:
                cluster.proxy.hold(harm)
            cluster.wait_gone(cluster.far)
            faults.release("task.map", executor=cluster.far.id)

        with in_the_background(do_harm):
            assert answer(cluster) == EXPECTED
        assert_accounted(cluster.sc)
        assert cluster.sc.jobs()[-1].lost > 0
        # Back again, it hears that nobody wants it any more, and ends.
        cluster.proxy.restore()
        cluster.proxy.accept()
        assert cluster.far.process.wait(120) is not None
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
        assert far.process.wait(120) is not None
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
        assert victim.process.wait(120) == -signal.SIGKILL
        cluster.wait_gone(victim)
    sweep()


def test_the_loss_is_noticed_by_a_launch_that_fails(events: EventLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is gone, and nobody tells the scheduler; nothing else is sent there before the next job."""
    monkeypatch.setattr(hub, "_SETTLING", 3600.0)  # the news that a connection has ended comes in an hour
    with joined_cluster({**PATIENT, "executor.heartbeat": "10s"}, n_near=2) as cluster:
        victim, summed = cluster.near[0], counts(cluster.sc)
        assert dict(summed.collect()) == EXPECTED
        victim.process.kill()
        victim.process.wait()
        wait_until(lambda: not can_be_told(cluster.sc, victim), "its connection is gone")
        assert dict(summed.collect()) == EXPECTED
        assert_accounted(cluster.sc)
        cluster.wait_gone(victim)
    assert events.of(ExecutorSuspected) == [ExecutorSuspected(ExecutorId(victim.id), "RunTasks could not be sent")]
    assert [each.executor for each in events.of(ExecutorLost)] == [victim.id]
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
        assert executor.wait(120) is not None
    keys.unlink()
    sweep()
