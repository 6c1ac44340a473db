"""Reports of ended attempts until the driver is known to have them. Pure.

Reports that come together travel together. Every message has a number; the driver tells with each heartbeat up to
which number it has all of them, and what was lost on the way is sent again. The driver ignores what it gets twice.
"""

from __future__ import annotations

from collections import deque

from rddlite.net.messages import AttemptReport, ReportsSeen, TasksEnded

_REPORTS_PER_MESSAGE = 500
_BYTES_PER_MESSAGE = 8 << 20
_MESSAGES_KEPT = 50_000


class Outbox:
    """Owned by the executor's loop."""

    def __init__(self, executor: str) -> None:
        self._executor = executor
        self._new: list[AttemptReport] = []
        self._unseen: deque[TasksEnded] = deque()
        self.last_number = 0
        """The number of the last message made."""

    @property
    def n_new(self) -> int:
        """How many reports were added since the last messages."""
        return len(self._new)

    def add(self, report: AttemptReport) -> None:
        """Take a report."""
        self._new.append(report)

    def messages(self) -> list[TasksEnded]:
        """New messages with all reports that were added. They are kept until they are seen."""
        if not self._new:
            return []
        reports, self._new = self._new, []
        found = [self._message(part) for part in _parts(reports)]
        self._unseen += found
        while len(self._unseen) > _MESSAGES_KEPT:  # a driver that sees nothing for so long has lost this executor
            self._unseen.popleft()
        return found

    def unseen(self) -> list[TasksEnded]:
        """All messages that the driver may not have, in order."""
        return list(self._unseen)

    def seen(self, answer: ReportsSeen) -> list[TasksEnded]:
        """Forget what the driver has; the messages to send again, if it misses any that it should have."""
        while self._unseen and self._unseen[0].number <= answer.number:
            self._unseen.popleft()
        return self.unseen() if answer.number < answer.of else []

    def attempts(self) -> list[int]:
        """Attempts that ended and that the driver may not know of."""
        messages = [report.attempt for message in self._unseen for report in message.reports]
        return messages + [report.attempt for report in self._new]

    def _message(self, reports: list[AttemptReport]) -> TasksEnded:
        self.last_number += 1
        return TasksEnded(self._executor, self.last_number, reports)


def _parts(reports: list[AttemptReport]) -> list[list[AttemptReport]]:
    parts: list[list[AttemptReport]] = [[]]
    size = 0
    for report in reports:
        if len(parts[-1]) >= _REPORTS_PER_MESSAGE or (parts[-1] and size + len(report.outcome) > _BYTES_PER_MESSAGE):
            parts.append([])
            size = 0
        parts[-1].append(report)
        size += len(report.outcome)
    return parts
