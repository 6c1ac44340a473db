"""Source text of a loop while it is being written: lines, indentation, and what each line that can fail is doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rddlite.executor.blame import CURRENT, Deed, Spot


@dataclass(frozen=True, slots=True)
class Record:
    """The record in hand as the loop knows it: a local variable, or a pair whose tuple nobody has needed so far.

    `key` and `value` are names of locals or constants. Both forms may be known at once.
    """

    name: str | None = None
    key: str | None = None
    value: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The locals that hold it, for a `Spot`."""
        if self.name is not None:
            return (self.name,)
        assert self.key is not None
        assert self.value is not None
        return (self.key, self.value)

    @property
    def expression(self) -> str:
        """It as an expression, to be used once."""
        return self.name if self.name is not None else f"({self.key}, {self.value})"

    @property
    def is_pair(self) -> bool:
        """Whether key and value are known without looking into it."""
        return self.key is not None


def pair(key: str, value: str) -> Record:
    """A pair that is no tuple yet."""
    return Record(None, key, value)


CURRENT_RECORD = Record(CURRENT)


class LoopCode:
    """Lines of source, written from top to bottom. `labels` name the operations in comments."""

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self.spots: dict[int, Spot] = {}
        self._labels = labels
        self._depth = 0

    def line(self, text: str) -> None:
        """A line that cannot fail for a reason of the user's."""
        self.lines.append(" " * self._depth + text)

    def risky(self, text: str, position: int, deed: Deed, record: Record | None = None, operand: str = "") -> None:
        """A line that can; see `Spot`."""
        self.line(f"{text}  # {self._labels[position]}" if 0 <= position < len(self._labels) else text)
        self.spots[len(self.lines)] = Spot(position, deed, record.names if record is not None else (), operand)

    @contextmanager
    def block(self) -> Iterator[None]:
        """Everything within is indented by one step."""
        self._depth += 1
        yield
        self._depth -= 1

    @property
    def text(self) -> str:
        """The whole source."""
        return "\n".join(self.lines) + "\n"
