"""Endpoints: where this process listens, and what it tells others to connect to.

On one host that is a unix socket in a private directory, which keeps strangers out: it must belong to this user and be
closed to everybody else. Over TCP it is an address of this host; nothing but loopback is taken unless somebody names
it. Names are resolved here, because libzmq binds to numbers only.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from typing import NamedTuple

from rddlite.base.log import logger
from rddlite.errors import ProviderError

LOOPBACK = "tcp://127.0.0.1:0"
"""A free port that only processes of this host can reach."""
LONGEST_PATH = 107
"""Bytes that the address of a unix socket can have."""
_IPC, _TCP = "ipc://", "tcp://"
_HIGHEST_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9._:%-]+|\*")
_EVERYWHERE = {"*": "0.0.0.0", "0.0.0.0": "0.0.0.0", "::": "::"}
_ANY_PORT = 9
_FAR_AWAY = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]
"""Reserved for documentation: never anybody's, so the way there is the default route."""
_log = logger("net")


class Place(NamedTuple):
    """A host, by name or number (without brackets), and a port; 0 is any free one."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """As libzmq writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_TCP}{host}:{self.port or '*'}"


def is_tcp(endpoint: str) -> bool:
    """Whether this is an endpoint that other hosts might reach."""
    return endpoint.startswith(_TCP)


def parse_tcp(endpoint: str) -> Place:
    """The parts of `tcp://host:port`.

    Raises:
        ProviderError: if it has another form.
    """
    host, colon, port = endpoint.removeprefix(_TCP).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # which one ends an IPv6 address cannot be told
    number = 0 if port == "*" else _digits(port)
    if not is_tcp(endpoint) or not _HOST.fullmatch(host) or not colon or number is None or number > _HIGHEST_PORT:
        raise ProviderError(
            f"not an endpoint: {endpoint!r} (tcp://host:port; an IPv6 address in brackets; 0 is any free port)"
        )
    return Place(host, number)


def to_bind(endpoint: str) -> Place:
    """Where to listen for this endpoint: a number in place of a name.

    Raises:
        ProviderError: if it is no `tcp://host:port` or the host has no address.
    """
    place = parse_tcp(endpoint)
    if place.host in _EVERYWHERE:
        return Place(_EVERYWHERE[place.host], place.port)
    numbers = resolve(place.host)
    if place.host != numbers[0] and place.host != "localhost" and _is_loopback(numbers[0]):
        _log.warning(
            "%s is %s here, which no other host can reach: give the address of an interface if others are to connect",
            place.host, numbers[0],
        )  # fmt: skip
    return Place(numbers[0], place.port)


def to_advertise(endpoint: str, port: int) -> str:
    """What others connect to, after `endpoint` was bound to this port: the same host, or an address if that is all."""
    host = parse_tcp(endpoint).host
    return Place(own_address() if host in _EVERYWHERE else host, port).endpoint


def needs_ipv6(host: str) -> bool:
    """Whether libzmq has to be told to use IPv6 for this host.

    Raises:
        ProviderError: if it has no address.
    """
    return all(":" in number for number in resolve(host))


def resolve(host: str) -> list[str]:
    """The addresses of a host, IPv4 first; never empty.

    Raises:
        ProviderError: if there is none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProviderError(f"the host {host!r} has no address: {error} (is the name right?)") from error
    return sorted({str(address[0]) for *_, address in found}, key=lambda number: ":" in number)


def own_address(towards: str | None = None) -> str:
    """The number under which this host is known on the way to another one; without one, on its default route.

    An executor binds its block server to the address from which it reaches the driver, and to no other.

    Raises:
        ProviderError: if the host `towards` has no address.
    """
    targets = _FAR_AWAY
    if towards is not None:
        targets = [(socket.AF_INET6 if ":" in n else socket.AF_INET, n) for n in resolve(towards)]
    for family, number in targets:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((number, _ANY_PORT))  # of a datagram socket: nothing is sent
                return str(probe.getsockname()[0])
        except OSError:
            continue  # no such route, or no such protocol here
    return "127.0.0.1"


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


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _is_loopback(number: str) -> bool:
    return ipaddress.ip_address(number.partition("%")[0]).is_loopback
