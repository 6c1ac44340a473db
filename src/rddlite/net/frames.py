"""A control message as frames of bounded size.

A large message in one frame would keep a connection busy for so long that its heartbeats came too late, and whoever
listens would have to let strangers, who are not known yet, send frames as large. So no frame has more than `MAX_FRAME`
bytes, and a message has as few as it can.
"""

from __future__ import annotations

from collections.abc import Sequence

from rddlite.errors import RemoteProtocolError

MAX_FRAME = 4 << 20
LONGEST_ON_THE_WIRE = MAX_FRAME + 1024
"""Most bytes of a frame with what encryption adds to it."""

Frames = Sequence[bytes | memoryview]


def cut(data: bytes) -> Frames:
    """The frames of a message."""
    if len(data) <= MAX_FRAME:
        return (data,)
    view = memoryview(data)
    return [view[start : start + MAX_FRAME] for start in range(0, len(data), MAX_FRAME)]


def join(frames: Sequence[bytes]) -> bytes:
    """The inverse of `cut`.

    Raises:
        RemoteProtocolError: if these are no frames that `cut` makes.
    """
    if len(frames) == 1 and len(frames[0]) <= MAX_FRAME:
        return frames[0]
    *full, last = frames or [b""]
    if not 0 < len(last) <= MAX_FRAME or any(len(frame) != MAX_FRAME for frame in full):
        raise RemoteProtocolError(f"{len(frames)} frames of {sum(map(len, frames))} bytes are no message")
    return b"".join(frames)
