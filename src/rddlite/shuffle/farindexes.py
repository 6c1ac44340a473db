"""What a reduce task has to know of map outputs on other hosts before it asks for single parts of buckets.

All sources are asked for their indexes at once. Outlines of these are remembered by this process, because they never
change: indexes are many times as large, and those of a large shuffle have no room in memory. An index that is damaged,
or said to be missing, is fetched once more; then its output is `BlockLost`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.errors import CorruptBlock
from rddlite.net.transfer import INDEX, BlockMissing, Unreachable
from rddlite.shuffle.fetcher import Reach, Round, Row, ask_round, cut_rounds, lost, told
from rddlite.shuffle.format import BucketIndex, Outline, parse_index
from rddlite.shuffle.reader import BlockLost, IndexCache


def far_outlines(reach: Reach, shuffle: ShuffleId, rows: Sequence[Row], indexes: IndexCache) -> dict[int, Outline]:
    """The outline of each row's output, by map partition.

    Raises:
        BlockLost: for the first one that cannot be had.
    """
    found: dict[int, Outline] = {}
    unknown: list[Row] = []
    for row in rows:
        outline = indexes.outline(_name(shuffle, row))
        if outline is None:
            unknown.append(row)
        else:
            found[row[0]] = outline
    for some in cut_rounds(unknown):
        asked = ask_round(reach, shuffle, some, INDEX)
        try:
            for row in some:
                outline = found[row[0]] = _index(reach, shuffle, row, asked).outline()
                indexes.remember(_name(shuffle, row), outline)
        finally:
            asked.stream.close()
    return found


def _name(shuffle: ShuffleId, row: Row) -> str:
    return f"{row[1].executor}/{_block(shuffle, row)}"


def _index(reach: Reach, shuffle: ShuffleId, row: Row, asked: Round) -> BucketIndex:
    try:
        return _taken(shuffle, row, asked)
    except (CorruptBlock, BlockMissing) as error:
        failed = _reason(shuffle, row, error)
    again = ask_round(reach, shuffle, [row], INDEX)
    try:
        return _taken(shuffle, row, again, failed)
    except (CorruptBlock, BlockMissing) as error:
        raise _lost(shuffle, row, failed, _reason(shuffle, row, error)) from error
    finally:
        again.stream.close()


def _taken(shuffle: ShuffleId, row: Row, asked: Round, failed: str | None = None) -> BucketIndex:
    try:
        pieces = [asked.take(row[0])]
        while not pieces[-1].is_last:
            pieces.append(asked.take(row[0]))
    except Unreachable as error:
        raise _lost(shuffle, row, failed, f"{_block(shuffle, row)}: {error}") from error
    return parse_index(b"".join(piece.data for piece in pieces), f"the index of {_block(shuffle, row)}")


def _block(shuffle: ShuffleId, row: Row) -> ShuffleData:
    map_index, location = row
    return ShuffleData(shuffle, map_index, location.attempt)


def _reason(shuffle: ShuffleId, row: Row, error: OSError) -> str:
    return f"{_block(shuffle, row)}: {told(row[1], error)}"


def _lost(shuffle: ShuffleId, row: Row, failed: str | None, reason: str) -> BlockLost:
    return lost(_block(shuffle, row), row[1], failed, reason)
