"""Where the broadcasts of a worker come from: the driver's files on this host, else this executor's, else peers'."""

from __future__ import annotations

from rddlite.executor.env import DriverPlace
from rddlite.executor.memory import shift_data_limit
from rddlite.net.samehost import is_same_host
from rddlite.net.transfer import Source
from rddlite.shared.download import Downloader, Network
from rddlite.shared.store import BroadcastStore

_SHARE = 0.5
_TIMEOUT, _RETRIES = 5.0, 2


def broadcast_store(scratch: str, executor: str, driver: DriverPlace, keys: str, memory_limit: int) -> BroadcastStore:
    """The store of a worker process."""
    home = driver.scratch if is_same_host(driver.scratch, driver.token) else None
    way = _downloader(scratch, executor, driver.address, keys) if home is None and keys and driver.address else None
    return BroadcastStore(home, way, int(memory_limit * _SHARE), shift_data_limit)


def _downloader(scratch: str, executor: str, address: str, keys: str) -> Downloader:
    # What fetches is slow to import, and only executors on other hosts than their driver's need it.
    from rddlite.net.auth import ExecutorKeys
    from rddlite.net.fetch import Fetcher

    known = ExecutorKeys.from_json(keys)
    network = Network(
        driver=Source("the driver", address, known.driver_public),
        peers_key=known.executors.public,
        make_fetcher=lambda: Fetcher(known.executors, timeout=_TIMEOUT, retries=_RETRIES),
    )
    return Downloader(scratch, executor, network)
