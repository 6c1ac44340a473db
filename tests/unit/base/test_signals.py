"""Names of signals."""

from __future__ import annotations

import signal

from rddlite.base.signals import signal_name


def test_every_signal_that_can_end_a_process_has_a_name() -> None:
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(signal.SIGRTMIN) == "SIGRTMIN"
    assert signal_name(signal.SIGRTMIN + 6) == "SIGRTMIN+6"
    assert signal_name(200) == "signal 200"
    assert all(signal_name(number) for number in range(1, signal.NSIG))
