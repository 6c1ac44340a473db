"""k-means: move each centre into the middle of the points that are nearest to it, until none moves any more.

python examples/kmeans.py [file of points, a line of numbers each] [k]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np

from rddlite import Broadcast, SparkContext

POINTS = [f"{x} {y}" for cx, cy in ((0, 0), (9, 0), (4, 8)) for x in (cx - 1, cx, cx + 1) for y in (cy - 1, cy, cy + 1)]
CLOSE = 1e-6


def parse(line: str) -> Any:
    """A point."""
    return np.array(line.split(), dtype=float)


def nearest(point: Any, centres: Any) -> int:
    """The index of the centre that is nearest to a point."""
    return int(((centres - point) ** 2).sum(axis=1).argmin())


def assigned(centres: Broadcast[Any], point: Any) -> tuple[int, tuple[Any, int]]:
    """A point, by the index of its centre, as a sum of one."""
    return nearest(point, centres.value), (point, 1)


def main() -> None:
    """Print the centres."""
    k = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with SparkContext(appName="kmeans") as sc:
        lines = sc.textFile(sys.argv[1]) if len(sys.argv) > 1 else sc.parallelize(POINTS, 2)
        with lines.map(parse).cached() as points:
            centres = np.array(points.takeSample(False, k, 7))
            moved = np.inf
            while moved > CLOSE:
                now = sc.broadcast(centres)
                sums = points.map(partial(assigned, now))
                means = sums.reduceByKey(lambda a, b: (a[0] + b[0], a[1] + b[1])).mapValues(lambda s: s[0] / s[1])
                found = means.collectAsMap()
                new = np.array([found.get(i, centre) for i, centre in enumerate(centres)])
                moved, centres = float(((new - centres) ** 2).sum()), new
    for centre in sorted(centres.round(3).tolist()):
        print(" ".join(map(str, centre)))


if __name__ == "__main__":
    main()
