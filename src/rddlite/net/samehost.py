"""Whether a peer's files can be read directly: shown by reading one of them, never concluded from a host's name.

Every scratch directory holds a file `token` with random text, readable by its user only. Who advertises that text and
its directory to a peer that finds the same text there shares a file system with it. An empty token proves nothing.
"""

from __future__ import annotations

import os

TOKEN_FILE = "token"
_LONGEST = 128


def is_same_host(scratch: str, token: str) -> bool:
    """Whether the directory that a peer calls `scratch` is here too, and is the same one."""
    if not token or not os.path.isabs(scratch):
        return False
    try:
        with open(os.path.join(scratch, TOKEN_FILE), "rb") as file:
            return file.read(_LONGEST) == token.encode()
    except OSError:
        return False
