"""What one call of the scheduler carries from part to part: the time, the stimulus, and the commands so far.

Owns the only way to change a state. Every tracked object keeps its story (its last moves and what caused each), and a
move that the tables of `states` do not have raises `IllegalTransition` with it. One `Turn` belongs to one scheduler and
is used by its parts only, within one call at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

from rddlite.errors import IllegalTransition
from rddlite.schedule.commands import Command
from rddlite.schedule.states import TASK_MOVES, Moves, TaskState

Stimulus = tuple[object, ...]
"""Name and ids of what happened; never the event itself, which may hold large results."""

Story = tuple[tuple[IntEnum, IntEnum, Stimulus], ...]
STORY_LENGTH = 20


class Tracked:
    """Something with a state, changed by `Turn.move` alone."""

    __slots__ = ("state", "story")
    kind: ClassVar[str]
    moves: ClassVar[Moves]
    state: IntEnum
    story: Story

    def __init__(self, state: IntEnum) -> None:
        self.state = state
        self.story = ()

    def title(self) -> str:
        """What this object is, for error texts."""
        return self.kind


class Turn:
    """The current call: `now`, the `stimulus` being handled, and the `commands` that answer it."""

    __slots__ = ("commands", "now", "stimulus")

    def __init__(self) -> None:
        self.now = float("-inf")
        self.stimulus: Stimulus = ()
        self.commands: list[Command] = []

    def move(self, thing: Tracked, new: IntEnum) -> None:
        """Change the state of `thing`.

        Raises:
            IllegalTransition: if its table has no such move; the text tells its story.
        """
        old = thing.state
        if (old, new) not in thing.moves:
            raise illegal(thing.title(), old, new, self.stimulus, thing.story)
        thing.state = new
        thing.story = (*thing.story[1 - STORY_LENGTH :], (old, new, self.stimulus))

    def move_task(self, status: bytearray, index: int, new: int) -> None:
        """Change the state of one task, kept as a byte.

        Raises:
            IllegalTransition: if the table of tasks has no such move.
        """
        old = status[index]
        if (old, new) not in _TASK_MOVES:
            raise illegal(f"task {index}", TaskState(old), TaskState(new), self.stimulus, ())
        status[index] = new


_TASK_MOVES: frozenset[tuple[int, int]] = frozenset((int(old), int(new)) for old, new in TASK_MOVES)


def illegal(title: str, old: IntEnum, new: IntEnum, stimulus: Stimulus, story: Sequence[object]) -> IllegalTransition:
    """The error for a move that a table does not have."""
    lines = [f"{title} cannot go from {old.name} to {new.name} on {told(stimulus)}; please report this. Its story:"]
    lines += [f"  {line}" for line in retold(story)] or ["  (no moves before)"]
    return IllegalTransition("\n".join(lines))


def retold(story: Sequence[object]) -> list[str]:
    """The story of a tracked object, one line per move."""
    lines: list[str] = []
    for step in story:
        assert isinstance(step, tuple)
        old, new, stimulus = step
        lines.append(f"{old.name} to {new.name} on {told(stimulus)}")
    return lines


def told(stimulus: Stimulus) -> str:
    """A stimulus as text."""
    return " ".join(str(part) for part in stimulus) or "construction"
