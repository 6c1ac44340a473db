"""Map outputs that vanish or rot between map and reduce are computed again: only those, and answers stay exact."""

from __future__ import annotations

import glob
import os
import signal
from collections.abc import Callable
from operator import add
from pathlib import Path

import pytest

from rddlite import Context


def delete(path: str) -> None:
    os.unlink(path)


def truncate(path: str) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def flip_one_bit(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-3, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("kind", ["data", "index"])
@pytest.mark.parametrize("damage", [delete, truncate, flip_one_bit], ids=lambda f: f.__name__)
def test_damaged_map_outputs(tmp_path: Path, damage: Callable[[str], None], kind: str) -> None:
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as sc:
        totals = sc.range(1000, numSlices=6).map(lambda x: (x % 7, x)).reduceByKey(add, 3)
        expected = {k: sum(range(k, 1000, 7)) for k in range(7)}
        assert dict(totals.collect()) == expected
        shuffles = f"{tmp_path}/rddlite-*/app-*/executor-0/shuffle"
        outputs = sorted(glob.glob(f"{shuffles}/*.{kind}"))
        assert len(outputs) == 6
        for path in outputs[1:3]:
            damage(path)
        for pid in sc.executors[0].workers:
            os.kill(pid, signal.SIGKILL)  # those who come after them have no index in memory
        assert dict(totals.collect()) == expected
        (maps,) = [stage for stage in sc.jobs()[-1].stages if stage.kind == "map"]
        assert maps.attempts == 2, "only what was lost is computed again"
        assert dict(totals.collect()) == expected
