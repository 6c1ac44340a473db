"""Fit a straight line by gradient descent whose tasks stay: they average their gradients at a barrier in each step.

rddlite submit --pyspark --master local[4] barrier_regression.py [tasks] [steps]
"""

import json
import random
import sys

from pyspark import BarrierTaskContext, SparkContext


def all_reduce(context, numbers):
    """The sum of what all tasks bring, item by item."""
    rows = [json.loads(text) for text in context.allGather(json.dumps(numbers))]
    return [sum(column) for column in zip(*rows)]


def train(steps):
    def run(points):
        context = BarrierTaskContext.get()
        points = list(points)
        (n,) = all_reduce(context, [len(points)])
        slope = offset = 0.0
        for _ in range(steps):
            errors = [(slope * x + offset - y, x) for x, y in points]
            gradient = all_reduce(context, [sum(e * x for e, x in errors), sum(e for e, _ in errors)])
            slope -= 0.5 * gradient[0] / n
            offset -= 0.5 * gradient[1] / n
        context.barrier()
        if context.partitionId() == 0:
            yield slope, offset

    return run


if __name__ == "__main__":
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    generator = random.Random(1)
    xs = [generator.random() * 2 - 1 for _ in range(1000)]
    data = [(x, 3.0 * x - 1.0) for x in xs]
    with SparkContext(appName="BarrierRegression") as sc:
        ((slope, offset),) = sc.parallelize(data, tasks).barrier().mapPartitions(train(steps)).collect()
    print(f"y = {slope:.2f} x {offset:+.2f}")
