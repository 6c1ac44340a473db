"""All pairs of which the second can be reached from the first: `transitive_closure.py [PARTITIONS]`."""

import random
import sys

from pyspark import SparkContext

N_VERTICES, N_EDGES = 40, 60


def some_edges():
    draw = random.Random(42)
    edges = set()
    while len(edges) < N_EDGES:
        edge = (draw.randrange(N_VERTICES), draw.randrange(N_VERTICES))
        if edge[0] != edge[1]:
            edges.add(edge)
    return sorted(edges)


if __name__ == "__main__":
    sc = SparkContext(appName="transitive closure")
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    paths = sc.parallelize(some_edges(), partitions).cache()
    edges = paths.map(lambda pair: (pair[1], pair[0]))
    before, now = -1, paths.count()
    while now != before:
        before = now
        longer = paths.join(edges).map(lambda joined: (joined[1][1], joined[1][0]))
        paths = paths.union(longer).distinct(partitions).cache()
        now = paths.count()
    print(f"{now} pairs")
    sc.stop()
