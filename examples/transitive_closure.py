"""Transitive closure of a graph: join paths with edges until no new path is found.

python examples/transitive_closure.py [partitions]
"""

from __future__ import annotations

import sys
from random import Random

from rddlite import RDD, SparkContext

NODES, EDGES = 40, 60


def graph() -> set[tuple[int, int]]:
    """A graph: the same one each time."""
    stream = Random(42)
    edges: set[tuple[int, int]] = set()
    while len(edges) < EDGES:
        a, b = stream.randrange(NODES), stream.randrange(NODES)
        if a != b:
            edges.add((a, b))
    return edges


def main() -> None:
    """Print how many pairs of nodes are connected."""
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with SparkContext(appName="transitive closure") as sc:
        paths: RDD[tuple[int, int]] = sc.parallelize(graph(), partitions).cache()
        edges = paths.map(lambda edge: (edge[1], edge[0]))  # by where they end
        count, before = paths.count(), -1
        while count != before:
            before = count
            longer = paths.join(edges, partitions).map(lambda found: (found[1][1], found[1][0]))
            paths = paths.union(longer).distinct(partitions).cache()
            count = paths.count()
    print(f"The closure has {count} edges")


if __name__ == "__main__":
    main()
