"""How fast blocks travel between two processes of this machine, in the clear and encrypted, and what that costs.

    PYTHONPATH=src python -m benchmarks.micro_transfer [MB]

A server process serves a file that is in the page cache, as an executor does; this process fetches it whole, in small
buckets, and one bucket at a time. CPU seconds are those of both processes, each with libzmq's thread. The last rows
read shuffle frames, as a reduce task does: from files of this host, and fetched.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.executor.served import ServedFiles
from rddlite.net.address import LOOPBACK
from rddlite.net.auth import DriverKeys, create_keys
from rddlite.net.fetch import Fetcher
from rddlite.net.serve import BlockServer
from rddlite.net.transfer import WHOLE, ByteRange, Source, Wanted
from rddlite.serde.records import encode_pairs, frame_size
from rddlite.shuffle.fetcher import Reach
from rddlite.shuffle.format import BucketIndex, data_path, index_path
from rddlite.shuffle.locations import MapLocation
from rddlite.shuffle.reader import read_blocks

_BUCKET = 20_000
_ROUNDS = 3


def cpu_seconds() -> float:
    """Of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class ServerProcess:
    """A forked process that serves one scratch directory, and tells at its end how long it was busy."""

    def __init__(self, scratch: Path, keys: DriverKeys | None) -> None:
        self._report, report = os.pipe()
        end, self._end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._end)
            _serve(scratch, keys, report, end)
        self.address = os.read(self._report, 200).decode()

    def close(self) -> float:
        """End it; its CPU seconds since it listened."""
        os.close(self._end)
        os.waitpid(self.pid, 0)
        return float(os.read(self._report, 100))


def _serve(scratch: Path, keys: DriverKeys | None, report: int, end: int) -> None:
    size = (scratch / "blob").stat().st_size
    blocks = _Blocks(scratch, size)
    pair = keys.executors if keys is not None else None
    server = BlockServer(LOOPBACK, pair, [pair.public] if pair is not None else [], blocks.resolve)
    os.write(report, server.address.encode())
    before = cpu_seconds()
    os.read(end, 1)
    os.write(report, str(cpu_seconds() - before).encode())
    server.close()
    os._exit(0)


class _Blocks:
    """The file `blob`, whole or in buckets; and one map output."""

    def __init__(self, scratch: Path, size: int) -> None:
        self._blob = str(scratch / "blob")
        self._size = size
        self._files = ServedFiles(str(scratch))

    def resolve(self, block: str, part: int) -> ByteRange:
        if block != "blob":
            return self._files.resolve(block, part)
        if part == WHOLE:
            return ByteRange(self._blob, 0, self._size, 0)
        return ByteRange(self._blob, part * _BUCKET % (self._size - _BUCKET), _BUCKET, 0)


def take_all(fetcher: Fetcher, source: Source, wanted: list[Wanted]) -> int:
    """Fetch these parts; their bytes."""
    stream = fetcher.stream([(source, wanted)])
    size = n_done = 0
    while n_done < len(wanted):
        arrival = stream.take(0)
        size += len(arrival.data)
        n_done += arrival.is_last
    stream.close()
    return size


def write_map_output(scratch: Path, megabytes: int) -> ShuffleData:
    """One map output of one bucket, of small records."""
    block = ShuffleData(ShuffleId(0), 0, AttemptId(1))
    frame = encode_pairs(list(range(8000)), [f"value {i:020}" for i in range(8000)])
    n_frames = megabytes * 1_000_000 // frame_size(frame)
    (scratch / "shuffle").mkdir()
    with open(data_path(str(scratch), block), "wb") as file:
        for _ in range(n_frames):
            file.writelines(frame)
        length = file.tell()
    index = BucketIndex.of([length], [8000 * n_frames])
    Path(index_path(str(scratch), block)).write_bytes(index.to_bytes())
    return block


def read_frames(scratch: Path, block: ShuffleData, source: Source, reach: Reach | None) -> int:
    """Verify all frames of the map output, as a reduce task does before it unpickles them; its bytes."""
    location = MapLocation(ExecutorId("1"), str(scratch), block.attempt, source.address)
    metrics = TaskMetrics()
    for _ in read_blocks({block.shuffle: [location]}, block.shuffle, 0, metrics, reach):
        pass
    return metrics.shuffle_bytes_read


def best(work: Callable[[], int]) -> tuple[float, float]:
    """Median MB/s, and CPU seconds of this process per GB."""
    rates, costs = [], []
    for _ in range(_ROUNDS):
        started, cpu = time.perf_counter(), cpu_seconds()
        size = work()
        rates.append(size / 1e6 / (time.perf_counter() - started))
        costs.append((cpu_seconds() - cpu) / (size / 1e9))
    return statistics.median(rates), statistics.median(costs)


def measure(scratch: Path, block: ShuffleData, keys: DriverKeys | None) -> None:
    """All rows of one kind of connection."""
    name = "encrypted" if keys is not None else "in the clear"
    pair = keys.executors if keys is not None else None
    public = pair.public if pair is not None else ""
    whole = [Wanted("blob", WHOLE)]
    buckets = [Wanted("blob", i) for i in range(4000)]
    for label, work in (
        ("one large part", lambda fetcher, source: take_all(fetcher, source, whole)),
        (f"buckets of {_BUCKET // 1000} KB", lambda fetcher, source: take_all(fetcher, source, buckets)),
        ("shuffle frames, verified", lambda fetcher, source: read_frames(
            scratch, block, source, Reach("0", public, lambda: fetcher))),
    ):  # fmt: skip
        server = ServerProcess(scratch, keys)
        source = Source("server", server.address, public)
        fetcher = Fetcher(pair)
        total = 0

        def run(fetcher: Fetcher = fetcher, source: Source = source, work: Callable[..., int] = work) -> int:
            nonlocal total
            size = work(fetcher, source)
            total += size
            return size

        rate, cost = best(run)
        served = server.close() / (total / 1e9)
        fetcher.close()
        print(f"{name:13} {label:25} {rate:8.0f} MB/s   CPU s/GB: fetching {cost:.2f}, serving {served:.2f}")
    _measure_latency(scratch, name, keys)


def _measure_latency(scratch: Path, name: str, keys: DriverKeys | None) -> None:
    server = ServerProcess(scratch, keys)
    pair = keys.executors if keys is not None else None
    source = Source("server", server.address, pair.public if pair is not None else "")
    fetcher = Fetcher(pair)
    times = []
    for i in range(500):
        started = time.perf_counter()
        take_all(fetcher, source, [Wanted("blob", i)])
        times.append(time.perf_counter() - started)
    fetcher.close()
    server.close()
    median, first = statistics.median(times) * 1e6, times[0] * 1e3
    print(f"{name:13} {'one bucket at a time':25} {median:8.0f} us     the first {first:.1f} ms")


def main() -> None:
    """Print the table."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with open(scratch / "blob", "wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1_000_000))
        block = write_map_output(scratch, megabytes)
        rate, cost = best(lambda: read_frames(scratch, block, Source("", ""), None))
        print(f"{'from files':13} {'shuffle frames, verified':25} {rate:8.0f} MB/s   CPU s/GB: {cost:.2f}")
        for keys in (None, create_keys()):
            measure(scratch, block, keys)


if __name__ == "__main__":
    main()
