"""Quantiles and frequent records, about: sketches of each partition are merged in tasks, level by level."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rddlite.api.arguments import number, own_function
from rddlite.api.handle import Handle, T_co
from rddlite.api.trees import joined_neighbours, levels
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage.consumers import Collect
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions
from rddlite.shared import sketches

_DEPTH = 2


class Sketching(Handle[T_co]):
    """The mixin of `RDD` for answers of sketches. They need the extra `rddlite[sketches]`."""

    __slots__ = ()

    def quantiles(self, probabilities: Sequence[float], error: float = 0.01) -> list[T_co]:
        """Records at these places if all were sorted: `[0.5]` is the median, `[0.0, 1.0]` are the smallest and the
        largest. By a KLL sketch: in little memory, without a sort. None and NaN are left out.

        Args:
            probabilities: numbers from 0 to 1.
            error: by how much the place of an answer may be off, as a part of all records (with 99 % certainty). Where
                there are few records, answers are exact; where there are many, they may differ from run to run.

        Raises:
            ExtraMissing: without the package `datasketches`.
            TypeError, ValueError: for arguments of the wrong kind or size; if there is no record; for records that
                cannot be compared.
            JobFailed: if the job fails.

        >>> sc.range(101).quantiles([0.0, 0.25, 0.5, 1.0])
        [0, 25, 50, 100]
        """
        site = call_site("quantiles")
        if isinstance(probabilities, (str, bytes)) or not isinstance(probabilities, Iterable):
            raise TypeError(f"quantiles: probabilities must be numbers in a list, not {probabilities!r}")
        wanted = [number(each, site, "probabilities") for each in probabilities]
        for each in wanted:
            if not 0 <= each <= 1:
                raise ValueError(f"quantiles: probabilities must be from 0 to 1, not {each}")
        size = sketches.size_for_ranks(_share(error, site, "error"))
        if size is None:
            raise ValueError(f"quantiles: no sketch is as exact as error {error}: sortBy gives exact places")
        packed = _sketched(self, functools.partial(sketches.ranks_of, size), sketches.merged_ranks, site)
        found: list[T_co] = [] if packed is None else sketches.quantiles_in(packed, wanted)
        if wanted and not found:
            raise ValueError("quantiles: there is no record")
        return found

    def frequentItems(self, support: float = 0.01) -> list[tuple[T_co, int]]:
        """Records that are at least this part of all, and about how often there are: the most frequent ones first.

        No such record is left out; some may be among them of which there are a little fewer. Counts may be up to a
        tenth of the limit too high. Where there are few different records, all of it is exact. None is left out.

        Args:
            support: how much of all records makes one frequent.

        Raises:
            ExtraMissing: without the package `datasketches`.
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails, for instance because a record is not hashable.

        >>> sc.parallelize("abracadabra").frequentItems(0.2)
        [('a', 5)]
        """
        site = call_site("frequentItems")
        part = _share(support, site, "support")
        size = sketches.size_for_support(part)
        if size is None:
            raise ValueError(f"frequentItems: no sketch is exact enough for support {support}: countByValue counts all")
        packed = _sketched(self, functools.partial(sketches.frequencies_of, size), sketches.merged_frequencies, site)
        found: list[tuple[T_co, int]] = [] if packed is None else sketches.frequent_in(packed, part)
        return sorted(found, key=lambda pair: -pair[1])


def _share(value: Any, site: CallSite, parameter: str) -> float:
    given = number(value, site, parameter)
    if not 0 < given < 1:
        raise ValueError(f"{site.method}: {parameter} must be more than 0 and less than 1, not {value}")
    return given


def _sketched(
    handle: Handle[Any],
    sketch: Callable[[Iterable[Any]], list[sketches.Packed]],
    merge: Callable[[sketches.Packed, sketches.Packed], sketches.Packed],
    site: CallSite,
) -> sketches.Packed | None:
    """The sketch of all records; None if there is no partition."""
    sizes = levels(handle._n_partitions(), _DEPTH)
    node = Pipelined(site, handle._node, MapPartitions(own_function(sketch, site)))
    merged = joined_neighbours(node, sizes, own_function(merge, site), site)
    parts = [packed for part in handle._derive(merged)._run(Collect(), site) for packed in part]
    return functools.reduce(merge, parts) if parts else None
