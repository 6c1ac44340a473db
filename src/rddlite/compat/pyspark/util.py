"""Helpers of `pyspark.util` that programs import."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class VersionUtils:
    """Reads version numbers."""

    @staticmethod
    def majorMinorVersion(sparkVersion: str) -> tuple[int, int]:
        """The first two numbers of a version.

        >>> VersionUtils.majorMinorVersion("4.0.5")
        (4, 0)
        """
        match = re.match(r"(\d+)\.(\d+)(\..*)?$", sparkVersion)
        if match is None:
            raise ValueError(f"not a version such as 4.0.5: {sparkVersion!r}")
        return int(match[1]), int(match[2])


def fail_on_stopiteration(f: F) -> F:
    """A function like `f` whose StopIteration is an error, and never the end of a loop around it.

    rddlite does this by itself for the functions that it is given.
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except StopIteration as error:
            raise RuntimeError("Caught StopIteration thrown from user's code; failing the task") from error

    return wrapper  # type: ignore[return-value]
