"""What the driver knows of how executors come to exist.

A provider starts and ends executor processes and tells what becomes of them; it never sees jobs or tasks. A transport
carries messages to and from executors, whatever they are. Both are driven by the driver's loop thread only, except
`post`, through which a provider's own threads report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rddlite.base.ids import ExecutorId
from rddlite.net.messages import Message


@dataclass(frozen=True, slots=True)
class ExecutorEnded:
    """The process of an executor ended: proof that it is gone."""

    executor: ExecutorId
    cause: str


@dataclass(frozen=True, slots=True)
class ProviderGaveUp:
    """No executor will be started any more."""

    why: str


Post = Callable[[Any], None]


class ExecutorProvider(Protocol):
    """Makes executors exist. `join_command` is what starts one that joins, where any may."""

    join_command: str | None

    def start(self, post: Post) -> None:
        """Start the first executors; report with `post` (from any thread) what becomes of them."""
        ...

    def want(self) -> None:
        """Executors are missing: replace what ended, within the provider's limits."""
        ...

    def stop(self, executor: ExecutorId) -> None:
        """End one executor, whatever state it is in."""
        ...

    def objection(self, executor: ExecutorId, n_others: int) -> str | None:
        """Why this executor may not take part, beside `n_others` that do; None if it may."""
        ...

    def suspect(self, executor: ExecutorId, address: str) -> None:
        """It is out of reach: find out whether it is gone (`address` is that of its block server, if it has one)."""
        ...

    def unsuspect(self, executor: ExecutorId) -> None:
        """It is back, or gone: nothing more is to be found out."""
        ...

    def leaving(self, executor: ExecutorId) -> None:
        """It will end when it has handed over what it holds: who wants executors does not mean this one."""
        ...

    def close(self) -> None:
        """End all executors and wait until they are gone; removes what they left."""
        ...


class Transport(Protocol):
    """Carries messages between the driver's loop and executors."""

    def wait(self, timeout: float | None) -> list[tuple[str, Message]]:
        """Messages that arrived, with their sender; returns early when the inbox was posted to."""
        ...

    def send(self, peer: str, message: Message) -> bool:
        """Hand a message over; False if the peer cannot be reached."""
        ...

    def take_disconnects(self) -> int:
        """How many connections ended since this was asked last, whosever they were."""
        ...

    def close(self) -> None:
        """Close for good."""
        ...
