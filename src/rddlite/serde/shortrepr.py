"""Shows a record in an error message: short, and never the cause of another error."""

from __future__ import annotations

import reprlib
from typing import Any

LIMIT = 200
"""About how many characters a record may take in a message."""


class _ShortRepr(reprlib.Repr):
    """Cuts before it prints: a large string or number is never turned into text as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 8
        self.maxdict = 6
        self.maxstring = self.maxother = 80

    def repr1(self, x: Any, level: int) -> str:
        if type(x).__module__ in ("builtins", "collections", "array"):
            return super().repr1(x, level)
        return self.repr_instance(x, level)  # reprlib goes by the name of the type: a user's `array` is another

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x) if len(x) <= 40 else f"{bytes(x[:30])!r}... ({len(x)} bytes)"

    def repr_bytearray(self, x: bytearray, level: int) -> str:
        return repr(x) if len(x) <= 40 else f"bytearray({bytes(x[:30])!r}... ({len(x)} bytes))"

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 200 else f"<int of {x.bit_length()} bits>"


def type_name(kind: type) -> str:
    """`module.qualname`, without the module for built-in types."""
    module, name = getattr(kind, "__module__", None), getattr(kind, "__qualname__", "?")
    return str(name) if module in (None, "builtins") else f"{module}.{name}"


def short_repr(obj: Any) -> str:
    """A repr of at most about LIMIT characters; a stand-in where `repr` fails."""
    try:
        text = _ShortRepr().repr(obj)
    except Exception as error:  # whatever the user's __repr__ raises, another error is being reported already
        text = f"<{type_name(type(obj))} object, whose repr raises {type_name(type(error))}>"
    text = text.replace("\n", " ")
    if len(text) <= LIMIT:
        return text
    return f"{text[: LIMIT * 2 // 3]}...{text[-(LIMIT // 3 - 3) :]}"
