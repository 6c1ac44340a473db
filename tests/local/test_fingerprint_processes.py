"""The fingerprint of a map output is the same in every process that may have to write it again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import pathlib, sys
from tests.unit.shuffle.outputs import by_function, keyed, target, unkeyed, write
keys = [None, "text", b"bytes", ("a", None), float("nan"), 2**70, True]
sets = [frozenset([None, "x"])]
# By position, what counts is how records are pickled: sets do so in an order that is each process's own.
outputs = [(keyed(4), keys + sets), (by_function(4, lambda key: len(repr(key))), keys + sets), (unkeyed(4), keys)]
for attempt, (dep, found) in enumerate(outputs):
    batches = [[(key, 0) for key in found]]
    print(write(dep, target(pathlib.Path(sys.argv[1]), attempt=attempt), batches).fingerprints.hex())
"""


def test_processes_agree_whatever_their_hash_seed(tmp_path: Path) -> None:
    found = set()
    for seed in ("0", "0", "1", "random"):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        }
        command = [sys.executable, "-c", PROGRAM, str(directory)]
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    assert len(set(found.pop().split())) == 3
