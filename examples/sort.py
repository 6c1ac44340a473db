"""Sort the numbers of text files.

python examples/sort.py [path]
"""

from __future__ import annotations

import sys

from rddlite import SparkContext

NUMBERS = ["3 1 2", "10 -4", "", "7"]


def main() -> None:
    """Print the numbers in order."""
    with SparkContext(appName="sort") as sc:
        lines = sc.textFile(sys.argv[1]) if len(sys.argv) > 1 else sc.parallelize(NUMBERS)
        numbers = lines.flatMap(str.split).map(lambda word: (int(word), None))
        for number, _ in numbers.sortByKey().collect():
            print(number)


if __name__ == "__main__":
    main()
