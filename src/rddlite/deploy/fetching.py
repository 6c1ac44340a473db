"""How the driver gets large results out of executors whose files it cannot read: through their block servers."""

from __future__ import annotations

from typing import BinaryIO

from rddlite.base.ids import ExecutorId
from rddlite.net.auth import DriverKeys
from rddlite.net.fetch import Fetcher
from rddlite.net.transfer import WHOLE, Source, Wanted


class ResultFetch:
    """Used by the collector's thread only."""

    def __init__(self, keys: DriverKeys) -> None:
        self._public = keys.executors.public
        self._fetcher = Fetcher(keys.driver)

    def fetch(self, executor: ExecutorId, address: str, block: str, file: BinaryIO) -> None:
        """Write the whole block to `file`.

        Raises:
            FetchError: if it cannot be had, after some tries.
        """
        source = Source(f"executor {executor}", address, self._public)
        self._fetcher.fetch_to(source, Wanted(block, WHOLE), file)

    def close(self) -> None:
        """Close all connections."""
        self._fetcher.close()
