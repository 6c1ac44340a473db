"""Cached objects handed to others: pickled by the worker that keeps them, when somebody asks.

The holder has a thread for it, so it answers while its task runs, as soon as that lets go of the interpreter. Frames go
to the asker as the descriptor of a memory file: nothing of them is left when the asker has done with it. Whoever asks
is another worker of the executor, or the executor itself on behalf of its peers (`CopyRequest`). Nobody needs to get an
answer: what does not come in time is computed again.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import threading
import time
import weakref

from rddlite.base.cached import Block, Wanted
from rddlite.base.faults import fault_point
from rddlite.base.log import logger
from rddlite.executor.memory import more_data
from rddlite.net.transfer import ByteRange, NoSuchBlock
from rddlite.storage.blocks import BlockStore
from rddlite.storage.frames import Frames

_QUESTION = struct.Struct("<qq")
_ANSWER = struct.Struct("<Q?")
_PEER = struct.Struct("3i")
_WAITING_ASKERS = 128
_LONGEST_QUESTION = 1.0
_STACK = 16 << 20
_log = logger("worker")


class CopyGiver:
    """The holder's side: `start` once there is something that others could ask for."""

    def __init__(self, store: BlockStore, scratch: str) -> None:
        self._store = store
        self._scratch = scratch
        self._is_started = False

    def start(self) -> None:
        """Answer from now on. What keeps this from being done is no reason to fail: others compute again."""
        if self._is_started:
            return
        self._is_started = True
        listener = _socket()
        try:
            listener.bind(_address(self._scratch, os.getpid()))
            listener.listen(_WAITING_ASKERS)
            with more_data(_STACK):
                threading.Thread(target=self._run, args=(listener,), name="rddlite-copies", daemon=True).start()
        except (OSError, RuntimeError) as error:
            listener.close()
            _log.warning("cached objects of this worker cannot be copied: %s", error)

    def _run(self, listener: socket.socket) -> None:
        with listener:
            while True:
                asker, _ = listener.accept()
                with asker:
                    try:
                        self._answer(asker)
                    except Exception as error:  # of user code that pickles, or an asker that is gone
                        _log.debug("a cached partition was not copied: %s", error)

    def _answer(self, asker: socket.socket) -> None:
        if not _is_own(asker):
            return
        asker.settimeout(_LONGEST_QUESTION)
        block: Block = _QUESTION.unpack(asker.recv(_QUESTION.size))
        if _has_gone(asker):
            return
        fault_point("cache.copy")
        frames = self._store.copied(block)
        if frames is not None:
            socket.send_fds(asker, [_ANSWER.pack(frames.size, frames.has_buffers)], [frames.fd])


class CopyAsker:
    """Asks other workers of this executor, for the tasks of one. A copy is waited for as long as computing the
    partition took, and for `least` seconds in any case.
    """

    def __init__(self, scratch: str, least: float) -> None:
        self._scratch = scratch
        self._least = least

    def ask(self, wanted: Wanted) -> Frames | None:
        """The partition as frames; None if they cannot be had (in time)."""
        try:
            with _ask(self._scratch, wanted.owner, wanted.block) as sock:
                sock.settimeout(max(self._least, wanted.seconds))
                return _taken(sock)
        except OSError as error:
            _log.debug("cached partition %s was not copied from process %d: %s", wanted.block, wanted.owner, error)
            return None


class CopyRequest:
    """A copy that a worker was asked for on behalf of peers. What it gives is there as long as somebody refers to it.
    Used by the block server's thread.
    """

    def __init__(self, scratch: str, wanted: Wanted) -> None:
        """`wanted.seconds` is how long it may take.

        Raises:
            OSError: if the worker cannot be asked.
        """
        self._wanted = wanted
        self._frames: Frames | None = None
        self._socket = _ask(scratch, wanted.owner, wanted.block)
        self._socket.setblocking(False)
        self.until = time.monotonic() + wanted.seconds
        weakref.finalize(self, self._socket.close)

    def fileno(self) -> int:
        """Readable when the answer is there, or none will come."""
        return self._socket.fileno()

    def place(self) -> ByteRange:
        """Where the copy is.

        Raises:
            NoSuchBlock: if it did not come.
        """
        if self._frames is None:
            try:
                self._frames = _taken(self._socket)
            except OSError as error:
                raise NoSuchBlock(f"cached objects {self._wanted.block} were not copied: {error}") from None
        frames = self._frames
        return ByteRange(frames.path, 0, frames.size, 0, inode=frames.inode, keeps=self)


def _address(scratch: str, pid: int) -> bytes:
    """In the abstract namespace, where paths may be long, and nothing is left behind."""
    return b"\0rddlite-copies-" + hashlib.blake2b(f"{scratch}\0{pid}".encode(), digest_size=16).hexdigest().encode()


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _ask(scratch: str, pid: int, block: Block) -> socket.socket:
    sock = _socket()
    try:
        sock.setblocking(False)
        sock.connect(_address(scratch, pid))
        if not _is_own(sock):
            raise PermissionError("another user listens there")
        sock.send(_QUESTION.pack(*block))
    except BaseException:
        sock.close()
        raise
    return sock


def _taken(sock: socket.socket) -> Frames:
    data, fds, _, _ = socket.recv_fds(sock, _ANSWER.size, 1, socket.MSG_CMSG_CLOEXEC)
    if len(fds) != 1 or len(data) != _ANSWER.size:
        raise FileNotFoundError("it is not there any more, or cannot be pickled")
    size, has_buffers = _ANSWER.unpack(data)
    return Frames(f"/proc/self/fd/{fds[0]}", size, has_buffers=has_buffers, fd=fds[0])


def _is_own(sock: socket.socket) -> bool:
    """Whether the other end belongs to this user: frames are unpickled."""
    _, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(uid == os.geteuid())


def _has_gone(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))
