"""Block servers that die, stand still, or have damaged files, while their blocks are being fetched.

Time-outs are an hour where a death has to be noticed in another way, and short where silence is what is tested.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import OutOfMemory
from rddlite.net.address import parse_tcp
from rddlite.net.auth import create_keys
from rddlite.net.fetch import Fetcher
from rddlite.net.transfer import Source, Unreachable, Wanted
from rddlite.net.tries import Tries
from rddlite.shuffle.fetcher import Reach
from rddlite.shuffle.locations import MapLocation, MapTable
from rddlite.shuffle.reader import BlockLost, IndexCache, read_blocks
from rddlite.testing.faults import Faults
from tests.helpers.proxy import DOWN, UP, Proxy
from tests.helpers.serving import ServerProcess, serving
from tests.unit.shuffle.outputs import SHUFFLE, buckets, keyed, target, write

KEYS = create_keys().for_executors()
RECORDS = [(i, f"value {i}" * 20) for i in range(12_000)]
N_MAPS = 6
WINDOW = 256 << 10
"""Much less than a bucket has, so that a source always has something left to send."""


@pytest.fixture(scope="module")
def expected(outputs: Path) -> list[Any]:
    return buckets(outputs, 1, list(range(1, N_MAPS + 1)))[0]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Map outputs of one bucket each, of about 2 MB."""
    scratch = tmp_path_factory.mktemp("outputs")
    for i in range(N_MAPS):
        write(keyed(1), target(scratch, i, attempt=i + 1), [RECORDS[j : j + 500] for j in range(i, 12_000, 500)])
    return scratch


@pytest.fixture
def scratch(outputs: Path, tmp_path: Path) -> Path:
    """A copy of the outputs, to be damaged."""
    (tmp_path / "shuffle").mkdir()
    for path in (outputs / "shuffle").iterdir():
        (tmp_path / "shuffle" / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def servers(scratch: Path) -> Iterator[list[ServerProcess]]:
    with serving(scratch, KEYS, "executor 1", "executor 2") as servers:
        yield servers


@pytest.fixture
def make() -> Iterator[Callable[..., Fetcher]]:
    made: list[Fetcher] = []

    def make(timeout: float = 3600, retries: int = 1) -> Fetcher:
        made.append(Fetcher(KEYS.executors, WINDOW, timeout, retries))
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


def table(*addresses: str) -> dict[Any, MapTable]:
    """Outputs held in turn by executors 1, 2 ... at these addresses."""
    held = itertools.cycle([*enumerate(addresses, 1)])
    rows = [(i, *next(held)) for i in range(N_MAPS)]
    return {SHUFFLE: [MapLocation(ExecutorId(str(e)), "/there", AttemptId(i + 1), address) for i, e, address in rows]}


class Reading:
    """A reduce task that reads its blocks."""

    def __init__(self, fetcher: Fetcher, *addresses: str) -> None:
        self.metrics = TaskMetrics()
        reach = Reach("0", KEYS.executors.public, lambda: fetcher)
        self._frames = read_blocks(table(*addresses), SHUFFLE, 0, self.metrics, reach, indexes=IndexCache())
        self.records: list[Any] = []

    def some(self, n: int = 1) -> None:
        """Read a few frames."""
        for frame in itertools.islice(self._frames, n):
            self.records += frame.records()

    def rest(self) -> list[Any]:
        """All records, after reading what is left."""
        for frame in self._frames:
            self.records += frame.records()
        return self.records


def test_all_is_read(servers, make, expected):
    reading = Reading(make(), *(server.address for server in servers))
    assert reading.rest() == expected
    assert reading.metrics.remote_blocks_read == N_MAPS
    assert reading.metrics.remote_bytes_read == reading.metrics.shuffle_bytes_read > 10 << 20


def lost(reading: Reading) -> BlockLost:
    with pytest.raises(BlockLost) as caught:
        reading.rest()
    return caught.value


def test_a_server_that_is_killed_is_noticed_without_any_time_out(servers, make):
    fetcher = make()
    reading = Reading(fetcher, *(server.address for server in servers))
    reading.some()
    servers[1].send_signal(signal.SIGKILL)
    found = lost(reading)
    assert (found.executor, found.map_index % 2, found.attempt) == ("2", 1, found.map_index + 1)
    assert "connection refused" in found.why
    assert "tried" in found.why
    assert servers[1].address in found.why
    assert isinstance(found.__cause__, Unreachable)
    fetcher.settle()
    again = Reading(fetcher, servers[0].address)
    again.some()
    assert again.records


def test_a_server_that_was_killed_before(servers, make):
    servers[0].send_signal(signal.SIGKILL)
    found = lost(Reading(make(), *(server.address for server in servers)))
    assert (found.executor, found.map_index) == ("1", 0)
    assert "connection refused (tried 3 times in" in found.why


def test_what_came_before_its_source_died_is_used(servers, make):
    """Nobody had looked for it yet, but it was there."""
    fetcher = make()
    stream = fetcher.stream([(servers[0].source, [Wanted("shuffle-4-0-1", -2)] * 3)])
    connection = fetcher._lines.to(servers[0].source).connection
    assert connection is not None
    assert connection.socket.poll(60_000)
    servers[0].send_signal(signal.SIGKILL)
    parts = [bytes(stream.take(0).data) for _ in range(3)]
    assert parts == [parts[0]] * 3


def test_one_that_stands_still_is_tried_again_and_then_given_up(servers, make):
    reading = Reading(make(timeout=1.0, retries=1), *(server.address for server in servers))
    reading.some()
    servers[1].send_signal(signal.SIGSTOP)
    found = lost(reading)
    assert found.executor == "2"
    assert "nothing came for 1 s (tried 2 times" in found.why


def test_one_that_stands_still_for_a_while_is_waited_for(servers, make, expected):
    reading = Reading(make(), *(server.address for server in servers))
    reading.some()
    servers[1].send_signal(signal.SIGSTOP)
    timer = threading.Timer(0.5, lambda: servers[1].send_signal(signal.SIGCONT))
    timer.start()
    assert reading.rest() == expected
    timer.join()


class LaterAndLater:
    """A clock on which an hour passes whenever it is told."""

    def __init__(self) -> None:
        self.shift = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.shift


def test_who_takes_its_time_blames_nobody(servers, make, expected, monkeypatch):
    """Silence counts only while somebody waits: a reader may be busy for longer than the time-out."""
    clock = LaterAndLater()
    monkeypatch.setattr("rddlite.net.lines.time", clock)
    with Proxy(parse_tcp(servers[0].address)) as proxy:
        reading = Reading(make(timeout=600), f"tcp://{proxy.address}", servers[1].address)
        for _ in range(5):
            reading.some(3)
            clock.shift += 3600
        assert reading.rest() == expected
        assert proxy.n_accepted == 1


def test_a_broken_connection_is_taken_up_where_it_stopped(servers, make, expected):
    with Proxy(parse_tcp(servers[0].address)) as proxy:
        reading = Reading(make(retries=3), f"tcp://{proxy.address}", servers[1].address)
        for _ in range(5):
            reading.some(6)
            proxy.cut()
        assert reading.rest() == expected
        assert proxy.n_accepted > 3


def when(monkeypatch: pytest.MonkeyPatch, told: str, then: Callable[[], None]) -> None:
    """Do something as soon as a try has ended in this way."""
    before = getattr(Tries, told)

    def noted(self: Tries, *arguments: Any) -> Any:
        then()
        return before(self, *arguments)

    monkeypatch.setattr(Tries, told, noted)


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_connection_that_carries_one_way_only(servers, make, expected, monkeypatch, direction):
    with Proxy(parse_tcp(servers[0].address)) as proxy:
        reading = Reading(make(timeout=0.5, retries=20), f"tcp://{proxy.address}", servers[1].address)
        reading.some()
        proxy.hold(direction)
        when(monkeypatch, "failed", proxy.restore)
        assert reading.rest() == expected
        assert proxy.n_accepted >= 2


def test_a_connection_that_is_refused_for_a_moment(servers, make, expected, monkeypatch):
    with Proxy(parse_tcp(servers[0].address)) as proxy:
        reading = Reading(make(), f"tcp://{proxy.address}", servers[1].address)
        reading.some()
        proxy.refuse()
        when(monkeypatch, "refused", proxy.accept)
        assert reading.rest() == expected
        assert proxy.n_accepted == 2


# Damage


def data_file(scratch: Path, map_index: int) -> Path:
    return scratch / "shuffle" / f"shuffle-4-{map_index}-{map_index + 1}.data"


def flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def test_a_flipped_bit_is_found_named_and_final(scratch, servers, make):
    flip(data_file(scratch, 3), 1_000_000)
    found = lost(Reading(make(), *(server.address for server in servers)))
    assert (found.map_index, found.executor) == (3, "2")
    assert "shuffle-4-3-4" in found.why
    assert "checksum" in found.why
    assert servers[1].address in found.why


def test_a_bit_that_is_right_again_the_second_time(scratch, servers, make, expected, monkeypatch):
    """As a fault of the network or the memory would be."""
    path = data_file(scratch, 3)
    flip(path, 1_000_000)
    asked_again = Fetcher.stream

    def repaired(self: Fetcher, lists: Any, offset: int = 0) -> Any:
        if offset:
            flip(path, 1_000_000)
        return asked_again(self, lists, offset)

    monkeypatch.setattr(Fetcher, "stream", repaired)
    reading = Reading(make(), *(server.address for server in servers))
    assert reading.rest() == expected
    assert reading.metrics.remote_blocks_read == N_MAPS


def test_a_file_that_is_cut_short(scratch, servers, make):
    os.truncate(data_file(scratch, 2), 100_000)
    found = lost(Reading(make(), *(server.address for server in servers)))
    assert (found.map_index, found.executor) == (2, "1")
    assert "early" in found.why


@pytest.mark.parametrize("name", ["data", "index"])
def test_a_file_that_is_deleted(scratch, servers, make, name):
    (scratch / "shuffle" / f"shuffle-4-5-6.{name}").unlink()
    found = lost(Reading(make(), *(server.address for server in servers)))
    assert (found.map_index, found.executor) == (5, "2")
    assert "shuffle-4-5-6" in found.why


def test_files_that_go_while_they_are_read(scratch, servers, make):
    reading = Reading(make(), *(server.address for server in servers))
    reading.some()
    for path in (scratch / "shuffle").iterdir():
        path.unlink()
    found = lost(reading)
    assert "No such file" in found.why or "not here" in found.why


# Named points


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Faults]:
    with Faults(tmp_path / "faults") as armed:
        yield armed


def test_a_server_that_dies_before_it_sends(outputs, make, armed):
    armed.arm("serve.block", "kill", after=1)
    with serving(outputs, KEYS, "executor 1") as (server,):
        found = lost(Reading(make(), server.address))
        assert server.process.wait() == -signal.SIGKILL
    assert "connection refused" in found.why
    assert armed.fired("serve.block") == 1


def test_a_server_that_cannot_read_once(outputs, make, armed, expected):
    armed.arm("serve.block", "raise", after=2)
    with serving(outputs, KEYS, "executor 1") as (server,):
        assert Reading(make(), server.address).rest() == expected
    assert armed.fired("serve.block") == 1


@pytest.mark.parametrize("point", ["fetch.start", "fetch.block"])
def test_points_of_the_reader(servers, make, armed, point):
    armed.arm(point, "raise")
    with pytest.raises(OSError, match=point):
        Reading(make(), *(server.address for server in servers)).rest()
    assert armed.fired(point) == 1


def use_badly(frames: Iterator[Any]) -> None:
    for _ in frames:
        raise OutOfMemory("mine")


def test_an_error_of_who_uses_the_records_is_theirs(servers, make):
    fetcher = make()
    reach = Reach("0", KEYS.executors.public, lambda: fetcher)
    frames = read_blocks(table(servers[0].address), SHUFFLE, 0, TaskMetrics(), reach, indexes=IndexCache())
    with pytest.raises(OutOfMemory, match="mine"):
        use_badly(frames)
    frames.close()
    fetcher.settle()
    assert fetcher.in_flight == 0


def test_sources_are_told_apart_by_address(servers, make, expected):
    """An executor that came back elsewhere is another source than it was."""
    reading = Reading(make(), servers[0].address, servers[1].address, servers[0].address)
    assert reading.rest() == expected
    assert Source("a", "x") != Source("a", "y")
