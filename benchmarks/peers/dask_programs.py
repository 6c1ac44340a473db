"""The workloads that Dask bag has operations for. It has no sort and no join of two large bags."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import dask.bag
from dask.distributed import get_client

from benchmarks import functions as f
from benchmarks.limit.joins import Held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N_PARTITIONS = 8
READ = 32 << 20


def _numbers(size: int) -> Any:
    parts = [range(size * i // N_PARTITIONS, size * (i + 1) // N_PARTITIONS) for i in range(N_PARTITIONS)]
    return dask.bag.from_sequence(parts, npartitions=N_PARTITIONS).flatten()


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _add_value(total: int, pair: tuple[Any, int]) -> int:
    return total + pair[1]


def wordcount(path: Path) -> list[tuple[str, int]]:
    """Every word of the file with its count."""
    pairs = dask.bag.read_text(str(path), blocksize=READ).map(f.words).flatten().map(f.pair)
    counted: list[tuple[str, int]] = pairs.foldby(_first, _add_value, 0, f.add, 0).compute()
    return counted


def reduce_by_key(size: int) -> int:
    """Sum of a function of each key and the sum of its values."""
    summed = _numbers(size).map(f.keyed).foldby(_first, _add_value, 0, f.add, 0)
    return int(summed.map(f.weigh).sum().compute())


def _middle_of(grouped: tuple[int, list[f.Pair]]) -> f.Pair:
    key, pairs = grouped
    return (key, f.middle(value for _, value in pairs))


def group_by_key(size: int) -> int:
    """Sum of a function of each key and the median of its values."""
    grouped = _numbers(size).map(f.keyed).groupby(_first, shuffle="tasks")
    return int(grouped.map(_middle_of).map(f.weigh).sum().compute())


def broadcast_join(size: int) -> int:
    """Each record looked up in a table that every worker has."""
    table = get_client().scatter(Held(f.lookup_table()), broadcast=True)
    looked_up = _numbers(size).map(f.keyed).map_partitions(_enrich_all, table)
    return int(looked_up.sum().compute())


def _enrich_all(records: Any, table: Held) -> Any:
    return map(partial(f.enrich, table), records)


def k_means(size: int) -> list[f.Point]:
    """Centres of clusters after some rounds over the same points."""
    points = _numbers(size).map(f.point).persist()
    centres = f.CENTRES
    for _ in range(f.CLUSTER_ROUNDS):
        assigned = points.map(partial(f.assign, centres))
        totals = assigned.foldby(_first, _add_total, (0, 0, 0), f.add_totals, (0, 0, 0)).compute()
        centres = f.moved(centres, dict(totals))
    return centres


def _add_total(total: f.Total, pair: tuple[int, f.Total]) -> f.Total:
    return f.add_totals(total, pair[1])


def narrow(size: int) -> int:
    """Sum over a chain of map, filter and map."""
    return int(_numbers(size).map(f.shift).filter(f.is_wanted).map(f.double).sum().compute())


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "wordcount": wordcount,
    "reduceByKey": reduce_by_key,
    "groupByKey": group_by_key,
    "broadcastJoin": broadcast_join,
    "kMeans": k_means,
    "narrow": narrow,
}
