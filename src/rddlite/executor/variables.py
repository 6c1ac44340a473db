"""The variables that the program chose for the environment of its executors, taken over by a worker when it is told.

Executors that the driver started have them from the beginning (`deploy/launch.py`); those that joined have them now,
which is early enough for whatever user code loads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_PATH = "PYTHONPATH"
_FIXED = {"PYTHONHASHSEED", _PATH}
"""What Python reads when it starts. Keys are placed alike everywhere only with the one seed that executors have."""


def take_over(variables: Mapping[str, str]) -> None:
    """Set them in this process. Directories of `PYTHONPATH` come first where modules are looked for."""
    os.environ.update({name: value for name, value in variables.items() if name not in _FIXED})
    new = [path for path in variables.get(_PATH, "").split(os.pathsep) if path and path not in sys.path]
    sys.path[:0] = new
