"""Counts how often each row of the scheduler's transition tables is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import IntEnum

from rddlite.schedule.states import TABLES, TaskState
from rddlite.schedule.turn import Tracked, Turn

Row = tuple[str, str, str]
"""Kind, old state, new state."""


class CountingTurn(Turn):
    """A `Turn` that counts moves in `rows`."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        super().__init__()
        self.rows: Counter[Row] = Counter()

    def move(self, thing: Tracked, new: IntEnum) -> None:
        """Change a state, and count the move."""
        row = (thing.kind, thing.state.name, new.name)
        super().move(thing, new)
        self.rows[row] += 1

    def move_task(self, status: bytearray, index: int, new: int) -> None:
        """Change the state of a task, and count the move."""
        row = ("task", TaskState(status[index]).name, TaskState(new).name)
        super().move_task(status, index, new)
        self.rows[row] += 1


def all_rows() -> Iterator[Row]:
    """Every row of every table."""
    for kind, moves in TABLES.items():
        for old, new in moves:
            yield kind, old.name, new.name
