"""PageRank over lines `page neighbour`: `pagerank.py [FILE [ROUNDS]]`."""

import re
import sys
from operator import add
from typing import Iterable, Tuple

from pyspark import SparkContext
from pyspark.rdd import RDD
from pyspark.resultiterable import ResultIterable

LINKS = ["a b", "a c", "b c", "c a", "d c"]


def parsed(line: str) -> Tuple[str, str]:
    page, neighbour = re.split(r"\s+", line.strip())[:2]
    return page, neighbour


def contributions(neighbours: ResultIterable[str], rank: float) -> Iterable[Tuple[str, float]]:
    for neighbour in neighbours:
        yield neighbour, rank / len(neighbours)


if __name__ == "__main__":
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with SparkContext(appName="page rank") as sc:
        lines: RDD[str] = sc.textFile(sys.argv[1]) if len(sys.argv) > 1 else sc.parallelize(LINKS)
        links = lines.map(parsed).distinct().groupByKey().cache()
        ranks = links.map(lambda page: (page[0], 1.0))
        for _ in range(rounds):
            given = links.join(ranks).flatMap(lambda page: contributions(page[1][0], page[1][1]))
            ranks = given.reduceByKey(add).mapValues(lambda rank: rank * 0.85 + 0.15)
        for page, rank in sorted(ranks.collect()):
            print(f"{page} has rank {rank:.6f}")
