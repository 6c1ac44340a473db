"""Bytes and durations, parsed from what people write and printed as people read."""

from __future__ import annotations

import re

_BYTE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SECOND_UNITS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def parse_bytes(text: str | int) -> int:
    """Bytes of `512m`, `1g`, `1.5 GiB`, `100` (powers of 1024).

    >>> parse_bytes("2k")
    2048

    Raises:
        ValueError: if the text is no size.
    """
    if isinstance(text, int):
        return text
    match = _NUMBER.fullmatch(text)
    unit = match.group(2).lower().removesuffix("ib").removesuffix("b") if match else None
    if match is None or unit not in _BYTE_UNITS:
        raise ValueError(f"not a size in bytes: {text!r} (write for instance 512m or 2g)")
    return int(float(match.group(1)) * _BYTE_UNITS[unit])


def parse_seconds(text: str | float) -> float:
    """Seconds of `10s`, `500ms`, `2min`, `1.5`.

    >>> parse_seconds("500ms")
    0.5

    Raises:
        ValueError: if the text is no duration.
    """
    if isinstance(text, (int, float)):
        return float(text)
    match = _NUMBER.fullmatch(text)
    if match is None or match.group(2).lower() not in _SECOND_UNITS:
        raise ValueError(f"not a duration: {text!r} (write for instance 15s or 500ms)")
    return float(match.group(1)) * _SECOND_UNITS[match.group(2).lower()]


def show_bytes(n: float) -> str:
    """A size for people.

    >>> show_bytes(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(n) < 1024 or unit == "TiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    raise AssertionError("unreachable")


def show_seconds(seconds: float) -> str:
    """A duration for people.

    >>> show_seconds(0.0123), show_seconds(75)
    ('12 ms', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def show_count(n: int) -> str:
    """A count with thousands separators.

    >>> show_count(1234567)
    '1,234,567'
    """
    return f"{n:,}"
