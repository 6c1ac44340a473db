"""Logistic regression by gradient descent: whole batches of points at once, as arrays of numpy.

python examples/logistic_regression.py [iterations]
"""

from __future__ import annotations

import sys
from functools import partial
from operator import add
from typing import Any

import numpy as np

from rddlite import SparkContext

TRUE = np.array([2.0, -3.0, 1.0])


def points(seed: int) -> Any:
    """A thousand points, a row each, their labels (0 or 1) first."""
    stream = np.random.default_rng(seed)
    features = stream.normal(size=(1000, len(TRUE)))
    labels = (features @ TRUE + stream.logistic(size=1000)) > 0
    return np.column_stack([labels, features])


def gradient(weights: Any, table: Any) -> Any:
    """The sum of the gradients of the points of one table."""
    labels, features = table[:, 0], table[:, 1:]
    return features.T @ (1 / (1 + np.exp(-features @ weights)) - labels)


def main() -> None:
    """Print the weights that were found."""
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with SparkContext(appName="logistic regression") as sc:
        tables = sc.parallelize(range(8), 4).map(points).cache()
        n = tables.map(len).sum()
        weights = np.zeros(len(TRUE))
        for _ in range(iterations):
            weights -= 5.0 / n * tables.map(partial(gradient, weights.copy())).reduce(add)
    print("Weights:", " ".join(f"{weight:.2f}" for weight in weights))


if __name__ == "__main__":
    main()
