"""PageRank and k-means by hand: processes that stay, hold what would be cached, and meet after each phase."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.functions import (
    CENTRES,
    CLUSTER_ROUNDS,
    LINKS_A_PAGE,
    RANK_ROUNDS,
    Point,
    Total,
    add_totals,
    assign,
    contributions,
    damp,
    edge,
    first_rank,
    moved,
    point,
    weigh,
)
from benchmarks.limit.joins import grouped, spread
from benchmarks.limit.processes import Meeting, N, merge_sums, run_all, share, write_by_hash

if TYPE_CHECKING:
    from pathlib import Path


def page_rank(size: int, scratch: Path) -> int:
    """Ranks of pages after some rounds over `size` links, summed up."""
    return sum(run_all(partial(_rank, size, Meeting(), scratch), scratch))


def _rank(size: int, meeting: Meeting, scratch: Path, i: int) -> int:
    spread(partial(edge, max(1, size // LINKS_A_PAGE)), share(size, i), scratch, f"links-{i}")
    meeting.wait(i)
    links = grouped(scratch, "links", i)
    ranks = {page: first_rank(None) for page in links}
    for number in range(RANK_ROUNDS):
        given: dict[int, int] = {}
        for page, targets in links.items():
            if page in ranks:
                for target, part in contributions((page, (targets, ranks[page]))):
                    if target in given:
                        given[target] += part
                    else:
                        given[target] = part
        write_by_hash(given, scratch, f"{number}-{i}")
        meeting.wait(i)
        totals = merge_sums([scratch / f"{number}-{mapper}-{i}" for mapper in range(N)])
        ranks = {page: damp(total) for page, total in totals.items()}
    return sum(map(weigh, ranks.items()))


def k_means(size: int, scratch: Path) -> list[Point]:
    """Centres of clusters after some rounds over the same points."""
    return run_all(partial(_cluster, size, Meeting(), scratch), scratch)[0]


def _cluster(size: int, meeting: Meeting, scratch: Path, i: int) -> list[Point]:
    points = [point(number) for number in share(size, i)]
    centres = CENTRES
    for number in range(CLUSTER_ROUNDS):
        totals: dict[int, Total] = {}
        for one in points:
            nearest, total = assign(centres, one)
            if nearest in totals:
                totals[nearest] = add_totals(totals[nearest], total)
            else:
                totals[nearest] = total
        (scratch / f"{number}-{i}").write_bytes(pickle.dumps(totals))
        meeting.wait(i)
        centres = moved(centres, _added(scratch, number))
    return centres


def _added(scratch: Path, number: int) -> dict[int, Total]:
    added: dict[int, Total] = {}
    for process in range(N):
        totals: dict[int, Total] = pickle.loads((scratch / f"{number}-{process}").read_bytes())
        for nearest, total in totals.items():
            added[nearest] = add_totals(added[nearest], total) if nearest in added else total
    return added
