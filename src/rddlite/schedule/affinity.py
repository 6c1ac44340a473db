"""Where the input of reduce tasks is: hosts that hold at least half of it, by the sizes that map tasks told.

Half of the input is then read from the host's own disk instead of the network, so such a task goes there if there is
room, but waits for nothing: a slot elsewhere would only fetch a little more. Task i of a stage takes the reduce
partition that its job asks for there; for a node that takes several this is a guess, and costs nothing if it is wrong.
What is looked at is bounded: of many map outputs a sample, and beyond that nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rddlite.base.ids import ExecutorId
from rddlite.base.sizes import DECODED
from rddlite.schedule.locality import Hosts
from rddlite.schedule.outputs import ShuffleOutputs

MOST_LOOKED_AT = 1 << 16
"""Sizes looked at for one stage: a few milliseconds."""
FEWEST_MAPS = 16
"""A sample of fewer map outputs tells nothing."""

Rows = dict[str, bytes]
"""By host, the sizes of the map outputs that it holds: one row after another."""


def nearest(shuffles: Sequence[ShuffleOutputs], partitions: Sequence[int], host_of: Mapping[ExecutorId, str]) -> Hosts:
    """The hosts that hold at least half of what each task reads; empty if that is not known of any task.

    Task i reads partition `partitions[i]` of these shuffles, which are complete.
    """
    n_out = max((each.n_out for each in shuffles), default=0)
    known = [each for each in shuffles if each.n_out == n_out and each.sizes is not None]
    if not known or n_out * len(known) > MOST_LOOKED_AT:
        return ()
    budget = MOST_LOOKED_AT // (n_out * len(known))
    sampled = [_sample(each, budget, host_of) for each in known]
    if any(rows is None for rows in sampled) or len(set().union(*filter(None, sampled))) < 2:
        return ()
    places: dict[tuple[str, ...], tuple[str, ...]] = {(): ()}
    found = {each: _nearest(sampled, each, n_out) for each in {*partitions} if each < n_out}
    hosts = tuple(places.setdefault(near, near) for near in (found.get(each, ()) for each in partitions))
    return hosts if any(hosts) else ()


def _sample(outputs: ShuffleOutputs, budget: int, host_of: Mapping[ExecutorId, str]) -> Rows | None:
    """Sizes of evenly spread map outputs, by host; None if too few may be looked at."""
    n_maps, n_out, sizes = len(outputs.places), outputs.n_out, outputs.sizes
    if budget < min(n_maps, FEWEST_MAPS):
        return None
    assert sizes is not None
    rows: dict[str, bytearray] = {}
    for index in range(0, n_maps, -(-n_maps // budget)):
        place = outputs.places[index]
        if place is not None and place[0] in host_of:
            rows.setdefault(host_of[place[0]], bytearray()).extend(sizes[index * n_out : (index + 1) * n_out])
    return {host: bytes(row) for host, row in rows.items()}


def _nearest(sampled: Sequence[Rows | None], partition: int, n_out: int) -> tuple[str, ...]:
    held: dict[str, int] = {}
    for rows in sampled:
        for host, row in rows.items() if rows else ():
            held[host] = held.get(host, 0) + sum(map(DECODED.__getitem__, row[partition::n_out]))
    total = sum(held.values())
    return tuple(host for host, size in held.items() if total and 2 * size >= total)
