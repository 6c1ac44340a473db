"""What must not be cut in half."""

from __future__ import annotations

import _thread

import pytest

from rddlite.base.uninterrupted import uninterrupted


def test_ctrl_c_comes_after_the_work() -> None:
    done: list[int] = []

    def work() -> None:
        for i in range(1000):
            if i == 10:
                _thread.interrupt_main()
            done.append(i)

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(work)
    assert done == list(range(1000))


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        uninterrupted(lambda: 1 / 0)
    uninterrupted(lambda: None)
