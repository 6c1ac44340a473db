"""What goes wrong in one simulated run: drawn from the seed, counted by name when it happens.

Three kinds: what befalls an attempt when it starts, what befalls the cluster at some moment, and how unreliable
messages are. At least one fault happens in every run: the first attempt that starts never gets away if nothing has
happened before.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from rddlite.base.ids import ExecutorId
from rddlite.base.outcome import Failure, Killed, OutOfMemory, Raised, TaskOutcome, WorkerDied
from rddlite.testing.fakes import FakeTask

TASK_FAULTS = (
    "raises", "raises for a record", "raises for good", "raises OSError", "worker dies", "out of memory", "hangs",
    "killed by nobody", "straggles", "gives other records",
)  # fmt: skip
"""What can befall an attempt. (`hangs` is rare in itself: somebody has to come and end it.)"""

CLUSTER_FAULTS: tuple[str, ...] = (
    "executor dies", "executor dies", "executor dies unseen", "short silence", "short silence", "long silence",
    "registers again", "output vanishes", "output is corrupt", "outputs reported lost", "driver is late",
    "forgotten early", "executor leaves", "executor leaves",
)  # fmt: skip

LOSSES = ("executor dies", "output vanishes", "output is corrupt", "outputs reported lost")
"""Those by which map outputs are lost."""


_ENDS_OF_STRAGGLERS = ("in success", "in success", "raises", "raises for good")
"""So that copies are made of attempts that fail in the end, and fail themselves."""


class FaultPlan:
    """The faults of one run. `fired` counts what has happened. With `is_steady` no attempt gives other records."""

    def __init__(self, random: Random, is_impatient: bool = False) -> None:
        self._random = random
        self.fired: Counter[str] = Counter()
        self.is_steady = False
        self._rate = random.choice((0.2, 0.5) if is_impatient else (0.0, 0.0, 0.05, 0.15))
        self._kinds = ["out of memory"] if is_impatient else random.sample(TASK_FAULTS, random.randint(1, 4))
        self._forced = random.choice((*TASK_FAULTS, "executor dies"))
        is_storm = random.random() < 0.15
        self._bad_executor = ExecutorId(random.choice("012")) if random.random() < 0.2 else None
        self._straggler_rate = 0.0
        self.counts_records = random.random() < 0.8
        self._anyway = random.choice((0.0, 0.3, 0.7, 0.7 + 0.3 * is_impatient))
        self._mood_rate = random.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 1.0))
        self.repeat_rate = random.choice((0.0, 0.1, 0.3))
        self.late_rate = random.choice((0.0, 0.05, 0.15, 0.15 + 0.25 * is_impatient))
        n_moments = random.randint(6, 12) if is_storm else random.choice((0, 1, 1, 2, 3, 4))
        self.moments = [(random.uniform(0.1, 7.0), random.choice(CLUSTER_FAULTS)) for _ in range(n_moments)]
        if self._mood_rate:
            # Moods matter only where outputs have to be made again.
            self.moments += [(random.uniform(0.1, 5.0), random.choice(LOSSES)) for _ in range(4)]
        elif random.random() < 0.3:
            self._straggler_rate = 0.2

    def note(self, name: str) -> None:
        """This fault has happened."""
        self.fired[name] += 1

    def on_start(self, task: FakeTask) -> str | None:
        """Decide what befalls an attempt; answers with the name of what the cluster has to see to."""
        task.reports_success_anyway = self._random.random() < self._anyway
        if self._random.random() < self._mood_rate and not self.is_steady:
            task.mood = 1 + task.launch.attempt
        if not self.fired:
            name = self._forced
        elif task.launch.executor == self._bad_executor and self._random.random() < 0.8:
            self.note("bad machine")
            name = self._random.choice(("raises OSError", "worker dies"))
        elif self._random.random() < self._rate:
            name = self._random.choice(self._kinds)
        elif self._straggler_rate and self._random.random() < self._straggler_rate:
            name = "straggles"
        else:
            return None
        self.note(name)
        task.is_hung = name == "hangs"
        if name == "gives other records" and not self.is_steady:
            task.mood = 1 + task.launch.attempt
        task.fate = self._fate(self._random.choice(_ENDS_OF_STRAGGLERS) if name == "straggles" else name)
        return name

    def _fate(self, name: str) -> TaskOutcome | None:
        record = f"record {self._random.randrange(100)}"
        match name:
            case "raises":
                return Raised(_failure("ValueError", record), retryable=True)
            case "raises for a record":
                return Raised(_failure("ValueError", "always the same"), retryable=True)
            case "raises for good":
                return Raised(_failure("NotPicklable", record), retryable=False)
            case "raises OSError":
                return Raised(_failure("ConnectionResetError", "always the same"), retryable=True)
            case "worker dies":
                return WorkerDied(None, 9)
            case "out of memory":
                return OutOfMemory(100, 101)
            case "killed by nobody":
                return Killed("no reason")
        return None


def _failure(type_name: str, record: str) -> Failure:
    return Failure(type_name, "on purpose", "", "", location="job.py:1", record=record)
