"""The console's progress bar: one line on stderr while a job runs, one summary line when it has ended.

Driven by calls: threads that wait for a job call `draw` now and then and `job_ended` once; whoever prints what tasks
wrote calls `write_line`. No thread, no timer and no lock of its own: every call is one write of the whole new state,
so calls that meet can at worst leave a stale line, until the next one. On a stream that is no terminal, where
`progress.show` asks for it all the same, plain lines appear now and then instead of a bar.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from rddlite.observe.bar import bar_line, display_width
from rddlite.observe.summaries import JobSummary

_QUIET = 0.5
"""Jobs shorter than this many seconds are not shown."""
_PLAIN_INTERVAL = 5.0
_DEFAULT_WIDTH = 80


class Progress:
    """Shows jobs on a stream (stderr, as it is at each call). May be called by any thread.

    `show` None means: where it is a terminal or a notebook.
    """

    def __init__(self, show: bool | None, stream: TextIO | None = None) -> None:
        self._show = show
        self._given = stream
        self._shown = ""
        self._plain_at: float | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is anybody to draw for."""
        stream = self._stream
        if stream is None or getattr(stream, "closed", False):
            return False
        return _is_live(stream) if self._show is None else self._show

    def draw(self, now: float, jobs: Sequence[JobSummary]) -> None:
        """Show how the running jobs stand. Does nothing before one of them has taken half a second."""
        stream = self._stream
        jobs = [job for job in jobs if job.state == "running" and job.seconds >= _QUIET]
        if not jobs or stream is None or not self.is_shown:
            return
        unicode = _can_show_bars(stream)
        if _is_live(stream):
            self._replace(bar_line(jobs, _width(stream) - 1, unicode=unicode))
        elif self._plain_at is None or now - self._plain_at >= _PLAIN_INTERVAL:
            self._plain_at = now
            _write(stream, bar_line(jobs, None, unicode=unicode) + "\n")

    def job_ended(self, job: JobSummary | None) -> None:
        """Take the bar away, and leave a summary of the job if it was long enough to be shown."""
        stream = self._stream
        if stream is None or not self.is_shown:
            return
        self._plain_at = None
        if job is not None and job.seconds >= _QUIET:
            self._print(job.line(), stream)
        else:
            self.erase()

    def erase(self) -> None:
        """Take the bar away; the next `draw` brings it back."""
        if self._shown:
            self._replace("")

    def write_line(self, stream_name: str, text: str) -> None:
        """Print a line on `stdout` or `stderr`, above the bar where there is one."""
        target = sys.stdout if stream_name == "stdout" else self._stream
        if target is None:
            return
        if not self._shown:
            _write(target, text + "\n")
        elif target is not sys.stdout:
            self._print(text, target, redraw=True)
        else:
            shown = self._shown
            self.erase()
            _write(target, text + "\n")
            self._replace(shown)

    @property
    def _stream(self) -> TextIO | None:
        return self._given or sys.stderr

    def _print(self, text: str, stream: TextIO, redraw: bool = False) -> None:
        shown, self._shown = self._shown, self._shown if redraw else ""
        _write(stream, f"{_erasing(shown)}{text}\n{shown if redraw else ''}")

    def _replace(self, line: str) -> None:
        stream = self._stream
        shown, self._shown = self._shown, line
        if stream is not None and line != shown:
            rest = " " * max(0, display_width(shown) - display_width(line))
            _write(stream, f"\r{line}{rest}" if line else _erasing(shown))


def _erasing(shown: str) -> str:
    # Blanks, not control sequences: notebooks and simple terminals know no others than \r.
    return f"\r{' ' * display_width(shown)}\r" if shown else ""


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # A stream that is closed or broken has nobody left to tell, and must not end a job.
    with suppress(OSError, ValueError):
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()


def _is_live(stream: TextIO) -> bool:
    """Whether a line can be written over: on terminals, and in notebooks, which say that they are none."""
    return stream.isatty() or type(stream).__module__.partition(".")[0] == "ipykernel"


def _can_show_bars(stream: TextIO) -> bool:
    try:
        "━─".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _width(stream: TextIO) -> int:
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns or _DEFAULT_WIDTH
