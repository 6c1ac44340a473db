"""Logger names and the set-up of logging in rddlite's own processes.

The driver is the user's process: there rddlite only gets loggers below `rddlite` and configures nothing. Executors
and workers write warnings and errors to stderr, which the executor forwards to the driver.
"""

from __future__ import annotations

import logging
import math
import sys


def logger(part: str) -> logging.Logger:
    """The logger of one part, for instance `rddlite.driver`."""
    return logging.getLogger(f"rddlite.{part}")


def is_milestone(count: int) -> bool:
    """Whether the `count`th of its kind is worth a line: the 1st, 10th, 100th ...; whoever sends garbage sends a lot.

    >>> [n for n in range(1, 1001) if is_milestone(n)]
    [1, 10, 100, 1000]
    """
    return math.log10(count).is_integer()


def configure_process(role: str, level: str = "WARNING") -> None:
    """Send records of `level` and above to stderr, marked with the role of this process."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter(f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level)
