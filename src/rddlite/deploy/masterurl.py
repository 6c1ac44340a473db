"""Master URLs, read once: what a program wants to run on.

    inline                              tasks run in the driver's own process, one after the other
    local, local[n], local[*]           one executor of this host with 1, n, or a worker per core
    local[n,F]                          the same, where a task gets F attempts
    local-cluster[n,c,m]                n executors of c workers and m memory each, over TCP, on this host
    rdd://host:port                     the driver listens there, and executors join it: `rddlite executor`

What is not one of these is refused, with all of them in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rddlite.base.units import parse_bytes, show_bytes
from rddlite.errors import InvalidMaster

Kind = Literal["inline", "local", "local-cluster", "listen"]

_FORMS = (
    "inline, local, local[n], local[*] (one worker per core), local[n,F] (F attempts per task), "
    "local-cluster[executors,cores,memory] (for instance local-cluster[2,1,512m]), or rdd://host:port (listen there "
    "for `rddlite executor`)"
)
_JOIN = "use rdd://host:port, and have the cluster start `rddlite executor` on its hosts"
_OTHERS = {
    "k8s://": f"{_JOIN} (as the command of a Job or Deployment), or local[*] on one machine",
    "mesos": f"{_JOIN}, or local[*] on one machine",
    "spark-connect://": "there are no Spark servers; use local[*], or rdd://host:port with executors that join",
    "sc://": "there are no Spark servers; use local[*], or rdd://host:port with executors that join",
    "spark://": f"{_JOIN}, or local[*] on one machine",
    "yarn": f"{_JOIN}, or local[*] on one machine",
}
"""Masters of Spark's, and what to use in their place."""
_LOCAL = re.compile(r"local(?:\[\s*(\*|\d+)\s*(?:,\s*(\d+)\s*)?\])?")
_LOCAL_CLUSTER = re.compile(r"local-cluster\[([^,\]]*),([^,\]]*),([^,\]]*)\]")
_LISTEN = re.compile(r"rdd://(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d+)")
_MOST_SLOTS = 4096
_MOST_EXECUTORS = 1024
_MOST_PORT = 65_535
LEAST_MEMORY = 64 << 20
_ATTEMPTS_ON_CLUSTERS = 4


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What a master URL asks for: `executors` of `slots` workers each; of a driver that listens, none and 0.

    `max_failures` is how many attempts user code gets where the settings leave it open. `memory` is in bytes, of each
    executor; None leaves it to the settings. `host` and `port` are where a driver listens.
    """

    kind: Kind
    executors: int
    slots: int
    max_failures: int
    memory: int | None = None
    host: str = ""
    port: int = 0


def parse_master(url: str, cores: int) -> ClusterSpec:
    """The meaning of a master URL on a machine with `cores` usable cores.

    >>> parse_master("local[4,3]", cores=2)
    ClusterSpec(kind='local', executors=1, slots=4, max_failures=3, memory=None, host='', port=0)

    Raises:
        InvalidMaster: if it has no meaning.
    """
    if not isinstance(url, str):
        raise InvalidMaster(f"a master URL is a string, not {type(url).__name__}")
    text = url.strip()
    if text == "inline":
        return ClusterSpec("inline", executors=1, slots=1, max_failures=1)
    if match := _LOCAL.fullmatch(text):
        return _local(url, match.group(1), match.group(2), cores)
    if match := _LOCAL_CLUSTER.fullmatch(text):
        return _local_cluster(url, *(part.strip() for part in match.groups()))
    if match := _LISTEN.fullmatch(text):
        return _listen(url, match.group(1).strip("[]"), int(match.group(2)))
    for beginning, instead in _OTHERS.items():
        if text.startswith(beginning):
            raise InvalidMaster(f"master {url!r} is a cluster of Spark's, which rddlite does not use: {instead}")
    raise InvalidMaster(f"cannot read master {url!r}: use {_FORMS}")


def _local(url: str, count: str | None, failures: str | None, cores: int) -> ClusterSpec:
    slots = 1 if count is None else cores if count == "*" else int(count)
    _require(url, "workers", slots, _MOST_SLOTS)
    if failures is not None and int(failures) < 1:
        raise InvalidMaster(f"master {url!r}: a task needs at least 1 attempt")
    return ClusterSpec("local", executors=1, slots=slots, max_failures=int(failures or 1))


def _local_cluster(url: str, executors: str, slots: str, memory: str) -> ClusterSpec:
    if not executors.isdecimal() or not slots.isdecimal():
        raise InvalidMaster(f"master {url!r}: executors and cores are whole numbers, as in local-cluster[2,1,512m]")
    _require(url, "executors", int(executors), _MOST_EXECUTORS)
    _require(url, "workers in each executor", int(slots), _MOST_SLOTS)
    try:
        # A number alone means megabytes, as in Spark.
        size = int(memory) << 20 if memory.isdecimal() else parse_bytes(memory)
    except ValueError as error:
        raise InvalidMaster(f"master {url!r}: the memory of an executor is {error}") from error
    if size < int(slots) * LEAST_MEMORY:
        raise InvalidMaster(
            f"master {url!r} gives each of {slots} workers {show_bytes(size // int(slots))} of memory: each needs "
            f"at least {show_bytes(LEAST_MEMORY)}"
        )
    return ClusterSpec("local-cluster", int(executors), int(slots), _ATTEMPTS_ON_CLUSTERS, memory=size)


def _listen(url: str, host: str, port: int) -> ClusterSpec:
    if port > _MOST_PORT:
        raise InvalidMaster(f"master {url!r}: ports end at {_MOST_PORT} (0 means any that is free)")
    return ClusterSpec("listen", 0, 0, _ATTEMPTS_ON_CLUSTERS, host=host, port=port)


def _require(url: str, what: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise InvalidMaster(f"master {url!r} asks for {count} {what}: 1 to {most} are possible")
