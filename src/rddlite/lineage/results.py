"""What users see as the values of one key after groupByKey, groupBy and cogroup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ResultIterable(Generic[T]):
    """The values of one group: may be iterated as often as one likes, has a length, and is no list.

    As in PySpark two of them compare by identity, and there is no indexing: `.data` is a list of the values. It is a
    new one at each use, so that nothing can change a group that is kept elsewhere.
    """

    __slots__ = ("_values",)

    def __init__(self, values: list[T]) -> None:
        self._values = values

    @property
    def data(self) -> list[T]:
        """A new list of the values."""
        return list(self._values)

    @property
    def maxindex(self) -> int:
        """The number of values."""
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[type[ResultIterable[T]], tuple[list[T]]]:
        return (type(self), (self._values,))

    def __repr__(self) -> str:
        return f"<ResultIterable of {len(self._values)} values>"
