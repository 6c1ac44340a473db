"""Rounds of large map outputs, each written over the files of an earlier one, while workers die."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import pytest

from rddlite import Context, TaskContext
from rddlite.testing.faults import Faults
from tests.helpers.cluster import assert_accounted, wait_until

ROUNDS, N_BLOCKS, SIZE = 5, 8, 600_000


def older(block: tuple[int, bytearray]) -> tuple[int, bytearray]:
    """The block with one more byte changed, for the other partition."""
    number, content = block
    content[number % SIZE] += 1
    return number * 5 + 1, content


def aged(sc: Context) -> list[tuple[int, bytes]]:
    blocks = sc.range(N_BLOCKS, numSlices=2).map(lambda i: (i, bytearray(SIZE)))
    for _ in range(ROUNDS):
        blocks = blocks.map(older).partitionBy(2)
    return sorted(blocks.mapValues(bytes).collect(), key=itemgetter(0))


def expected() -> list[tuple[int, bytes]]:
    blocks = [(i, bytearray(SIZE)) for i in range(N_BLOCKS)]
    for _ in range(ROUNDS):
        blocks = list(map(older, blocks))
    return sorted(((number, bytes(content)) for number, content in blocks), key=itemgetter(0))


@pytest.mark.parametrize(("point", "after"), [("map.write", 5), ("map.commit", 7), ("task.map", 7)])
def test_a_worker_is_killed(faults: Faults, tmp_path: Path, point: str, after: int) -> None:
    faults.arm(point, "kill", after=after)
    with Context("local[2]", conf={"progress.show": "false", "local.dir": str(tmp_path)}) as sc:
        assert aged(sc) == expected()
        assert faults.fired(point) == 1
        assert_accounted(sc)
        assert aged(sc) == expected()


def test_what_nobody_writes_over_goes_after_a_while(tmp_path: Path) -> None:
    with Context("local[2]", conf={"progress.show": "false", "local.dir": str(tmp_path)}) as sc:
        assert aged(sc) == expected()
        spares = Path("rddlite-*/app-*/executor-0/spare")
        assert list(tmp_path.glob(str(spares))), "files were kept to be written over"
        wait_until(lambda: not list(tmp_path.glob(str(spares / "*"))), "they are deleted")


def test_what_a_killed_worker_was_writing_goes_while_the_shuffle_is_wanted(tmp_path: Path) -> None:
    shuffles, once = "rddlite-*/app-*/executor-0/shuffle", str(tmp_path / "once")

    def killed_while_it_writes(record: int) -> int:
        with suppress(FileExistsError):
            os.mkdir(once)
            place = next(tmp_path.glob(shuffles))
            (place / f"shuffle-0-0-{TaskContext.get().taskAttemptId()}.data.tmp").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return record

    with Context("local[1,2]", conf={"progress.show": "false", "local.dir": str(tmp_path)}) as sc:
        shuffled = sc.range(4, numSlices=1).map(killed_while_it_writes).map(lambda i: (i, i)).partitionBy(1)
        assert shuffled.count() == 4
        wait_until(lambda: not list(tmp_path.glob(f"{shuffles}/*.tmp")), "it is deleted")
        assert list(tmp_path.glob(f"{shuffles}/*.index"))
        assert shuffled.count() == 4
