"""`import py4j` of processes that have this directory on their path: the one name of it that RDD programs use."""

import rddlite.compat.pyspark  # noqa: F401 - takes the place of this module
