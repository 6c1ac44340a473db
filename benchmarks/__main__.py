"""`python -m benchmarks`: print the tables of ratios and overheads, with the machine."""

from __future__ import annotations

import argparse
import sys

from benchmarks import overheads, ratios
from benchmarks.functions import WORKLOADS
from benchmarks.machine import describe

QUICK = 0.2
LEAST_SECONDS = 5.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Time rddlite against the hand-written limit.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the size: the limit takes 1 s instead of 5 s")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side; the median counts (default 3)")
    parser.add_argument("--master", action="append", default=[], help="time this master beside local[2]; repeatable")
    parser.add_argument("--side", choices=["limit", "rddlite"], help="time only the limit, or only rddlite")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all sizes")
    parser.add_argument("--no-overheads", action="store_true", help="only the workloads")
    parser.add_argument("--only-overheads", action="store_true", help="no workloads")
    parsed = parser.parse_args()
    unknown = set(parsed.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    return parsed


def main() -> int:
    """Exit code: 1 if a run failed or answers differ."""
    asked = arguments()
    machine = describe()
    factor = asked.scale * (QUICK if asked.quick else 1.0)
    masters = list(dict.fromkeys([ratios.BASE, *asked.master]))
    sides = ([ratios.LIMIT] if asked.side != "rddlite" else []) + (masters if asked.side != "limit" else [])
    results = []
    if not asked.only_overheads:
        for name in asked.workloads or WORKLOADS:
            results += ratios.compare(WORKLOADS[name], factor, sides, asked.runs)
    print(f"\n{machine}; medians of {asked.runs} runs.\n")
    if results:
        print(ratios.table(results, {name: workload.unit for name, workload in WORKLOADS.items()}))
        _warn_of_short_runs(results, factor)
        if others := ratios.masters_table(results):
            print("\n" + others)
    if not asked.no_overheads and asked.side != "limit":
        print("\n" + overheads.measure(masters, asked.quick))
    return 0


def _warn_of_short_runs(results: list[ratios.Result], factor: float) -> None:
    least = LEAST_SECONDS * min(factor, 1.0)
    short = [result.workload for result in results if result.side == ratios.LIMIT and result.wall < least]
    if short:
        print(
            f"\nToo short to trust (the limit took less than {least:.0f} s): {', '.join(short)}. Use a larger --scale."
        )


if __name__ == "__main__":
    sys.exit(main())
