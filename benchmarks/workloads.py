"""The workloads: their names, sizes and goals, and what their programs are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inputs import records_file, text_file

QUICK = 0.2
"""The share of its size that a workload has in a quick run."""
N_WORKERS = 2
TIMES_MEMORY = 4
_LEAST_MEMORY = 96 << 20


@dataclass(frozen=True)
class Files:
    """Where a program reads, and the directory that it makes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Workload:
    """`size` is what a full run takes, in `unit`: enough for the limit to need 5 s on two cores.

    `goal` is the highest ratio to the limit, of wall and CPU time. `live_bytes` of a record, as an object with its
    place in a list, is given for workloads that are to have a quarter of the memory that they would fill.
    """

    name: str
    title: str
    size: int
    unit: str
    goal: float = 1.3
    source: str = ""
    live_bytes: int = 0
    quick: float = QUICK

    def scaled(self, factor: float) -> int:
        """The size of a smaller or larger run."""
        return max(1000, int(self.size * factor))

    def worker_memory(self, size: int) -> int | None:
        """What each worker may have, where that is to be less than it would take; an interpreter needs some itself."""
        if not self.live_bytes:
            return None
        return max(_LEAST_MEMORY, size * self.live_bytes // N_WORKERS // TIMES_MEMORY)

    def prepare(self, size: int, scratch: Path) -> Any:
        """What the program is given; files are made if they are not there."""
        match self.source:
            case "text":
                return text_file(size)
            case "records":
                return Files(records_file(size), scratch / "sorted")
            case _:
                return size


_BY_NAME = (
    Workload("wordcount", "word count", 300_000_000, "bytes of text", 1.15, source="text"),
    Workload("reduceByKey", "`reduceByKey` of integer pairs", 60_000_000, "records"),
    Workload("groupByKey", "`groupByKey`, the median of each group", 30_000_000, "records"),
    Workload("sort", "sort of 100-byte lines, text to text", 8_000_000, "records", source="records"),
    Workload("join", "`join`", 10_000_000, "records a side"),
    Workload("broadcastJoin", "look-up in a broadcast table", 30_000_000, "records"),
    Workload("skewedJoin", "`join` with half of the records under one key", 20_000_000, "records"),
    Workload("pageRank", "PageRank, 8 rounds", 1_250_000, "links", 1.15),
    Workload("kMeans", "k-means, 8 centres, 10 rounds", 800_000, "points", 1.15),
    Workload("narrow", "`map`, `filter`, `map`", 80_000_000, "records", 1.15),
    Workload("numpyBlocks", "numpy blocks, 10 rounds", 1 << 30, "bytes"),
    Workload("mix", "`distinct`, `countByKey`, `treeAggregate`, `cogroup`", 12_000_000, "records"),
    Workload("sample", "`sample` of a tenth", 150_000_000, "records"),
    Workload("zipWithIndex", "`zipWithIndex`", 40_000_000, "records"),
    Workload("mapBatches", "`mapBatches` of a thousand", 80_000_000, "records"),
    Workload("accumulators", "an accumulator, added to for each record", 80_000_000, "records"),
    Workload("sketch", "`countApproxDistinct`", 30_000_000, "records"),
    Workload("groupByKey4x", "`groupByKey` of 4 x the memory", 16_000_000, "records", live_bytes=136, quick=0.4),
    Workload("sort4x", "sort of 4 x the memory", 10_000_000, "records", source="records", live_bytes=240, quick=0.4),
)

WORKLOADS = {workload.name: workload for workload in _BY_NAME}
