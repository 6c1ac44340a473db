"""Values of tasks, back in the driver: small ones from the message, large ones from a file of the host."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any

from rddlite.base.ids import AttemptId, TaskResult
from rddlite.base.outcome import InlineResult, StoredResult, TaskValue
from rddlite.lineage.consumers import Collect, Consumer
from rddlite.serde.records import iter_frames


def value_size(value: TaskValue) -> int:
    """Pickled bytes of a result."""
    if type(value) is InlineResult:
        return len(value.data)
    return value.size if type(value) is StoredResult else 0


def load_value(value: TaskValue, consumer: Consumer) -> Any:
    """The value of one task; a stored one is deleted once it is read."""
    match value:
        case InlineResult(data):
            return _decode(memoryview(data), consumer)
        case StoredResult(path, _):
            with open(path, "rb") as file:
                discard(value)
                # Arrays of a result may keep the mapping alive after this returns; it is released with them.
                region = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            return _decode(memoryview(region), consumer)
    raise TypeError(f"not a task result: {value!r}")


def claim(value: StoredResult, scratch: str, attempt: AttemptId) -> StoredResult | None:
    """Take the file over from its executor, whose own directory `scratch` goes when it leaves: into the one above it.
    None if the file is gone, or is not this attempt's result.
    """
    name = str(TaskResult(attempt))
    if value.path != os.path.join(scratch, "results", name):
        return None
    path = os.path.join(os.path.dirname(scratch), name)
    try:
        os.rename(value.path, path)
    except (OSError, ValueError):  # a ValueError: no file can be called that
        return None
    return StoredResult(path, value.size)


def discard(value: TaskValue) -> None:
    """Delete what an unwanted result left on disk."""
    if isinstance(value, StoredResult):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(value.path)


def _decode(view: memoryview, consumer: Consumer) -> Any:
    frames = iter_frames(view)
    if not isinstance(consumer, Collect):
        return next(frames).object()
    records: list[Any] = []
    for frame in frames:
        records += frame.records()
    return records
