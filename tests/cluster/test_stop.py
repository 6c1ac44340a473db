"""The end of a context, as it should be and interrupted by Ctrl-C: nothing of it stays in the driver's process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from rddlite import Context
from rddlite.errors import ContextStopped
from tests.helpers.cluster import EXPECTED, PATIENT, counts, wait_until

MASTERS = ["inline", "local[2]", "local-cluster[2,1,256m]", "rdd://127.0.0.1:0"]


def started(master: str) -> Context:
    """A context that has done something, as far as it can without executors."""
    sc = Context(master, conf=PATIENT)
    if not master.startswith("rdd"):
        assert dict(counts(sc).collect()) == EXPECTED
    return sc


def what_is_open() -> tuple[int, list[str]]:
    """How many descriptors, and which threads of ours."""
    ours = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("rddlite"))
    return len(os.listdir("/proc/self/fd")), ours


def assert_nothing_more(before: tuple[int, list[str]]) -> None:
    """A thread of libzmq closes some descriptors a moment later."""

    def is_closed() -> bool:
        n_open, threads = what_is_open()
        return n_open <= before[0] and threads == before[1]

    wait_until(is_closed, f"{before} are open again, not {what_is_open()}")


def interrupt(sc: Context, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C pressed while `stop` waits for the loop's end, so many times."""
    assert sc._driver is not None
    has_closed = sc._driver._loop.has_closed
    wait: Callable[[float | None], bool] = has_closed.wait
    rest = [signal.SIGINT] * times

    def interrupted(limit: float | None = None) -> bool:
        if rest:
            signal.raise_signal(rest.pop())
        return wait(limit)

    monkeypatch.setattr(has_closed, "wait", interrupted)


@pytest.mark.parametrize("master", MASTERS)
def test_nothing_stays_open(master: str) -> None:
    started(master).stop()  # what is loaded once and kept is there now
    before = what_is_open()
    for _ in range(2):
        started(master).stop()
    assert_nothing_more(before)


@pytest.mark.parametrize("master", MASTERS)
def test_ctrl_c_comes_after_the_rest_was_done(master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started(master).stop()
    before = what_is_open()
    sc = started(master)
    interrupt(sc, 1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        sc.stop()
    assert_nothing_more(before)


@pytest.mark.parametrize("master", MASTERS)
def test_a_second_stop_does_what_the_first_left(master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started(master).stop()
    before = what_is_open()
    sc = started(master)
    interrupt(sc, 2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        sc.stop()
    with pytest.raises(ContextStopped):
        sc.range(3)
    sc.stop()
    assert_nothing_more(before)
