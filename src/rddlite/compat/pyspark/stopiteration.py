"""What `pyspark.util` has for functions that raise StopIteration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


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
