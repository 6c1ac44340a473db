"""Pending tasks by the hosts they prefer. A part of a task set; asks nothing but the status of tasks.

Queues hold indices lazily: one that was launched meanwhile is skipped when it comes up, one that became pending again
is appended again. Memory is four bytes per task and preferred host.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from rddlite.schedule.states import TaskState

Hosts = tuple[tuple[str, ...], ...]
"""Preferred hosts by task."""
_PENDING = int(TaskState.PENDING)
ANYWHERE = ""
"""Key of the queue of tasks that prefer no host."""


class _Queue:
    """Indices in order, and how many of them were looked at."""

    __slots__ = ("at", "indices")

    def __init__(self) -> None:
        self.indices = array("I")
        self.at = 0

    def next_pending(self, status: bytearray) -> int | None:
        """The first index that is still pending, without taking it."""
        indices = self.indices
        while self.at < len(indices):
            if status[indices[self.at]] == _PENDING:
                return indices[self.at]
            self.at += 1
        return None


class Preferences:
    """Which pending tasks of a stage prefer which host. Where `waits` is False they go there only if there is room."""

    __slots__ = ("_hopeful", "_hosts", "_queues", "_status", "_version", "pending_on", "waits")

    def __init__(self, hosts: Hosts, status: bytearray, *, waits: bool = True) -> None:
        self._hosts = hosts
        self.waits = waits
        self._status = status
        self._queues: dict[str, _Queue] = {}
        self.pending_on: dict[str, int] = {}
        self._hopeful: set[str] = set()
        self._version = -1
        for index, state in enumerate(status):
            if state == _PENDING:
                self.became_pending(index)

    def next_for(self, host: str) -> int | None:
        """A pending task that prefers this host, else one that prefers none."""
        for key in (host, ANYWHERE):
            queue = self._queues.get(key)
            if queue is not None:
                index = queue.next_pending(self._status)
                if index is not None:
                    return index
        return None

    def prefers(self, index: int, host: str) -> bool:
        """Whether the task names this host."""
        return host in self._hosts[index]

    def became_pending(self, index: int) -> None:
        """The task may be launched."""
        for host in self._hosts[index] or (ANYWHERE,):
            queue = self._queues.get(host)
            if queue is None:
                queue = self._queues[host] = _Queue()
            queue.indices.append(index)
            self.pending_on[host] = self.pending_on.get(host, 0) + 1
        self._version = -1

    def left_pending(self, index: int) -> None:
        """The task was launched, or is done."""
        for host in self._hosts[index] or (ANYWHERE,):
            self.pending_on[host] -= 1
            if not self.pending_on[host]:
                self._hopeful.discard(host)

    def has_hope(self, usable_hosts: Mapping[str, int], version: int) -> bool:
        """Whether some pending task is worth waiting for a host that it prefers: one with a usable executor. `version`
        tells the state of the hosts.
        """
        if not self.waits:
            return False
        if version != self._version:
            self._version = version
            self._hopeful = {host for host, count in self.pending_on.items() if count and host in usable_hosts}
        return bool(self._hopeful)
