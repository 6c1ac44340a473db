"""Threads that take over the group, tags, description and other properties of the thread that made them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rddlite.api.session import Session

T = TypeVar("T")


def inheritable_thread_target(f: Callable[..., T]) -> Callable[..., T]:
    """A function that runs with the properties that this thread has now, whatever thread calls it.

    >>> with sc.jobGroup("nightly"):
    ...     read = inheritable_thread_target(lambda: sc.getLocalProperty("spark.jobGroup.id"))
    >>> read(), sc.getLocalProperty("spark.jobGroup.id")
    ('nightly', None)
    """
    active = Session._active
    if not callable(f):
        raise TypeError(f"inheritable_thread_target: f must be a function, not {type(f).__qualname__}")
    if active is None:
        return f
    properties = active._properties.copy()

    @functools.wraps(f)
    def with_properties(*args: Any, **kwargs: Any) -> T:
        before = active._properties.copy()
        active._properties.take(properties)
        try:
            return f(*args, **kwargs)
        finally:
            active._properties.take(before)

    return with_properties


class InheritableThread(threading.Thread):
    """A thread with the properties that the thread that makes it has then. Other threads start without any.

    >>> found = []
    >>> with sc.jobGroup("nightly"):
    ...     thread = InheritableThread(target=lambda: found.append(sc.getLocalProperty("spark.jobGroup.id")))
    >>> thread.start(); thread.join(); found
    ['nightly']
    """

    def __init__(
        self,
        target: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(None, inheritable_thread_target(target), name, args, kwargs, daemon=daemon)
