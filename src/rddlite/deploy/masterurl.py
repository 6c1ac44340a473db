"""Master URLs, read once: `inline`, `local`, `local[n]`, `local[*]`, `local[n,F]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rddlite.errors import InvalidMaster

_LOCAL = re.compile(r"local(?:\[\s*(\*|\d+)\s*(?:,\s*(\d+)\s*)?\])?")
_MOST_SLOTS = 4096


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What a master URL asks for: inline execution, or one executor of this host with `slots` workers.

    `max_failures` is how many attempts user code gets where the settings leave it open.
    """

    is_inline: bool
    slots: int
    max_failures: int


def parse_master(url: str, cores: int) -> ClusterSpec:
    """The meaning of a master URL on a machine with `cores` usable cores.

    >>> parse_master("local[4,3]", cores=2)
    ClusterSpec(is_inline=False, slots=4, max_failures=3)

    Raises:
        InvalidMaster: if it has no meaning.
    """
    if not isinstance(url, str):
        raise InvalidMaster(f"a master URL is a string, not {type(url).__name__}")
    text = url.strip()
    if text == "inline":
        return ClusterSpec(is_inline=True, slots=1, max_failures=1)
    match = _LOCAL.fullmatch(text)
    if match is None:
        raise InvalidMaster(
            f"cannot read master {url!r}: use inline, local, local[n], local[*] (one worker per core), "
            "or local[n,F] (F attempts per task)"
        )
    count, failures = match.groups()
    slots = 1 if count is None else cores if count == "*" else int(count)
    if not 1 <= slots <= _MOST_SLOTS:
        raise InvalidMaster(f"master {url!r} asks for {slots} workers: 1 to {_MOST_SLOTS} are possible")
    if failures is not None and int(failures) < 1:
        raise InvalidMaster(f"master {url!r}: a task needs at least 1 attempt")
    return ClusterSpec(is_inline=False, slots=slots, max_failures=int(failures or 1))
