"""Signals and the kill cell, in this very process: only the named attempt is stopped, and only while it runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from rddlite.executor.interrupt import KILL_SIGNAL, Interruption, TaskKilled, create_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rddlite.executor.interrupt import KillCell

pytestmark = pytest.mark.local


@pytest.fixture
def cell() -> Iterator[KillCell]:
    cell, fd = create_cell()
    os.close(fd)
    yield cell
    cell.close()


@pytest.fixture
def interruption(cell: KillCell) -> Iterator[Interruption]:
    before = signal.getsignal(KILL_SIGNAL)
    interruption = Interruption(cell)
    interruption.install()
    yield interruption
    signal.signal(KILL_SIGNAL, before)


def send() -> None:
    os.kill(os.getpid(), KILL_SIGNAL)


def test_the_named_attempt_is_stopped(interruption, cell):
    cell.name(5)
    with pytest.raises(TaskKilled):
        interruption.run(5, lambda: (send(), time.sleep(60)))


def test_a_stop_that_was_asked_for_before_the_start_counts(interruption, cell):
    cell.name(5)
    with pytest.raises(TaskKilled):
        interruption.run(5, lambda: pytest.fail("it was started"))


def test_other_attempts_and_the_time_between_are_left_alone(interruption, cell):
    cell.name(5)
    send()
    assert interruption.run(6, lambda: (send(), "done")[1]) == "done"
    send()
    cell.name(6)
    send()


def test_what_the_work_raises_passes(interruption):
    with pytest.raises(KeyError):
        interruption.run(5, lambda: {}[1])


def test_nothing_is_raised_where_the_end_of_the_work_is_noted(interruption, cell):
    """A signal may be handled in the frame of `run` itself, just after the work: it must change nothing there."""

    def work() -> str:
        cell.name(5)
        own = sys._getframe()
        runs = own.f_back.f_back
        assert runs.f_code is Interruption.run.__code__
        interruption._on_signal(KILL_SIGNAL, runs)
        with pytest.raises(TaskKilled):
            interruption._on_signal(KILL_SIGNAL, own)
        return "done"

    assert interruption.run(5, work) == "done"


def test_under_a_storm_of_signals_nothing_escapes(interruption, cell):
    """Another thread asks for every other attempt to stop, at any moment, again and again."""
    stop = threading.Event()
    current = [0]

    def storm() -> None:
        while not stop.is_set():
            cell.name(current[0] // 2 * 2)
            send()

    thread = threading.Thread(target=storm)
    killed = finished = attempt = 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # the threads take turns many times
    thread.start()
    try:
        while attempt < 4000 or killed < 10:
            current[0] = attempt
            try:
                interruption.run(attempt, lambda: sum(range(200)))
                finished += 1
            except TaskKilled:
                assert attempt % 2 == 0
                killed += 1
            attempt += 1
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert killed + finished == attempt
    assert finished >= attempt // 2
