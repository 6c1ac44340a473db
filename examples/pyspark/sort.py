"""Sort the numbers of a text file: `sort.py [FILE]`."""

import random
import sys
import tempfile

from pyspark import SparkConf, SparkContext


def some_numbers():
    """The path of a file with numbers."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        for _ in range(1000):
            print(*random.sample(range(10_000), 5), file=file)
    return file.name


if __name__ == "__main__":
    sc = SparkContext(conf=SparkConf().setAppName("sort"))
    lines = sc.textFile(sys.argv[1] if len(sys.argv) > 1 else some_numbers())
    numbers = lines.flatMap(lambda line: line.split()).map(lambda word: (int(word), 1)).sortByKey()
    for number, _ in numbers.collect():
        print(number)
    sc.stop()
