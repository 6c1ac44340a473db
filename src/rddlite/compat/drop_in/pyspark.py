"""`import pyspark` of processes that have this directory on their path: gives rddlite in its place."""

import rddlite.compat.pyspark  # noqa: F401 - takes the place of this module
