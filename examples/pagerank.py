"""PageRank of a small web: every page hands its rank on to the pages that it links to, again and again.

python examples/pagerank.py [file of "page neighbour" lines] [iterations]
"""

from __future__ import annotations

import sys
from operator import add
from typing import TYPE_CHECKING

from rddlite import ResultIterable, SparkContext

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = ["a b", "a c", "b c", "c a", "d c", "d a", "a b"]


def link(line: str) -> tuple[str, str]:
    """A page and one that it links to."""
    page, neighbour = line.split()
    return page, neighbour


def contributions(linked: tuple[ResultIterable[str], float]) -> Iterator[tuple[str, float]]:
    """What each neighbour gets of the rank of a page."""
    neighbours, rank = linked
    for neighbour in neighbours:
        yield neighbour, rank / len(neighbours)


def main() -> None:
    """Print pages with their ranks, the first ones first."""
    iterations = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with SparkContext(appName="pagerank") as sc:
        lines = sc.textFile(sys.argv[1]) if len(sys.argv) > 1 else sc.parallelize(WEB)
        links = lines.map(link).distinct().groupByKey().cache()
        ranks = links.mapValues(lambda _: 1.0)
        for _ in range(iterations):
            given = links.join(ranks).values().flatMap(contributions)
            ranks = given.reduceByKey(add, links.getNumPartitions()).mapValues(lambda rank: 0.15 + 0.85 * rank)
        for page, rank in ranks.sortBy(lambda pair: (-pair[1], pair[0])).collect():
            print(f"{page} has rank {rank:.4f}")


if __name__ == "__main__":
    main()
