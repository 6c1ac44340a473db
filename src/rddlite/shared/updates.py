"""What tasks added to accumulators, on its way to the driver: one blob per task, opened only where it is wanted.

A task packs what it touched. The driver's loop passes blobs on unopened; the thread that waits for the job adds them
up, because unpickling and adding run the user's code.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping

from rddlite.base.units import show_bytes
from rddlite.errors import JobError, NotPicklable, UsageError
from rddlite.serde.closures import loads
from rddlite.serde.records import decode_frame, encode_object
from rddlite.shared.accumulator import Gathered, accumulator_on_driver, merge_into

MOST_BYTES = 8 << 20
"""Updates travel in the report of their task and wait in the driver for the end of the job."""
_AS_THEY_ARE = (int, float, complex)


def pack_updates(updates: Mapping[int, Gathered]) -> bytes:
    """What a task added, in the order of ids; empty if it added nothing.

    Raises:
        NotPicklable: naming the accumulator whose sum cannot travel.
        UsageError: if they are too large.
    """
    if not updates:
        return b""
    packed = pickle.dumps([(aid, _packed(updates[aid])) for aid in sorted(updates)], protocol=5)
    if len(packed) > MOST_BYTES:
        labels = ", ".join(updates[aid].label for aid in sorted(updates))
        raise UsageError(
            f"what one task added to accumulators takes {show_bytes(len(packed))}, and at most "
            f"{show_bytes(MOST_BYTES)} can travel with its report: {labels}. Accumulators are for small sums; make "
            "large data records of an RDD and reduce them"
        )
    return packed


def add_updates(blobs: Iterable[bytes]) -> None:
    """Add what tasks packed to the accumulators that the program still has. For the driver, outside its loop.

    Raises:
        JobError: if adding raised something; everything else was added all the same.
    """
    failure: JobError | None = None
    for blob in blobs:
        for aid, packed in loads(blob):
            accumulator = accumulator_on_driver(aid)
            if accumulator is None:
                continue
            try:
                merge_into(accumulator, _unpacked(packed))
            except Exception as error:  # the user's addInPlace, or the making of his objects
                if failure is None:
                    text = f"what tasks added to {accumulator!r} could not be added up on the driver: {error!r}"
                    failure = JobError(text)
                    failure.__cause__ = error
    if failure is not None:
        raise failure


def _packed(gathered: Gathered) -> int | float | complex | bytes:
    value = gathered.value
    if type(value) in _AS_THEY_ARE:
        number: int | float | complex = value
        return number
    try:
        return b"".join(encode_object(value))
    except NotPicklable as error:
        raise NotPicklable(f"what a task added to {gathered.label} cannot be sent to the driver: {error}") from error


def _unpacked(packed: int | float | complex | bytes) -> object:
    return decode_frame(packed)[0].object() if isinstance(packed, bytes) else packed
