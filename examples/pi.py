"""Estimate pi: throw darts at a square, and count those that hit the circle in it.

python examples/pi.py [partitions]
"""

from __future__ import annotations

import sys
from operator import add
from random import Random

from rddlite import SparkContext

DARTS = 20_000


def hits(partition: int) -> int:
    """How many of the darts of one partition are in the circle."""
    draw = Random(partition).random
    return sum((2 * draw() - 1) ** 2 + (2 * draw() - 1) ** 2 <= 1 for _ in range(DARTS))


def main() -> None:
    """Print the estimate."""
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with SparkContext(appName="pi") as sc:
        inside = sc.parallelize(range(partitions), partitions).map(hits).reduce(add)
    print(f"Pi is about {4 * inside / (DARTS * partitions):.3f}")


if __name__ == "__main__":
    main()
