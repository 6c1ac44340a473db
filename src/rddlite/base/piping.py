"""A partition through an external program: records to its standard input as lines, its output back as records.

Runs inside tasks, in the task's own thread: it writes when the program can take something and reads when there is
something, so that neither waits for the other for ever, and memory does not grow with the partition. Whatever ends the
reading ends the program.
"""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

_PIECE = 1 << 16


def piped(command: str, env: Mapping[str, str], check_code: bool, records: Iterable[Any]) -> Iterator[str]:
    """The lines that the program writes when it is given the records, one in each line."""
    arguments = shlex.split(command)
    with subprocess.Popen(
        arguments, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            rest = b""
            for data in _exchanged(process.stdin, process.stdout, _lines(records)):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
            if rest:
                yield rest.decode("utf-8", "replace")
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
    if check_code and code:
        raise RuntimeError(f"pipe: the command {command!r} failed: it ended with status {code}")


def _lines(records: Iterable[Any]) -> Iterator[memoryview]:
    """The records as pieces of text of some size."""
    piece = bytearray()
    for record in records:
        piece += str(record).rstrip("\n").encode()
        piece += b"\n"
        if len(piece) >= _PIECE:
            yield memoryview(bytes(piece))
            piece.clear()
    if piece:
        yield memoryview(bytes(piece))


def _exchanged(target: IO[bytes], source: IO[bytes], pieces: Iterator[memoryview]) -> Iterator[bytes]:
    """What comes out of `source` while the pieces go into `target`. One that is closed early has all that it wants."""
    os.set_blocking(target.fileno(), False)
    with selectors.DefaultSelector() as ready:
        ready.register(source, selectors.EVENT_READ)
        ready.register(target, selectors.EVENT_WRITE)
        piece = memoryview(b"")
        while True:
            for key, _ in ready.select():
                if key.fileobj is source:
                    data = os.read(key.fd, _PIECE)
                    if not data:
                        return
                    yield data
                    continue
                try:
                    piece = piece or next(pieces, piece)
                    if piece:
                        piece = piece[os.write(key.fd, piece) :]
                        continue
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    pass
                ready.unregister(target)
                target.close()
