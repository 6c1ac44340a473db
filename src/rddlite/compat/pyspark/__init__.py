"""PySpark's names for what rddlite has: after `import rddlite.compat.pyspark`, `import pyspark` means rddlite.

    import rddlite.compat.pyspark

    from pyspark import SparkConf, SparkContext

    sc = SparkContext("local[2]", "app")

An installed PySpark is not touched, and not found by this process and its executors from then on. `rddlite submit
--pyspark SCRIPT` does the same for a script without a change to it, and `rddlite check SCRIPT` tells what it lacks.
"""

from __future__ import annotations

from rddlite.compat.finder import TableFinder
from rddlite.compat.pyspark.names import MODULES, why_not

TableFinder(MODULES, why_not).install()
