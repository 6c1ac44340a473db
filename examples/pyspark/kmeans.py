"""k-means over lines of numbers: `kmeans.py [FILE [K [DISTANCE]]]`."""

import sys

import numpy as np
from pyspark.sql import SparkSession


def parsed(line):
    return np.array([float(word) for word in line.split()])


def closest(point, centres):
    return int(np.argmin([np.sum((point - centre) ** 2) for centre in centres]))


def some_points():
    draw = np.random.default_rng(7)
    return [f"{x} {y}" for centre in ((0, 0), (9, 9)) for x, y in draw.normal(centre, 1, (200, 2))]


if __name__ == "__main__":
    spark = SparkSession.builder.appName("k-means").getOrCreate()
    sc = spark.sparkContext
    lines = (
        spark.read.text(sys.argv[1]).rdd.map(lambda row: row[0]) if len(sys.argv) > 1 else sc.parallelize(some_points())
    )
    k = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    enough = float(sys.argv[3]) if len(sys.argv) > 3 else 0.001

    data = lines.map(parsed).cache()
    centres = data.takeSample(False, k, 1)
    moved = float("inf")
    while moved > enough:
        nearest = data.map(lambda point: (closest(point, centres), (point, 1)))
        sums = nearest.reduceByKey(lambda a, b: (a[0] + b[0], a[1] + b[1]))
        found = sums.map(lambda item: (item[0], item[1][0] / item[1][1])).collect()
        moved = sum(np.sum((centres[index] - centre) ** 2) for index, centre in found)
        for index, centre in found:
            centres[index] = centre

    for centre in sorted(map(tuple, centres)):
        print("centre", *(f"{x:.3f}" for x in centre))
    spark.stop()
