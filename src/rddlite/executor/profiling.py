"""Runs the work of a task under the profilers that its job brought. Loaded by all workers, so it loads none itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rddlite.serde.closures import loads


def profiled(profilers: bytes, functions: Sequence[Any], work: Callable[[], Any]) -> Any:
    """The result of `work`, run by the pickled profilers, each around the one before.

    `functions` are those of the user's that it calls, for profilers that look at these alone.
    """
    for each in loads(profilers):
        options = {"functions": functions} if getattr(each, "_watches_functions", False) else {}
        work = functools.partial(each.profile, work, **options)
    return work()
