"""What fingerprints add to the writing of map outputs, as a ratio.

    PYTHONHASHSEED=0 PYTHONPATH=src python -m benchmarks.micro_fingerprint [--records 2000000] [--repeat 5]

The same records are written by the same writer with and without a fingerprint, in turn, in this process, with the
garbage collector off; the best CPU times are compared. `--hashes` shows what one more hash per record would cost.
"""

from __future__ import annotations

import argparse
import gc
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleData, ShuffleId
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import HashPartitioner, Partitioner, RangePartitioner, RoundRobin
from rddlite.serde.compress import Buffer
from rddlite.serde.hashing import stable_hashes
from rddlite.shuffle import writer
from rddlite.shuffle.fingerprint import Fingerprint

BATCH = 4096
BUCKETS = 64


class NoFingerprint:
    """Stands for `Fingerprint` and does nothing."""

    n_marks = 0

    def __init__(self, partitioner: Partitioner, map_index: int) -> None:
        pass

    def took(self, keys: list[Any]) -> None:
        """Nothing."""

    def samples(self, bucket: int) -> bool:
        """Never."""
        return False

    def framed(self, bucket: int, frame: Sequence[Buffer]) -> None:
        """Nothing."""

    def digest(self, counts: Sequence[int]) -> bytes:
        """Nothing."""
        return b""


class HashOfEach(NoFingerprint):
    """The sum of all whole hashes."""

    def __init__(self, partitioner: Partitioner, map_index: int) -> None:
        self.sum = 0

    def took(self, keys: list[Any]) -> None:
        """Hash them once more."""
        self.sum += sum(stable_hashes(keys))


def seconds(kind: type, partitioner: Partitioner, records: Sequence[Any] | dict[Any, Any], scratch: Path) -> float:
    """CPU time of one write."""
    writer.Fingerprint = kind  # type: ignore[misc]
    (scratch / "shuffle").mkdir()
    dep = ShuffleDependency(None, partitioner, shuffle_id=ShuffleId(0))
    target = writer.MapTarget(str(scratch), ShuffleData(ShuffleId(0), 0, AttemptId(0)), ExecutorId("0"))
    table = dict(records) if isinstance(records, dict) else None
    start = time.process_time()
    with writer.BucketWriter(dep, target, 0) as bucket_writer:
        if table is not None:
            bucket_writer.add_table(table)
        else:
            for at in range(0, len(records), BATCH):
                bucket_writer.add(records[at : at + BATCH])  # type: ignore[index]
        bucket_writer.commit()
    taken = time.process_time() - start
    shutil.rmtree(scratch / "shuffle")
    return taken


def cases(records: int) -> Iterable[tuple[str, Partitioner, Any]]:
    """Name, partitioner, records."""
    numbers = random.Random(7)
    ints = [numbers.randrange(records // 2) for _ in range(records)]
    words = [f"key-{number}" for number in ints]
    by_hash = HashPartitioner(BUCKETS)
    yield "grouped, integers", by_hash, [(key, i) for i, key in enumerate(ints)]
    yield "grouped, words", by_hash, [(key, i) for i, key in enumerate(words)]
    yield "grouped, pairs of words", by_hash, [((key, "x"), i) for i, key in enumerate(words)]
    yield "combined, words", by_hash, {f"key-{i}": i for i in range(records)}
    bounds = sorted(numbers.sample(words, BUCKETS - 1))
    yield "sorted, words", RangePartitioner(BUCKETS, bounds, True, None), [(key, i) for i, key in enumerate(words)]
    yield "repartitioned", RoundRobin(BUCKETS), words


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--hashes", action="store_true")
    options = parser.parse_args()
    kinds: list[type] = [NoFingerprint, Fingerprint, *([HashOfEach] if options.hashes else [])]
    gc.disable()
    print(f"Python {sys.version.split()[0]}, {options.records} records, nanoseconds a record and ratios")
    print(f"{'':26} {'without':>9} {'with':>15}" + (f" {'a hash of each':>15}" if options.hashes else ""))
    with tempfile.TemporaryDirectory() as directory:
        for name, partitioner, records in cases(options.records):
            best = dict.fromkeys(kinds, float("inf"))
            for _ in range(options.repeat):
                for kind in (*kinds, *reversed(kinds)):
                    best[kind] = min(best[kind], seconds(kind, partitioner, records, Path(directory)))
            without, *others = (best[kind] / options.records * 1e9 for kind in kinds)
            row = "".join(f" {each:7.1f} {each / without:7.3f}" for each in others)
            print(f"{name:26} {without:9.1f}{row}", flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
