"""Which module of PySpark holds which names, and what of rddlite they are. A table, and nothing else.

What is missing here is said to be missing, with a reason, where a program imports it.
"""

from __future__ import annotations

_TOP = {
    "Accumulator": "rddlite:Accumulator",
    "AccumulatorParam": "rddlite:AccumulatorParam",
    "BasicProfiler": "rddlite:BasicProfiler",
    "Broadcast": "rddlite:Broadcast",
    "CPickleSerializer": "rddlite.compat.pyspark.serializers:CPickleSerializer",
    "InheritableThread": "rddlite:InheritableThread",
    "MarshalSerializer": "rddlite.compat.pyspark.serializers:MarshalSerializer",
    "MemoryProfiler": "rddlite:MemoryProfiler",
    "Profiler": "rddlite:Profiler",
    "RDD": "rddlite:RDD",
    "Row": "rddlite.compat.pyspark.row:Row",
    "SparkConf": "rddlite.compat.pyspark.context:SparkConf",
    "SparkContext": "rddlite.compat.pyspark.context:SparkContext",
    "SparkFiles": "rddlite:SparkFiles",
    "SparkJobInfo": "rddlite:SparkJobInfo",
    "SparkStageInfo": "rddlite:SparkStageInfo",
    "StatusTracker": "rddlite:StatusTracker",
    "StorageLevel": "rddlite:StorageLevel",
    "BarrierTaskContext": "rddlite:BarrierTaskContext",
    "BarrierTaskInfo": "rddlite:BarrierTaskInfo",
    "RDDBarrier": "rddlite:RDDBarrier",
    "TaskContext": "rddlite:TaskContext",
    "__version__": "rddlite.compat.pyspark.context:SPARK_VERSION",
    "inheritable_thread_target": "rddlite:inheritable_thread_target",
}
_RDD = {
    "BoundedFloat": "rddlite:BoundedFloat",
    "Partitioner": "rddlite.compat.pyspark.partitioner:Partitioner",
    "PipelinedRDD": "rddlite:RDD",
    "RDD": "rddlite:RDD",
    "portable_hash": "rddlite:portable_hash",
}
_CONTEXT = {name: _TOP[name] for name in ("SparkConf", "SparkContext")}
_ACCUMULATORS = {
    "Accumulator": "rddlite:Accumulator",
    "AccumulatorParam": "rddlite:AccumulatorParam",
    "AddingAccumulatorParam": "rddlite.shared.accumulator:AddingAccumulatorParam",
    "COMPLEX_ACCUMULATOR_PARAM": "rddlite.shared.accumulator:COMPLEX_ACCUMULATOR_PARAM",
    "FLOAT_ACCUMULATOR_PARAM": "rddlite.shared.accumulator:FLOAT_ACCUMULATOR_PARAM",
    "INT_ACCUMULATOR_PARAM": "rddlite.shared.accumulator:INT_ACCUMULATOR_PARAM",
}
_RESOURCE = {
    name: f"rddlite:{name}"
    for name in (
        "ExecutorResourceRequest",
        "ExecutorResourceRequests",
        "ResourceInformation",
        "ResourceProfile",
        "ResourceProfileBuilder",
        "TaskResourceRequest",
        "TaskResourceRequests",
    )
}
_STATUS = {name: _TOP[name] for name in ("SparkJobInfo", "SparkStageInfo", "StatusTracker")}
_PROFILER = {
    "BasicProfiler": "rddlite:BasicProfiler",
    "MemUsageParam": "rddlite.shared.profiler:MemUsageParam",
    "MemoryProfiler": "rddlite:MemoryProfiler",
    "PStatsParam": "rddlite.shared.profiler:PStatsParam",
    "Profiler": "rddlite:Profiler",
    "ProfilerCollector": "rddlite.api.profiles:ProfilerCollector",
}
_SERIALIZERS = {
    name: f"rddlite.compat.pyspark.serializers:{name}"
    for name in (
        "AutoBatchedSerializer",
        "BatchedSerializer",
        "CPickleSerializer",
        "CloudPickleSerializer",
        "CompressedSerializer",
        "MarshalSerializer",
        "NoOpSerializer",
        "PickleSerializer",
        "Serializer",
        "UTF8Deserializer",
    )
}
_ERRORS = {
    name: f"rddlite.compat.pyspark.errors:{name}"
    for name in (
        "PySparkAssertionError",
        "PySparkAttributeError",
        "PySparkException",
        "PySparkImportError",
        "PySparkIndexError",
        "PySparkKeyError",
        "PySparkNotImplementedError",
        "PySparkPicklingError",
        "PySparkRuntimeError",
        "PySparkTypeError",
        "PySparkValueError",
    )
}
_SQL = {
    "Row": "rddlite.compat.pyspark.row:Row",
    "SparkSession": "rddlite.compat.pyspark.session:SparkSession",
}
_UTIL = {
    "InheritableThread": "rddlite:InheritableThread",
    "fail_on_stopiteration": "rddlite.compat.pyspark.stopiteration:fail_on_stopiteration",
    "inheritable_thread_target": "rddlite:inheritable_thread_target",
}
_PY4J = dict.fromkeys(("Py4JError", "Py4JJavaError"), "rddlite.errors:RddliteError")
"""Not failed jobs alone: a path that is missing, or output that exists, is one of these as well."""

MODULES: dict[str, dict[str, str]] = {
    "py4j": {},
    "py4j.protocol": _PY4J,
    "pyspark": _TOP,
    "pyspark.accumulators": _ACCUMULATORS,
    "pyspark.broadcast": {"Broadcast": "rddlite:Broadcast"},
    "pyspark.cloudpickle": {"dumps": "cloudpickle:dumps", "loads": "cloudpickle:loads"},
    "pyspark.conf": {"SparkConf": _TOP["SparkConf"]},
    "pyspark.context": _CONTEXT,
    "pyspark.core": {},
    "pyspark.core.broadcast": {"Broadcast": "rddlite:Broadcast"},
    "pyspark.core.context": _CONTEXT,
    "pyspark.core.files": {"SparkFiles": "rddlite:SparkFiles"},
    "pyspark.core.rdd": _RDD,
    "pyspark.core.status": _STATUS,
    "pyspark.errors": _ERRORS,
    "pyspark.files": {"SparkFiles": "rddlite:SparkFiles"},
    "pyspark.profiler": _PROFILER,
    "pyspark.rdd": _RDD,
    "pyspark.resource": _RESOURCE,
    "pyspark.resource.information": _RESOURCE,
    "pyspark.resource.profile": _RESOURCE,
    "pyspark.resource.requests": _RESOURCE,
    "pyspark.resultiterable": {"ResultIterable": "rddlite:ResultIterable"},
    "pyspark.serializers": _SERIALIZERS,
    "pyspark.shuffle": {"Aggregator": "rddlite.lineage.aggregator:Aggregator"},
    "pyspark.sql": _SQL,
    "pyspark.sql.session": {"SparkSession": _SQL["SparkSession"]},
    "pyspark.sql.types": {"Row": _SQL["Row"]},
    "pyspark.statcounter": {"StatCounter": "rddlite:StatCounter"},
    "pyspark.status": _STATUS,
    "pyspark.storagelevel": {"StorageLevel": "rddlite:StorageLevel"},
    "pyspark.taskcontext": {name: _TOP[name] for name in ("BarrierTaskContext", "BarrierTaskInfo", "TaskContext")},
    "pyspark.util": _UTIL,
    "pyspark.version": {"__version__": _TOP["__version__"]},
}

_REASONS = {
    "ml": "it works on DataFrames; scikit-learn inside mapPartitions or mapBatches covers most uses",
    "mllib": "it needs Spark's JVM; numpy or scikit-learn inside mapPartitions covers most uses",
    "pandas": "it works on DataFrames; pandas itself can be used inside mapPartitions",
    "sql": "it is SQL, and rddlite runs RDD programs; use DuckDB or Polars inside mapPartitions, or on what is saved",
    "UDFBasicProfiler": "it profiles functions of SQL; BasicProfiler does tasks of RDDs",
    "streaming": "streams are outside the model of rddlite",
    "daemon": "it is an inner part of Spark",
    "java_gateway": "there is no JVM",
    "worker": "it is an inner part of Spark",
}


def why_not(module: str, name: str) -> str:
    """What to say of a name that a module lacks, or, without a name, of a module that is not here."""
    asked = f"{module}.{name}" if name else module
    for part in (*module.split(".")[1:], name):
        if part in _REASONS:
            return f"{asked} is not part of rddlite: {_REASONS[part]}"
    return f"{asked} is not part of rddlite, which has what RDD programs use: see docs/coming-from-spark.md"
