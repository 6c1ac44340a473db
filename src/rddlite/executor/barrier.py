"""A task's side of a barrier: ask the executor, and wait for the answer, for as long as it may take.

A task that waits here can be stopped at any time, as in any other call; the frames of its channel stay whole, as the
handler of the signal spares the code that reads and writes them (`interrupt.Interruption`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rddlite.base.clock import Clock
from rddlite.base.meeting import ASK, Wish
from rddlite.errors import BarrierBroken
from rddlite.executor.channel import Kind, WorkerChannel
from rddlite.net.wire import MAX_OUTCOME, unpack_met

Meet = Callable[[int, int, Wish, bytes, float], list[bytes]]
"""Ask for something: the attempt, the number of its meeting, what, what is brought, and how long to wait."""
MOST_BYTES = MAX_OUTCOME - ASK.size


class MeetingPlace:
    """Where the tasks of one worker meet others. Not used by two threads at once."""

    def __init__(self, channel: WorkerChannel, clock: Clock, check: Callable[[], None]) -> None:
        """`check` raises if the task is to stop."""
        self._channel = channel
        self._clock = clock
        self._check = check

    def meet(self, attempt: int, number: int, wish: Wish, brought: bytes, seconds: float) -> list[bytes]:
        """Ask, and wait for the answer.

        Raises:
            BarrierBroken: if there is none, for the reason that the driver gives.
        """
        self._channel.send(Kind.MEET, ASK.pack(attempt, number, wish) + brought)
        deadline: float | None = self._clock.now() + seconds
        while True:
            self._check()
            frame = self._channel.look_for(Kind.MET)
            if frame is not None:
                met = unpack_met(frame)
                if attempt in met.attempts and number == met.number:
                    break
            elif deadline is None:
                self._channel.wait_for_more(None)
            elif self._clock.now() >= deadline:
                deadline = None  # the driver answers that it is over, or that all had come just now
                self._channel.send(Kind.MEET, ASK.pack(attempt, number, Wish.GIVE_UP))
            else:
                self._channel.wait_for_more(deadline - self._clock.now())
        if met.error:
            raise BarrierBroken(met.error)
        return met.brought


class Member:
    """One attempt of a task of a barrier stage: counts its meetings. What `BarrierTaskContext` calls."""

    def __init__(self, meet: Meet, attempt: int, seconds: float) -> None:
        self._meet = meet
        self._attempt = attempt
        self._seconds = seconds
        self._number = 0
        self._is_waiting = False
        self._pid = os.getpid()

    def ask(self, wish: Wish, brought: bytes = b"") -> list[bytes]:
        """What the driver answers.

        Raises:
            BarrierBroken: if the tasks cannot meet.
            RuntimeError: in a child process, and while another thread waits.
            ValueError: if what is brought is too large.
        """
        if os.getpid() != self._pid or self._is_waiting:
            raise RuntimeError("only one thread of a task, and none of its child processes, can be at the barrier")
        if len(brought) > MOST_BYTES:
            raise ValueError(f"allGather: a message can have {MOST_BYTES:,} bytes, not {len(brought):,}")
        if wish is not Wish.PLACES:
            self._number += 1
        self._is_waiting = True
        try:
            # Numbers of questions that are no meetings are below all others.
            number = -1 if wish is Wish.PLACES else self._number
            return self._meet(self._attempt, number, wish, brought, self._seconds)
        finally:
            self._is_waiting = False


def meet_nobody(host: str) -> Meet:
    """For the one task of a barrier stage that runs in the driver's own process: it is everybody."""

    def meet(attempt: int, number: int, wish: Wish, brought: bytes, seconds: float) -> list[bytes]:
        if wish is Wish.PLACES:
            return [f"{host}:0".encode()]
        return [brought] if wish is Wish.GATHER else []

    return meet
