"""A driver that listens, and executors that join it, by hand: when they may, when they may not, and how they end."""

from __future__ import annotations

import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.errors import AuthRefused, JobError, NoExecutors, ProviderError
from rddlite.net.auth import ExecutorKeys, create_keys, read_key_file, write_key_file
from tests.cluster.joiners import ROOT, Joiners, address
from tests.helpers.cluster import EXPECTED, MAPS, PATIENT, REDUCES, counts, wait_until
from tests.helpers.sockets import closed_port

MASTER = "rdd://127.0.0.1:0"


def test_executors_join_before_and_during_a_job(joiners: Joiners, tmp_path: Path) -> None:
    release = tmp_path / "release"
    with Context(MASTER, conf={**PATIENT, "scheduler.launchAhead": "1"}) as sc:
        assert sc.executors == []
        assert sc.defaultParallelism == 2
        first = joiners.join(sc, slots=2)
        assert dict(counts(sc).collect()) == EXPECTED

        held = sc.parallelize(range(8), 8).map(lambda i: wait_for_file(release, i))
        answer: list[list[int]] = []
        waiting = threading.Thread(target=lambda: answer.append(held.collect()))
        waiting.start()
        wait_until(lambda: len(running_on(sc, first.pid)) == 2, "two tasks run on the first executor")
        second = joiners.join(sc, slots=2)
        wait_until(lambda: len(running_on(sc, second.pid)) == 2, "the rest runs on the one that joined")
        assert sc.defaultParallelism == 4
        release.touch()
        waiting.join()
        assert answer == [list(range(8))]
    assert first.ended() == second.ended() == 0
    assert "leaves: the context was stopped" in first.log


def test_an_executor_that_joins_has_the_programs_variables(joiners: Joiners, tmp_path: Path) -> None:
    (tmp_path / "module_of_those_who_join.py").write_text("VALUE = 7\n")
    given = {"GIVEN": "1", "PYTHONHASHSEED": "7", "PYTHONPATH": str(tmp_path)}
    with Context(MASTER, conf=PATIENT, environment=given) as sc:
        joiners.join(sc)
        rdd = sc.range(1).map(lambda x: (os.environ["GIVEN"], os.environ["PYTHONHASHSEED"]))
        assert rdd.collect() == [("1", "0")]
        assert sc.range(1).map(lambda x: __import__("module_of_those_who_join").VALUE).collect() == [7]


def test_a_job_waits_for_the_first_executor(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        answer: list[int] = []
        waiting = threading.Thread(target=lambda: answer.append(sc.range(10, numSlices=2).sum()))
        waiting.start()
        joiners.join(sc)
        waiting.join()
        assert answer == [45]


def test_who_are_they(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        joiner = joiners.join(sc, slots=2, host="rack-7")
        (executor,) = sc.executors
        assert (executor.host, executor.slots, executor.pid) == ("rack-7", 2, joiner.pid)
        assert executor.id.startswith(f"{os.uname().nodename}-{joiner.pid}-")


def test_those_of_one_host_read_each_others_files(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        joiners.join(sc)
        joiners.join(sc, host="a name proves nothing")
        assert dict(counts(sc).collect()) == EXPECTED
        assert sc.jobs()[-1].remote_bytes_read == 0


def test_memory_is_what_was_said_at_its_start(joiners: Joiners) -> None:
    with Context(MASTER, conf={**PATIENT, "executor.memory": "8g"}) as sc:
        joiners.join(sc, slots=2, memory=600 << 20)
        (limit,) = sc.range(1, numSlices=1).map(lambda _: resource.getrlimit(resource.RLIMIT_DATA)[0]).collect()
        assert 300 << 20 < limit < 600 << 20


def test_one_that_was_silent_for_too_long_cannot_come_back(joiners: Joiners) -> None:
    with Context(MASTER, conf={**PATIENT, "executor.silence": "3s"}) as sc:
        joiner = joiners.join(sc)
        os.kill(joiner.pid, signal.SIGSTOP)
        wait_until(lambda: sc.executors == [], "it is given up")
        os.kill(joiner.pid, signal.SIGCONT)
        assert joiner.ended() == 1
        assert "the driver refused this executor: " in joiner.log
        joiners.join(sc)
        assert dict(counts(sc).collect()) == EXPECTED


def test_sigkill_is_noticed_long_before_the_limit_of_silence(joiners: Joiners) -> None:
    with Context(MASTER, conf={**PATIENT, "executor.grace": "100ms"}) as sc:
        joiner = joiners.join(sc)
        failed: list[JobError | NoExecutors] = []
        waiting = threading.Thread(target=lambda: failed.append(failure_of_a_long_job(sc)))
        waiting.start()
        wait_until(lambda: running_on(sc, joiner.pid), "the task runs")
        os.kill(joiner.pid, signal.SIGKILL)
        waiting.join()
        assert "its host refuses connections to its port" in str(failed[0])
        assert sc.executors == []
        joiners.join(sc)
        assert dict(counts(sc).collect()) == EXPECTED


def test_leaving_on_request_is_no_loss(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        staying, leaving = joiners.join(sc), joiners.join(sc)
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.ended() == 0
        assert "leaves: " in leaving.log
        wait_until(lambda: [each.pid for each in sc.executors] == [staying.pid], "it is gone from the list")
        assert dict(counts(sc).collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert job.attempts == MAPS + REDUCES + job.copied


def test_a_second_signal_is_obeyed_at_once(joiners: Joiners) -> None:
    with Context(MASTER, conf={**PATIENT, "executor.grace": "100ms"}) as sc:
        joiner = joiners.join(sc)
        failed: list[JobError | NoExecutors] = []
        waiting = threading.Thread(target=lambda: failed.append(failure_of_a_long_job(sc)))
        waiting.start()
        wait_until(lambda: running_on(sc, joiner.pid), "the task runs")
        joiner.process.send_signal(signal.SIGTERM)
        wait_until(lambda: [each.state for each in sc.executors] == ["draining"], "it waits for its task")
        assert joiner.process.poll() is None
        joiner.process.send_signal(signal.SIGTERM)
        assert joiner.ended() == 0
        waiting.join()
        assert "it was sent SIGTERM" in str(failed[0])


def test_jobs_that_nobody_joins_for_say_how_to_join() -> None:
    with Context(MASTER, conf={**PATIENT, "executor.grace": "100ms"}) as sc:
        with pytest.raises(NoExecutors) as caught:
            sc.range(3).count()
        assert str(caught.value).endswith(f"executors join with\n  {sc.join_command}")


def test_one_says_when_it_has_joined_and_what_is_in_its_way(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        first = joiners.join(sc)
        first.wait_says("has joined")
        assert "with 1 worker asks the driver at " in first.log
        with closed_port() as port:
            endpoint = f"tcp://127.0.0.1:{port}"
            lost = joiners.start(endpoint, address(sc)[1])
            lost.wait_says(f"has not joined yet, and goes on trying: nobody listens at {endpoint}")
        assert "has joined" not in lost.log
        lost.process.terminate()
        lost.ended()


def test_ctrl_c_is_obeyed_at_once(joiners: Joiners) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        joiner = joiners.join(sc)
        os.killpg(joiner.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
        assert joiner.ended() == 0
        assert "leaves: it was sent SIGINT" in joiner.log


def test_keys_of_another_application_open_nothing(joiners: Joiners, caplog: pytest.LogCaptureFixture) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", LISTENING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other, Context(MASTER, conf=PATIENT) as sc, caplog.at_level(logging.WARNING, "rddlite"):
        foreign_keys = other.stdout.readline().split()[-1]
        stranger = joiners.start(address(sc)[0], foreign_keys)
        stranger.wait_says("ended the handshake: does this executor have the keys of that driver?")
        wait_until(lambda: "with other keys than those of this application" in caplog.text, "the driver logs it")
        assert sc.executors == []
        joiners.join(sc)
        assert dict(counts(sc).collect()) == EXPECTED
        stranger.process.terminate()
        other.stdin.close()


def test_a_key_file_of_mixed_parts_ends_an_executor_at_once(joiners: Joiners, tmp_path: Path) -> None:
    with Context(MASTER, conf=PATIENT) as sc:
        endpoint, key_file = address(sc)
        mixed = ExecutorKeys(read_key_file(key_file).driver_public, create_keys().executors)
        write_key_file(str(tmp_path / "mixed"), mixed)
        stranger = joiners.start(endpoint, str(tmp_path / "mixed"))
        assert stranger.ended() == 1
        assert f"the driver at {endpoint} does not admit the executors' keys" in stranger.log
        assert "could not be reached" not in stranger.log  # what it says when it has tried for long enough
        assert sc.executors == []


def test_other_versions_are_refused_with_both_named(joiners: Joiners, caplog: pytest.LogCaptureFixture) -> None:
    with Context(MASTER, conf=PATIENT) as sc, caplog.at_level(logging.ERROR, "rddlite"):
        old = joiners.start(*address(sc), before="import rddlite.version; rddlite.version.__version__ = '0.0.7'")
        assert old.ended() == 1
        expected = "runs rddlite 0.0.7, the driver rddlite "
        assert expected in old.log
        assert expected in caplog.text
        assert sc.executors == []


def test_there_is_room_for_so_many(joiners: Joiners) -> None:
    with Context(MASTER, conf={**PATIENT, "cluster.maxExecutors": "1"}) as sc:
        joiners.join(sc)
        second = joiners.start(*address(sc))
        assert second.ended() == 1
        assert "there are 1 executors already: raise cluster.maxExecutors" in second.log
        assert dict(counts(sc).collect()) == EXPECTED


def test_when_the_driver_is_killed_its_executors_go(joiners: Joiners, temporary: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", LISTENING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert driver.stdout is not None
    with driver:
        words = driver.stdout.readline().split()
        joiner = joiners.start(words[-3], words[-1])
        assert driver.stdout.readline() == "joined\n"
        assert list(temporary.glob(f"rddlite-*/app-*-{joiner.pid}-*/executor/shuffle"))
        driver.kill()
    assert joiner.ended() == 1
    assert "the driver could not be reached" in joiner.log
    assert not list(temporary.glob(f"rddlite-*/app-*-{joiner.pid}-*"))
    with Context("local[1]"):
        pass  # sweeps what the driver left


def test_the_key_file(joiners: Joiners, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("left by a driver that was killed")
    with Context(MASTER, conf={**PATIENT, "auth.keyFile": str(path)}) as sc:
        assert address(sc)[1] == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        joiners.join(sc)
    assert not path.exists()


def test_a_key_file_that_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with Context(MASTER, conf={"auth.keyFile": str(path)}):
        path.write_text("mine")
        path.chmod(0o600)
    assert path.read_text() == "mine"


def test_what_cannot_be_listened_to_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="belongs to no interface of this host"):
        Context("rdd://192.0.2.1:0")
    with pytest.raises(AuthRefused, match="cannot be written"):
        Context(MASTER, conf={"auth.keyFile": str(tmp_path / "nowhere" / "keys")})
    with Context(MASTER) as sc:
        port = address(sc)[0].rpartition(":")[2]
        program = f"from rddlite import Context; Context('rdd://127.0.0.1:{port}')"
        done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
        assert done.returncode == 1
        assert "the port is in use" in done.stderr


def test_too_few_descriptors_are_told_at_the_start() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))\n"
        "from rddlite import Context; Context('rdd://127.0.0.1:0')"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "ProviderError: master 'rdd://127.0.0.1:0' with cluster.maxExecutors 1000 needs " in done.stderr
    assert "hard limit is 500: raise it" in done.stderr


@pytest.mark.parametrize(
    ("driver", "complaint"),
    [("ipc:///tmp/x", "tcp://host:port"), ("tcp://nowhere.invalid:1", "has no address"), ("tcp://1.2.3.4", "not an")],
)
def test_an_endpoint_that_is_none(joiners: Joiners, driver: str, complaint: str) -> None:
    with Context(MASTER) as sc:
        joiner = joiners.start(driver, address(sc)[1])
        assert joiner.ended() == 1
        assert complaint in joiner.log


def test_a_key_file_that_others_can_read(joiners: Joiners, tmp_path: Path) -> None:
    with Context(MASTER) as sc:
        keys = tmp_path / "keys"
        keys.write_text(Path(address(sc)[1]).read_text())
        keys.chmod(0o644)
        joiner = joiners.start(address(sc)[0], str(keys))
        assert joiner.ended() == 1
        assert "is open to others" in joiner.log


LISTENING = """
import sys
from rddlite import Context
with Context("rdd://127.0.0.1:0", conf={"executor.silence": "2s", "executor.heartbeat": "100ms"}) as sc:
    print(sc.join_command, flush=True)
    while not sc.executors and not sys.stdin.closed:
        import select
        if select.select([sys.stdin], [], [], 0.05)[0]:
            break
    print("joined", flush=True)
    sys.stdin.read()
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def running_on(sc: Context, pid: int) -> list[int]:
    """The partitions that run on the executor of this process."""
    return [task.partition for executor in sc.executors if executor.pid == pid for task in executor.running]


def wait_for_file(path: Path, value: int) -> int:
    while not path.exists():
        time.sleep(0.01)
    return value


def failure_of_a_long_job(sc: Context) -> JobError | NoExecutors:
    try:
        sc.parallelize([1], 1).foreach(lambda _: time.sleep(600))
    except (JobError, NoExecutors) as error:
        return error
    raise AssertionError("it went on to its end")
