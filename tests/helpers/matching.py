"""Partial matchers: compare what matters of a value, and see the rest only when it fails."""

from __future__ import annotations

from typing import Any


class Like:
    """Equal to any object of the class whose named fields are equal."""

    def __init__(self, cls: type, fields: dict[str, Any]) -> None:
        self._cls = cls
        self._fields = fields

    def __eq__(self, other: object) -> bool:
        return type(other) is self._cls and all(getattr(other, name) == value for name, value in self._fields.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._fields.items())
        return f"like({self._cls.__name__}, {fields})"


def like(cls: type, **fields: Any) -> Like:
    """`like(Launch, index=3) == launch` whatever else the launch says."""
    return Like(cls, fields)


def of(cls: type, things: list[Any]) -> list[Any]:
    """Those of exactly this class, in order."""
    return [thing for thing in things if type(thing) is cls]
