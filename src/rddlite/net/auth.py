"""Who may speak to whom over TCP: key pairs, the file that hands them out, and the allow-list of a listening socket.

Per application there is one pair of the driver and one that all its executors share. CURVE proves that a peer owns the
pair it shows, and encrypts; the `Doorman` admits only the public keys that it was given, before a byte of any message
is looked at. Without an answer of his nobody is admitted. Secrets are never logged, printed or put on a command
line or in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils import z85

from rddlite.base.log import is_milestone, logger
from rddlite.errors import AuthRefused

_ZAP = "inproc://zeromq.zap.01"
_DOMAIN = b"rddlite"
_ADMITTED, _REFUSED = (b"200", b"OK"), (b"400", b"not of this application")
_CLIENT = b"application"
_KEY_BYTES = 32
_LONGEST_KEY_FILE = 4096
_log = logger("net")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, each half as 40 characters of z85."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExecutorKeys:
    """What an executor needs to find its driver genuine and to be admitted, by it and by its peers."""

    driver_public: str
    executors: KeyPair

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(
            {"driver": self.driver_public, "public": self.executors.public, "secret": self.executors.secret}
        )

    @classmethod
    def from_json(cls, text: str) -> ExecutorKeys:
        """The inverse of `to_json`.

        Raises:
            AuthRefused: if the text is nothing that `to_json` wrote.
        """
        try:
            found = json.loads(text)
            driver, public, secret = found["driver"], found["public"], found["secret"]
            _raw(driver)
            is_pair = _raw(public) == z85.decode(zmq.curve_public(_text(secret).encode()))
        except (ValueError, TypeError, KeyError, RecursionError, zmq.ZMQError):
            raise AuthRefused("no keys of an application: they are one line of JSON that a driver wrote") from None
        if not is_pair:
            raise AuthRefused("no keys of an application: the secret key belongs to another public key")
        return cls(driver, KeyPair(public, secret))


@dataclass(frozen=True, slots=True)
class DriverKeys:
    """All keys of an application."""

    driver: KeyPair
    executors: KeyPair

    def for_executors(self) -> ExecutorKeys:
        """What executors may know: not the driver's secret."""
        return ExecutorKeys(self.driver.public, self.executors)


def create_keys() -> DriverKeys:
    """New keys for one application.

    Raises:
        AuthRefused: if this libzmq cannot encrypt.
    """
    _require_curve()
    return DriverKeys(_new_pair(), _new_pair())


def write_key_file(path: str, keys: ExecutorKeys) -> None:
    """Make or replace a file that only this user can read. It is never there half-written, or open to others.

    Raises:
        AuthRefused: if it cannot be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)  # of mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(keys.to_json() + "\n")
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise AuthRefused(f"the key file {path} cannot be written: {error.strerror}") from error


def read_key_file(path: str) -> ExecutorKeys:
    """The keys in this file, which must be closed to everybody but its owner: this user or root.

    Raises:
        AuthRefused: if it cannot be read, others could read or replace its content, or it holds no keys.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe with no writer must not hang us
    except OSError as error:
        raise AuthRefused(f"the key file {path} cannot be read: {error.strerror}") from error
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise AuthRefused(f"the key file {path} is no regular file")
        if info.st_uid not in (os.geteuid(), 0):
            raise AuthRefused(f"the key file {path} belongs to user {info.st_uid}: it must belong to this user or root")
        if stat.S_IMODE(info.st_mode) & 0o077:
            mode = stat.S_IMODE(info.st_mode)
            raise AuthRefused(f"the key file {path} is open to others (mode {mode:04o}): chmod 600 {path}")
        content = os.read(descriptor, _LONGEST_KEY_FILE + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LONGEST_KEY_FILE:
        raise AuthRefused(f"the key file {path} is too large to be one")
    try:
        return ExecutorKeys.from_json(content.decode("ascii", "replace"))
    except AuthRefused as error:
        raise AuthRefused(f"the key file {path} holds {error}") from None


class Doorman:
    """Answers libzmq's question whether a client may come in (ZAP, RFC 27), for the sockets of one `zmq.Context`.

    Its owner polls `socket` and calls `answer` when it is readable; until then clients wait in their handshake.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Collection[str]) -> None:
        self._allowed = frozenset(map(_raw, allowed))
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(_ZAP)
        self.refused = 0
        """Clients that were turned away."""

    def answer(self) -> None:
        """Answer every question that is there now."""
        while True:
            try:
                question = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self.socket.send_multipart(self._verdict(question))

    def close(self) -> None:
        """Nobody is admitted any more. May be called twice."""
        self.socket.close(linger=0)

    def _verdict(self, question: list[bytes]) -> list[bytes]:
        version, number, domain, address, _, mechanism, *credentials = question
        is_known = len(credentials) == 1 and credentials[0] in self._allowed
        if version == b"1.0" and domain == _DOMAIN and mechanism == b"CURVE" and is_known:
            return [version, number, *_ADMITTED, _CLIENT, b""]
        self.refused += 1
        if is_milestone(self.refused):
            where = address.decode("ascii", "replace")
            _log.warning("refused a client from %s: it has no key of this application (%d so far)", where, self.refused)
        return [version, number, *_REFUSED, b"", b""]


def secure_server(socket: zmq.Socket[bytes], own: KeyPair, allowed: Collection[str]) -> Doorman:
    """Have this socket accept encrypted clients only, and only owners of the `allowed` public keys.

    Called before it is bound, once for each `zmq.Context`. The doorman is to be polled, and closed with the socket.
    """
    _require_curve()
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a doorman nobody, where the default would be everybody
    return Doorman(socket.context, allowed)


def secure_client(socket: zmq.Socket[bytes], own: KeyPair, server_public: str) -> None:
    """Have this socket speak only to the owner of `server_public`. Called before it is connected."""
    _require_curve()
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_public.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise AuthRefused(
            "this pyzmq cannot encrypt (its libzmq was built without CURVE), so executors cannot be reached over TCP: "
            "install pyzmq from its wheel (pip install --force-reinstall --only-binary :all: pyzmq), or use local[n]"
        )


def _new_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def _raw(key: Any) -> bytes:
    try:
        raw = z85.decode(_text(key))
    except (KeyError, struct.error):
        raise ValueError("a key is text in z85") from None
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"a key has {_KEY_BYTES} bytes, not {len(raw)}")
    return raw


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"a key is text, not {type(value).__name__}")
    return value
