"""CPU time of the scheduler per task, at 10,000 and at 1,000,000 tasks on 1,000 executors of 16 slots.

    PYTHONPATH=src python -m benchmarks.scale [--tasks 10000,100000,1000000] [--repeat 3] [--profile]

Only `Scheduler.handle_all` is timed, for a whole job: a map stage of so many tasks with sizes and fingerprints, and a
result stage. Reports come in batches of 64, heartbeats of all executors once a second (5,000 tasks end in it) with 16
rows each, one task in 1,000 fails, one in 10,000 is slow and is copied. The small job is run as often as takes about as
long as the large one, and the sizes take turns; the best of each is compared.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import resource
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from rddlite.schedule.commands import Command
from rddlite.schedule.events import Event, Heartbeat
from rddlite.testing.crowd import Crowd, big_job

REDUCES = 16


class Run(NamedTuple):
    """What one job cost: seconds for tasks and for heartbeats, and counts."""

    seconds: float
    heartbeat_seconds: float
    attempts: int
    events: int
    commands: int
    rows: int


def run(n_tasks: int, profile: cProfile.Profile | None = None) -> Run:
    """One job of this size on a new cluster."""
    crowd = Crowd()
    handle_all, spent = crowd.handle, {True: 0.0, False: 0.0}

    def timed(events: Sequence[Event], now: float) -> list[Command]:
        if profile is not None:
            profile.enable()
        start = time.process_time()
        commands = handle_all(events, now)
        spent[type(events[0]) is Heartbeat] += time.process_time() - start
        if profile is not None:
            profile.disable()
        return commands

    crowd.told.clear()
    crowd.handle = timed
    gc.collect()
    crowd.submit(big_job(n_tasks, REDUCES), bytes(REDUCES))
    crowd.run()
    if crowd.answered["JobDone"] != 1:
        raise SystemExit(f"the job did not end: {crowd.answered}")
    attempts = crowd.answered["Launch"]
    return Run(spent[False], spent[True], attempts, crowd.told.total(), crowd.answered.total(), crowd.rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="10000,100000,1000000", help="sizes, with commas")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--profile", action="store_true", help="show where the time of the largest goes, and nothing else"
    )
    options = parser.parse_args()
    sizes = [int(each) for each in options.tasks.split(",")]
    if options.profile:
        profile = cProfile.Profile()
        run(sizes[-1], profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    best: dict[int, Run] = {}
    for _ in range(options.repeat):
        for size in sizes:
            for _ in range(max(1, min(20, sizes[-1] // size // 5))):
                found = run(size)
                if size not in best or found.seconds < best[size].seconds:
                    best[size] = found
    print(f"Python {sys.version.split()[0]}; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
    print(f"{'tasks':>10} {'us per task':>12} {'ratio':>7} {'events':>8} {'commands':>9} {'us per heartbeat row':>21}")
    first = best[sizes[0]].seconds / best[sizes[0]].attempts
    for size in sizes:
        each = best[size]
        task = each.seconds / each.attempts
        row = each.heartbeat_seconds / each.rows
        counts = f"{each.events / each.attempts:8.3f} {each.commands / each.attempts:9.3f}"
        print(f"{size:10} {task * 1e6:12.2f} {task / first:7.3f} {counts} {row * 1e6:21.2f}")


if __name__ == "__main__":
    main()
