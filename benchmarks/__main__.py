"""`python -m benchmarks`: print the tables of ratios and overheads, with the machine; `--readme` keeps it."""

from __future__ import annotations

import argparse
import sys

from benchmarks import overheads, peers, ratios, tables
from benchmarks.machine import describe, today, versions
from benchmarks.workloads import WORKLOADS

LEAST_SECONDS = 5.0
README = ratios.ROOT / "README.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Time rddlite against the hand-written limit.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the size: the limit takes 1 s instead of 5 s")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side; the median counts (default 3)")
    parser.add_argument("--master", action="append", default=[], help="time this master beside local[2]; repeatable")
    parser.add_argument("--side", choices=["limit", "rddlite"], help="time only the limit, or only rddlite")
    parser.add_argument("--peers", action="store_true", help="PySpark and Dask too, where they are installed")
    parser.add_argument(
        "--peer", action="append", default=[], choices=peers.NAMES, help="only this one of the peers; repeatable"
    )
    parser.add_argument("--peer-runs", type=int, help="runs of each peer (default: as many as of the others)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all sizes")
    parser.add_argument("--longest", type=float, default=900.0, help="seconds that one run may take (default 900)")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
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
    masters = list(dict.fromkeys([ratios.BASE, *asked.master]))
    for name, remedy in peers.missing().items() if asked.peers or asked.peer else ():
        if not asked.peer or name in asked.peer:
            print(f"{name} is not measured: {remedy}", file=sys.stderr)
    compared = _compare(asked, masters)
    compared_with = versions(_peers(asked))
    heading = f"{machine}; {compared_with}; {today()}; medians of {asked.runs} runs{_of_peers(asked)}."
    print(f"\n{heading}\n")
    report = tables.full_table(compared.results)
    if compared.results:
        print(report)
        _warn_of_short_runs(compared.results, asked)
        if others := tables.masters_table(compared.results):
            print("\n" + others)
    measured = ""
    if not asked.no_overheads and asked.side != "limit":
        measured = overheads.measure(masters, asked.quick)
        print("\n" + measured)
    for failure in compared.failures:
        print(f"\nFailed: {failure}", file=sys.stderr)
    if asked.readme:
        block = "\n\n".join(filter(None, [heading, tables.readme_table(compared.results), measured]))
        tables.write_readme(README, block)
    return 1 if compared.failures else 0


def _peers(asked: argparse.Namespace) -> dict[str, str]:
    """The peers that are asked for and installed, with their versions."""
    if not (asked.peers or asked.peer):
        return {}
    return {name: version for name, version in peers.installed().items() if not asked.peer or name in asked.peer}


def _of_peers(asked: argparse.Namespace) -> str:
    return f" ({asked.peer_runs} of the peers)" if _peers(asked) and asked.peer_runs else ""


def _compare(asked: argparse.Namespace, masters: list[str]) -> ratios.Compared:
    all_compared = ratios.Compared()
    if asked.only_overheads:
        return all_compared
    for name in asked.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        sides = ([ratios.LIMIT] if asked.side != "rddlite" else []) + (masters if asked.side != "limit" else [])
        chosen = _peers(asked)
        sides += [peer for peer in chosen if peers.has_program(peer, name)]
        factor = asked.scale * (workload.quick if asked.quick else 1.0)
        fewer = dict.fromkeys(chosen, asked.peer_runs or asked.runs)
        compared = ratios.compare(workload, factor, sides, asked.runs, asked.longest, fewer)
        all_compared.results += compared.results
        all_compared.failures += compared.failures
    return all_compared


def _warn_of_short_runs(results: list[ratios.Result], asked: argparse.Namespace) -> None:
    short = []
    for result in results:
        factor = min(1.0, asked.scale * (WORKLOADS[result.workload].quick if asked.quick else 1.0))
        if result.side == ratios.LIMIT and result.wall < LEAST_SECONDS * factor:
            short.append(result.workload)
    if short:
        least = f"less than {LEAST_SECONDS:.0f} s at full size"
        print(f"\nToo short to trust (the limit would take {least}): {', '.join(short)}. Use a larger --scale.")


if __name__ == "__main__":
    sys.exit(main())
