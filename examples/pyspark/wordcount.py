"""Count the words of text files: `wordcount.py [FILE]`."""

import sys
from operator import add

from pyspark.sql import SparkSession

if __name__ == "__main__":
    spark = SparkSession.builder.appName("word count").getOrCreate()
    lines = spark.read.text(sys.argv[1] if len(sys.argv) > 1 else __file__).rdd.map(lambda row: row[0])
    counts = lines.flatMap(lambda line: line.split()).map(lambda word: (word, 1)).reduceByKey(add)
    for word, count in sorted(counts.collect(), key=lambda pair: (-pair[1], pair[0])):
        print(f"{word}: {count}")
    spark.stop()
