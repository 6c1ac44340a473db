"""Estimate pi by throwing darts: `pi.py [PARTITIONS]`."""

import sys
from operator import add
from random import random

from pyspark.sql import SparkSession

DARTS = 100_000


def is_inside(_: int) -> int:
    x, y = random() * 2 - 1, random() * 2 - 1
    return 1 if x * x + y * y <= 1 else 0


if __name__ == "__main__":
    with SparkSession.builder.appName("pi").getOrCreate() as spark:
        partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2
        n = DARTS * partitions
        inside = spark.sparkContext.parallelize(range(n), partitions).map(is_inside).reduce(add)
        print(f"pi is roughly {4 * inside / n:.4f}")
