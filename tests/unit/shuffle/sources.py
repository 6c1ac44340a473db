"""Sources of map outputs for tests of what fetches: no sockets, and whatever damage is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rddlite.base.ids import ShuffleData, parse_block
from rddlite.net.transfer import INDEX, Arrival, BlockMissing, Source, Unreachable, Wanted
from rddlite.shuffle.format import bucket_and_part, data_path, index_path, read_index

Spoil = Callable[[str, bytes], bytes | None]
"""What a source makes of a block's bytes; None: it says that there is no such block."""


class Sources:
    """Executors that serve the outputs of one scratch directory, and what was asked of them."""

    def __init__(self, scratch: Path, cut: Callable[[int], int] = lambda left: left) -> None:
        self.scratch = scratch
        self.cut = cut
        self.seconds_waited = 0.0
        self.asked: list[tuple[str, str, int]] = []
        self.open: list[FakeStream] = []
        self.most_open = 0
        self.n_settled = 0
        self.spoils: list[Spoil] = []
        self.dead: set[str] = set()

    def stream(self, lists: Sequence[tuple[Source, Sequence[Wanted]]], offset: int = 0) -> FakeStream:
        stream = FakeStream(self, lists, offset)
        self.open.append(stream)
        self.most_open = max(self.most_open, len(self.open))
        return stream

    def settle(self) -> None:
        self.n_settled += 1

    def bytes_of(self, wanted: Wanted) -> tuple[bytes | None, int]:
        block = parse_block(wanted.block)
        assert isinstance(block, ShuffleData)
        path = index_path(str(self.scratch), block)
        if wanted.part == INDEX:
            data: bytes | None = Path(path).read_bytes()
            count = 0
        else:
            index = read_index(path)
            bucket, part = bucket_and_part(wanted.part)
            content = Path(data_path(str(self.scratch), block)).read_bytes()
            data = b"".join(content[start : start + length] for start, length in index.extents(bucket, part))
            count = index.count(bucket, part)
        for spoil in self.spoils:
            data = spoil(wanted.block, data) if data is not None else None
        return data, count


class FakeStream:
    def __init__(self, sources: Sources, lists: Sequence[tuple[Source, Sequence[Wanted]]], offset: int) -> None:
        self.sources = sources
        self.names = [source for source, _ in lists]
        self.arrivals = [self._arrivals(source, wanted, offset) for source, wanted in lists]
        sources.asked += [(source.name, part.block, offset) for source, wanted in lists for part in wanted]

    def _arrivals(self, source: Source, wanted: Sequence[Wanted], offset: int) -> Any:
        for item, part in enumerate(wanted):
            data, count = self.sources.bytes_of(part)
            if data is None:
                yield BlockMissing(source, item, "no such file")
                continue
            start = offset if item == 0 else 0
            while True:
                size = max(1, self.sources.cut(len(data) - start)) if data else 0
                yield Arrival(item, len(data), count, start, memoryview(bytearray(data[start : start + size])))
                start += size
                if start >= len(data):
                    break

    def take(self, index: int) -> Arrival:
        self.sources.seconds_waited += 0.25
        if self.names[index].name in self.sources.dead:
            raise Unreachable(self.names[index], "connection refused (tried 5 times in 1.0 s)")
        arrival = next(self.arrivals[index])
        if isinstance(arrival, BlockMissing):
            raise arrival
        assert isinstance(arrival, Arrival)
        return arrival

    def close(self) -> None:
        if self in self.sources.open:
            self.sources.open.remove(self)
