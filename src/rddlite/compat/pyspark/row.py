"""Row: a tuple whose values have names, as PySpark's SQL has it, for programs whose records are rows."""

from __future__ import annotations

from typing import Any


class Row(tuple[Any, ...]):
    """A tuple with named values; or, made of names alone, a maker of such tuples.

    >>> row = Row(name="Alice", age=11)
    >>> row.name, row["age"], row[0], "name" in row
    ('Alice', 11, 'Alice', True)
    >>> Person = Row("name", "age")
    >>> Person("Bob", 7)
    Row(name='Bob', age=7)
    """

    __fields__: list[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Row:
        if args and kwargs:
            raise ValueError("Row: give either names with values, or values alone, not both")
        if not kwargs:
            return tuple.__new__(cls, args)
        return _named(cls, list(kwargs), tuple(kwargs.values()))

    def __call__(self, *values: Any) -> Row:
        """A row with this one's items as names.

        Raises:
            ValueError: for more values than names.
        """
        if len(values) > len(self):
            raise ValueError(f"Row: {len(values)} values for {len(self)} names: {', '.join(map(str, self))}")
        return _named(type(self), list(self), values)

    def asDict(self, recursive: bool = False) -> dict[str, Any]:
        """The values by name; with `recursive` also those of rows within lists, dictionaries and rows.

        >>> Row(a=1, b=Row(c=2)).asDict(recursive=True)
        {'a': 1, 'b': {'c': 2}}

        Raises:
            TypeError: if the values have no names.
        """
        if not hasattr(self, "__fields__"):
            raise TypeError("asDict: this Row has no names")
        values = map(_plain, self) if recursive else self
        return dict(zip(self.__fields__, values, strict=False))

    def __contains__(self, item: object) -> bool:
        return item in self.__fields__ if hasattr(self, "__fields__") else super().__contains__(item)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, slice)):
            return super().__getitem__(item)
        return super().__getitem__(self._index(item, KeyError))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return super().__getitem__(self._index(name, AttributeError))

    def _index(self, name: str, error: type[Exception]) -> int:
        names = self.__dict__.get("__fields__", [])
        if name not in names or names.index(name) >= len(self):
            raise error(name)
        return int(names.index(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "__fields__":
            raise AttributeError("a Row cannot be changed: make a new one")
        self.__dict__[name] = value

    def __reduce__(self) -> Any:
        if hasattr(self, "__fields__"):
            return _named, (type(self), self.__fields__, tuple(self))
        return type(self), tuple(self)

    def __repr__(self) -> str:
        if not hasattr(self, "__fields__"):
            return f"<Row({', '.join(map(repr, self))})>"
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(self.__fields__, self, strict=False))})"


def _named(cls: type[Row], names: list[str], values: tuple[Any, ...]) -> Row:
    row = tuple.__new__(cls, values)
    row.__fields__ = names
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.asDict(recursive=True)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
