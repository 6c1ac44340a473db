"""Endpoints: where a driver listens. Today these are unix sockets in a private directory of this host.

The directory is what keeps strangers out: it must belong to this user and be closed to everybody else.
"""

from __future__ import annotations

import os
import stat

from rddlite.errors import ProviderError

_IPC = "ipc://"
LONGEST_PATH = 107
"""Bytes that the address of a unix socket can have."""


def ipc_path(endpoint: str) -> str:
    """The path of the socket behind an `ipc://` endpoint.

    Raises:
        ProviderError: if it is no such endpoint, or its path is longer than a socket's can be.
    """
    path = endpoint.removeprefix(_IPC)
    if path == endpoint or not os.path.isabs(path):
        raise ProviderError(f"not an endpoint of this host: {endpoint!r} (ipc:// and an absolute path)")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ProviderError(
            f"the path of a socket ends at {LONGEST_PATH} bytes, {path} is longer: set local.dir (or TMPDIR) to a "
            "directory with a shorter name"
        )
    return path


def require_private(directory: str) -> None:
    """Refuse a directory for sockets that anybody but this user could enter.

    Raises:
        ProviderError: if it belongs to somebody else or is open to others.
    """
    info = os.stat(directory)
    if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
        raise ProviderError(f"{directory} must belong to this user and be closed to all others (mode 0700)")
