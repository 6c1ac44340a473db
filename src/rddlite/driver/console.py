"""What tasks print, on the driver's own streams: line by line, marked with stage and partition.

A thread of its own writes, so that a blocked terminal stops nobody else; `flush` lets the end of a job wait for it.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable

from rddlite.net.messages import WorkerOutput

_LONGEST_QUEUE = 10_000


class Console:
    """Prints forwarded output. `write_line(stream name, text)` does the printing, next to a progress bar."""

    def __init__(self, write_line: Callable[[str, str], None]) -> None:
        self._write_line = write_line
        self._queue: queue.Queue[WorkerOutput | None] = queue.Queue(_LONGEST_QUEUE)
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def show(self, output: WorkerOutput) -> None:
        """Print it soon. Called by the loop thread; never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rddlite-console", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(output)
        except queue.Full:
            self._dropped += len(output.lines)

    def flush(self, timeout: float) -> None:
        """Wait until everything shown so far is printed, at most `timeout` seconds."""
        if self._thread is None:
            return
        with self._queue.all_tasks_done:
            self._queue.all_tasks_done.wait_for(lambda: self._queue.unfinished_tasks == 0, timeout)

    def close(self) -> None:
        """Print the rest and end the thread."""
        if self._thread is not None:
            self.flush(2.0)
            self._queue.put(None)
            self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            output = self._queue.get()
            try:
                if output is None:
                    return
                self._print(output)
            except (OSError, ValueError):
                # The user's stream is closed or broken: there is nobody left to tell.
                sys.exc_info()
            finally:
                self._queue.task_done()

    def _print(self, output: WorkerOutput) -> None:
        for line in output.lines:
            mark = f"[stage {line.stage} partition {line.partition}]" if line.attempt >= 0 else "[worker]"
            self._write_line(line.stream, f"{mark} {line.text}")
        if output.dropped:
            self._write_line("stderr", f"[executor {output.executor}] {output.dropped} bytes of output were dropped")
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._write_line("stderr", f"[driver] {dropped} lines of output were dropped")
