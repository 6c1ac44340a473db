"""Settings that a program does not give itself: from the flags and the file of `rddlite submit`, and the environment.

Earlier wins: what the program sets, flags, the file, variables named `RDDLITE_` and the key (`RDDLITE_EXECUTOR_MEMORY`,
`RDDLITE_DRIVER_MAX_RESULT_SIZE`), defaults.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rddlite.base.config import SETTINGS
from rddlite.errors import ConfigError

SUBMITTED = "RDDLITE_SUBMITTED"
"""The variable in which `rddlite submit` hands settings to the script: JSON, {key: [value, where it came from]}."""

_PREFIX = "RDDLITE_"
_NEAR = 0.85


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting's text, and who gave it."""

    value: str
    source: str


def variable(key: str) -> str:
    """The environment variable of a setting.

    >>> variable("driver.maxResultSize")
    'RDDLITE_DRIVER_MAX_RESULT_SIZE'
    """
    return _PREFIX + re.sub(r"(?<=[a-z])(?=[A-Z])|\.", "_", key).upper()


def from_environment(environ: Mapping[str, str]) -> dict[str, Origin]:
    """What variables set.

    Raises:
        ConfigError: for a variable that looks like that of a setting, and is none.
    """
    keys = {variable(key): key for key in SETTINGS}
    found = {}
    for name, value in environ.items():
        if name in keys:
            found[keys[name]] = Origin(value, f"environment variable {name}")
        elif name.startswith(_PREFIX) and (near := difflib.get_close_matches(name, keys, n=1, cutoff=_NEAR)):
            raise ConfigError(f"environment variable {name} sets nothing; did you mean {near[0]}?")
    return found


def defaults(environ: Mapping[str, str] = os.environ) -> dict[str, Origin]:
    """All that was set outside the program, by key.

    Raises:
        ConfigError: for a misspelt variable.
    """
    found = from_environment(environ)
    for key, (value, source) in json.loads(environ.get(SUBMITTED) or "{}").items():
        found[key] = Origin(value, source)
    return found
