"""Which versions driver and executors must share, compared before any task runs."""

from __future__ import annotations

import sys

from rddlite.net.messages import PROTOCOL, Register
from rddlite.serde.closures import cloudpickle_version
from rddlite.version import __version__


def mismatch(message: Register) -> str | None:
    """What makes an executor unfit for this driver, with both versions named; None if nothing does."""
    python = "{}.{}.{}".format(*sys.version_info[:3])
    pairs = (
        ("protocol", str(message.protocol), str(PROTOCOL)),
        ("Python", message.python.rsplit(".", 1)[0], python.rsplit(".", 1)[0]),
        ("rddlite", message.rddlite, __version__),
        ("cloudpickle", message.cloudpickle, cloudpickle_version()),
    )
    for what, theirs, ours in pairs:
        if theirs != ours:
            return f"the executor runs {what} {theirs}, the driver {what} {ours}: install the same version on both"
    return None
