"""Requests for resources: built as in PySpark, carried by RDDs, told to tasks."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rddlite import (
    ExecutorResourceRequests,
    ResourceInformation,
    ResourceProfileBuilder,
    TaskContext,
    TaskResourceRequests,
)
from rddlite.errors import Unsupported


def profile(cpus=None):
    builder = ResourceProfileBuilder().require(ExecutorResourceRequests())
    if cpus is not None:
        builder.require(TaskResourceRequests().cpus(cpus))
    return builder.build


def cpus_of(records):
    context = TaskContext.get()
    return [(context.cpus(), context.cpuAmount())]


def test_requests_are_collected():
    executor = ExecutorResourceRequests().cores(4).memory("2g").memoryOverhead("1024k").pysparkMemory("300")
    executor.offheapMemory("1t").resource("gpu", 2, "find.sh", "acme")
    amounts = {name: each.amount for name, each in executor.requests.items()}
    assert amounts == {
        "cores": 4, "memory": 2048, "memoryOverhead": 1, "pyspark.memory": 300, "offHeap": 1 << 20, "gpu": 2,
    }  # fmt: skip
    gpu = executor.requests["gpu"]
    assert (gpu.resourceName, gpu.discoveryScript, gpu.vendor) == ("gpu", "find.sh", "acme")
    task = TaskResourceRequests().cpus(2).resource("gpu", 0.5)
    assert {name: each.amount for name, each in task.requests.items()} == {"cpus": 2.0, "gpu": 0.5}
    builder = ResourceProfileBuilder().require(executor).require(task)
    built = builder.build
    assert (set(built.taskResources), built.executorResources["cores"].amount) == ({"cpus", "gpu"}, 4)
    builder.clearTaskResourceRequests()
    builder.clearExecutorResourceRequests()
    assert (builder.taskResources, builder.executorResources) == ({}, {})
    assert set(built.taskResources) == {"cpus", "gpu"}
    assert builder.build.id > built.id
    assert ResourceInformation("gpu", ["0"]).name == "gpu"


def test_tasks_are_told(sc):
    asked = profile(2)
    rdd = sc.range(2, numSlices=1)
    assert rdd.withResources(asked) is rdd
    assert (rdd.has_resource_profile, rdd.getResourceProfile()) == (True, asked)
    assert rdd.mapPartitions(cpus_of).collect() == [(2, Decimal(2))]
    assert rdd.map(lambda x: x).getResourceProfile() is None
    assert rdd.map(lambda x: (x, 1)).groupByKey(1).mapPartitions(cpus_of).collect() == [(1, Decimal(1))]
    above = rdd.map(lambda x: x).withResources(profile(2.5)).mapPartitions(cpus_of)
    assert above.collect() == [(3, Decimal("2.5"))]
    assert rdd.union(sc.range(1, numSlices=1)).mapPartitions(cpus_of).collect() == [(2, Decimal(2))] * 2
    assert rdd.withResources(profile()).mapPartitions(cpus_of).collect() == [(1, Decimal(1))]
    assert sc.range(1).mapPartitions(cpus_of).collect()[0] == (1, Decimal(1))


def test_what_cannot_be(sc):
    gpus = ResourceProfileBuilder().require(TaskResourceRequests().resource("gpu", 1)).build
    with pytest.raises(Unsupported, match=r"^withResources: rddlite gives tasks no gpu: choose a device in the task"):
        sc.range(3).withResources(gpus)
    fpgas = ResourceProfileBuilder().require(ExecutorResourceRequests().resource("fpga", 1)).build
    with pytest.raises(NotImplementedError, match=r"no fpga"):
        sc.range(3).withResources(fpgas)
    with pytest.raises(TypeError, match=r"^withResources: profile must be a ResourceProfile, not NoneType$"):
        sc.range(3).withResources(None)
    with pytest.raises(TypeError, match=r"^require: resourceRequest must be"):
        ResourceProfileBuilder().require(3)
    with pytest.raises(ValueError, match=r"^cpus: amount must be more than 0, not 0$"):
        TaskResourceRequests().cpus(0)
    with pytest.raises(ValueError, match=r"parsec"):
        ExecutorResourceRequests().memory("3 parsec")
