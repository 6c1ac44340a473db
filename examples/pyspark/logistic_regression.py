"""Logistic regression by gradient descent over lines `label x1 ... xd`: `logistic_regression.py [FILE [ROUNDS]]`."""

import sys

import numpy as np
from pyspark import SparkContext

DIMENSIONS = 5


def matrix(lines):
    """The lines of a partition as one matrix, so that numpy does the work."""
    rows = [np.fromstring(line, dtype=np.float64, sep=" ") for line in lines]
    return [np.array(rows).reshape(len(rows), DIMENSIONS + 1)]


def gradient(points, weights):
    labels, x = points[:, 0], points[:, 1:]
    return ((1.0 / (1.0 + np.exp(-labels * x.dot(weights))) - 1.0) * labels * x.T).sum(1)


def some_points():
    draw = np.random.default_rng(3)
    x = draw.normal(size=(500, DIMENSIONS))
    labels = np.where(x.sum(1) > 0, 1, -1)
    return [" ".join(map(str, (label, *row))) for label, row in zip(labels, x)]


if __name__ == "__main__":
    sc = SparkContext(appName="logistic regression")
    lines = sc.textFile(sys.argv[1]) if len(sys.argv) > 1 else sc.parallelize(some_points(), 4)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    points = lines.mapPartitions(matrix).cache()
    weights = np.zeros(DIMENSIONS)
    for _ in range(rounds):
        weights -= 0.01 * points.map(lambda m: gradient(m, weights)).reduce(lambda a, b: a + b)
    right = points.map(lambda m: int((np.sign(m[:, 1:].dot(weights)) == m[:, 0]).sum())).sum()
    print(f"{right} of {lines.count()} on the right side")
    sc.stop()
