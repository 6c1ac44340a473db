"""The peers: PySpark 4 with the very programs of rddlite, and Dask bag with its own.

Optional (`pip install rddlite[bench-peers]`; PySpark needs Java 17 or newer as well). Each gets what `local[2]` gets:
two workers, timed when they are there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.workloads import N_WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Program = Callable[[Any], Any]

_ROOMY = 8 << 30


NAMES = ("pyspark", "dask")


def installed() -> dict[str, str]:
    """The peers that can run here, with their versions."""
    found = {}
    if importlib.util.find_spec("pyspark") and shutil.which("java"):
        found["pyspark"] = importlib.metadata.version("pyspark")
    if importlib.util.find_spec("dask") and importlib.util.find_spec("distributed"):
        found["dask"] = importlib.metadata.version("dask")
    return found


def missing() -> dict[str, str]:
    """The peers that cannot run here, and what would help."""
    remedies = {
        "pyspark": "pip install 'pyspark>=4', and Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)",
        "dask": "pip install dask distributed",
    }
    found = installed()
    return {name: remedy for name, remedy in remedies.items() if name not in found}


def has_program(peer: str, workload: str) -> bool:
    """Whether the peer has what the workload takes."""
    if peer == "pyspark":
        return True
    from benchmarks.peers.dask_programs import PROGRAMS

    return workload in PROGRAMS


def program(peer: str, workload: str, memory: int | None, scratch: Path) -> AbstractContextManager[Program]:
    """The program on a context of the peer, in which each worker may use so much memory."""
    return (_pyspark if peer == "pyspark" else _dask)(workload, memory, scratch)


@contextmanager
def _pyspark(workload: str, memory: int | None, scratch: Path) -> Iterator[Program]:
    from pyspark import SparkConf, SparkContext

    from benchmarks.programs import PROGRAMS

    os.environ |= {"SPARK_LOCAL_DIRS": str(scratch), "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": f"{_ROOMY >> 20}m" if memory is None else f"{max(512, memory * N_WORKERS >> 20)}m",
        "spark.python.worker.memory": f"{(_ROOMY if memory is None else memory) >> 20}m",
    }
    with SparkContext(f"local[{N_WORKERS}]", "benchmark", conf=SparkConf().setAll(settings.items())) as sc:
        sc.setLogLevel("ERROR")
        sc.range(N_WORKERS).map(str).count()  # The Python workers are there when they have worked.
        yield lambda what: PROGRAMS[workload](sc, what)


@contextmanager
def _dask(workload: str, memory: int | None, scratch: Path) -> Iterator[Program]:
    import dask
    from distributed import Client, LocalCluster

    from benchmarks.peers.dask_programs import PROGRAMS

    dask.config.set({"temporary-directory": str(scratch)})
    options = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    a_worker = _ROOMY if memory is None else memory
    with LocalCluster(n_workers=N_WORKERS, memory_limit=a_worker, **options) as cluster, Client(cluster):
        yield lambda what: PROGRAMS[workload](what)
