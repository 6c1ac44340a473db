"""What the tasks of a worker can get at beyond their own host's files: made once per worker, connected when needed."""

from __future__ import annotations

from rddlite.executor.env import ExecutorEnv
from rddlite.executor.memory import more_data
from rddlite.shuffle.fetcher import Fetching, Reach

_STACKS = 64 << 20
"""Address space for the threads of libzmq."""


def reach_of(env: ExecutorEnv) -> Reach | None:
    """How tasks reach outputs on other hosts; None where there are none."""
    if not env.keys:
        return None
    # What fetches is slow to import, and workers of executors without peers never need it.
    from rddlite.net.auth import ExecutorKeys
    from rddlite.net.fetch import Fetcher

    pair = ExecutorKeys.from_json(env.keys).executors
    settings = env.settings

    def connect() -> Fetching:
        fetcher = Fetcher(
            pair,
            window=settings["shuffle.window"],
            timeout=settings["shuffle.fetchTimeout"],
            retries=settings["shuffle.fetchRetries"],
        )
        with more_data(_STACKS):
            fetcher.start()
        return fetcher

    return Reach(env.executor_id, pair.public, connect)
