"""Errors of rddlite leave its public methods without the way they took through it.

The user sees their own line, the method that they called, and the error's text, which already tells what happened and
where. Errors that are not rddlite's, and those that are bugs of it, keep their whole traceback.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from rddlite.errors import ClusterError, DataError, JobError, UsageError

C = TypeVar("C", bound=type)
_TOLD_IN_FULL = (ClusterError, DataError, JobError, UsageError)


def short_tracebacks(cls: C) -> C:
    """Class decorator: wrap every public method, also inherited ones, that was defined in this package."""
    package = __name__.rpartition(".")[0]
    for base in cls.__mro__:
        if not base.__module__.startswith(package):
            continue
        for name, member in vars(base).copy().items():
            if callable(member) and not isinstance(member, type) and not name.startswith("_") and name not in vars(cls):
                setattr(cls, name, _short(member))
    cls.__init__ = _short(cls.__init__)  # type: ignore[misc]
    for name, member in vars(cls).copy().items():
        is_plain = callable(member) and not isinstance(member, type)
        if is_plain and not name.startswith("_") and not hasattr(member, "__wrapped__"):
            setattr(cls, name, _short(member))
    return cls


def _short(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except _TOLD_IN_FULL as error:
            raise error.with_traceback(None)  # noqa: B904 - it keeps the cause that it has

    return call
