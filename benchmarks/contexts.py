"""Contexts to be measured: nothing is timed before all their workers are there."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rddlite import Conf, Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def ready_context(master: str, settings: Mapping[str, Any] | None = None) -> Iterator[Context]:
    """A context whose executors and workers have all registered."""
    conf = Conf().set("progress.show", "false")
    for key, value in (settings or {}).items():
        conf.set(key, value)
    with Context(master, "benchmark", conf=conf) as sc:
        wait_for_workers(sc)
        yield sc


def wait_for_workers(sc: Context) -> None:
    """Until as many are there as the master asks for."""
    while sum(len(executor.workers) for executor in sc.executors) < sc.defaultParallelism:
        time.sleep(0.001)
