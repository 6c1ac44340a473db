"""Which package may import which, which file owns which third-party package, and which files are pure: as data.

`docs/internals/layers.md` explains it. Where the code teaches better, change a line here and say why in `docs/adr/`.
"""

from __future__ import annotations

FOUNDATION = {"errors", "version", "base"}
"""May be imported everywhere; imports nothing of ours but itself."""

MAY_IMPORT: dict[str, set[str]] = {
    # A package may import itself, the foundation, and what is listed: a package, or single modules of one.
    "errors": set(),
    "version": set(),
    "base": set(),
    "serde": set(),
    "net": set(),
    "fs": {"serde"},
    "storage": {"serde"},
    "spill": {"serde", "storage"},
    "lineage": {"serde.hashing", "storage.level"},
    "plan": {"lineage"},
    "schedule": {"plan.model"},
    "observe": {"plan.model", "schedule"},
    "shuffle": {"serde", "net", "storage", "spill", "lineage"},
    "shared": {"serde", "net", "storage"},
    "executor": {"serde", "net", "fs", "storage", "spill", "lineage", "shuffle", "shared"},
    "driver": {
        "serde",
        "net",
        "lineage",
        "plan",
        "schedule",
        "observe",
        "shuffle.locations",
        "shared.pieces",
        "shared.swarm",
    },
    "deploy": {"net", "storage", "schedule.states", "driver"},
    "api": {"serde", "fs", "storage.level", "lineage", "plan", "driver", "deploy", "shared", "observe"},
}

MODULE_MAY_IMPORT: dict[str, set[str]] = {
    # What a single module may import beyond its package.
    "deploy.inline": {"executor", "serde", "shared.store", "shuffle.format"},
    "deploy.capacity": {"executor.memory"},
}

TOP = {"", "__main__", "cli", "compat", "testing"}
"""May import anything below them, and nothing below imports them."""

OWNERS: dict[str, set[str]] = {
    # One file to change when a dependency changes.
    "zmq": {
        "net.hub",
        "net.link",
        "net.serve",
        "net.fetch",
        "net.lines",
        "net.connection",
        "net.inbox",
        "net.auth",
        "net.monitor",
    },
    "msgpack": {"net.wire"},
    "cloudpickle": {"serde.closures"},
    "fsspec": {"fs.paths"},
    "s3fs": {"fs.paths"},
    "datasketches": {"shared.sketches"},
    "lz4": {"serde.compress"},
    "zstandard": {"serde.compress", "fs.codecs"},
    "IPython": {"cli.shell"},
    "traitlets": {"cli.shell"},
}

DEPENDENCIES = {"cloudpickle": "cloudpickle", "fsspec": "fsspec", "msgpack": "msgpack", "pyzmq": "zmq"}
"""What is installed with rddlite, and the package that the source imports."""

BY_NAME = {"s3fs"}
"""Installed as well, and loaded by another package (fsspec, for `s3://`)."""

PURE = {
    # No I/O, no clock, no threads, no randomness of their own. A name ending in `.*` means every module of a package.
    "errors", "version",
    "base.cached", "base.hotkeys", "base.ids", "base.sizes", "base.units", "base.config", "base.backoff",
    "base.metrics", "base.meeting",
    "base.bounded", "base.hyperloglog", "base.outcome", "base.sortedruns", "base.statcounter", "base.tallies",
    "serde.hashing", "serde.rehash", "serde.siphash",
    "net.frames", "net.messages", "net.wire", "net.transfer", "net.tries", "net.window",
    "fs.globs", "fs.splits",
    "storage.immutable", "storage.level",
    "shared.pieces", "shared.swarm",
    "spill.budget", "spill.sizing",
    "lineage.*", "plan.*", "schedule.*",
    "observe.forms", "observe.replay", "observe.spread", "observe.status", "observe.story", "observe.summaries",
    "observe.translate",
    "executor.agent", "executor.commands", "executor.enrolment", "executor.events", "executor.holdings",
    "executor.meetings", "executor.outbox", "executor.pace", "executor.staff",
    "driver.accumulators", "driver.cachetable", "driver.meetings", "driver.provider",
    "deploy.masterurl",
}  # fmt: skip

PURE_ENOUGH: dict[str, str] = {
    # Pure files may import these too, for the reason given.
    "base.callsite": "looks at the caller's frame when a handle is made; files and clocks are not touched",
}

IMPURE_STDLIB = {"time", "threading", "socket", "os", "subprocess", "random"}

DEFERRABLE = {
    # Slow or optional: may be imported inside functions, so that `import rddlite` stays quick.
    "fsspec", "s3fs", "numpy", "datasketches", "IPython", "traitlets", "readline", "rlcompleter",
    "bz2", "gzip", "lzma", "zlib", "lz4", "zstandard", "statistics",
}  # fmt: skip

DEFERRED_OF_OURS: dict[str, set[str]] = {
    # Modules of ours that a file may import inside functions, and why.
    "cli.main": {
        "cli.check",
        "cli.executor",
        "cli.explain",
        "cli.shell",
        "cli.submit",
    },  # each command loads what it needs, and help nothing
    # What runs tasks, and what encrypts, serves and fetches: drivers that need neither start sooner.
    "deploy.choose": {"deploy.inline", "deploy.cluster"},
    "executor.process": {
        "executor.loop",
        "net.link",  # zmq, after the zygote is forked and while it forks the workers
        "net.fetch",
        "executor.served",
        "executor.adoption",  # zmq again, and only for executors that have peers
    },
    "executor.reach": {"net.auth", "net.fetch"},  # zmq again: workers that have no peers never need it
    "executor.broadcasts": {"net.auth", "net.fetch"},  # zmq, which workers need only where the driver is elsewhere
    "executor.main": {"net.auth"},  # zmq, which executors of a single host import later
}

EXECUTOR_NEVER_LOADS = {"plan", "schedule", "observe", "driver", "deploy", "api"}
"""Layers of which `executor.main` pulls in no file, directly or through others."""
