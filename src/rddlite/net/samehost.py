"""Whether a peer's files can be read directly: shown by reading one of them, never concluded from a host's name.

Every scratch directory holds a file `token` with random text, readable by its user only. Who advertises that text and
its directory to a peer that finds the same text there shares a file system with it. An empty token proves nothing.
"""

from __future__ import annotations

import os
import secrets

TOKEN_FILE = "token"
_LONGEST = 128


def make_token(scratch: str) -> str:
    """Put a token into a scratch directory of this process; what it says."""
    token = secrets.token_hex(16)
    with open(os.open(os.path.join(scratch, TOKEN_FILE), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token)
    return token


def is_same_host(scratch: str, token: str) -> bool:
    """Whether the directory that a peer calls `scratch` is here too, and is the same one."""
    if not token or not os.path.isabs(scratch):
        return False
    try:
        with open(os.path.join(scratch, TOKEN_FILE), "rb") as file:
            return file.read(_LONGEST) == token.encode()
    except (OSError, ValueError):  # a ValueError: no file can be called that
        return False
