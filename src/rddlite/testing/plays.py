"""The referee's book of attempts: what runs where, which of it is wanted, and whether it may run beside others.

It hears of launches from commands and of their ends from events, and decides nothing about what they computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.plan.model import StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.conduct import Task
from rddlite.testing.members import Foul

MOST_COPIES = 4


@dataclass
class Play:
    """One attempt as the referee sees it: wanted until it is killed, astray (its executor does not have it), or stale
    (what it has read is not there any more).
    """

    launch: cmd.Launch
    is_alone: bool = False
    is_astray: bool = False
    is_killed: bool = False
    is_stale: bool = False

    @property
    def is_wanted(self) -> bool:
        return not self.is_astray and not self.is_killed and not self.is_stale

    @property
    def goes_on_in_vain(self) -> bool:
        return self.is_stale and not self.is_astray and not self.is_killed

    @property
    def task(self) -> Task:
        """What it is an attempt of."""
        return self.launch.key, self.launch.index


class Plays:
    """All attempts whose end was not reported. `known` has them by id."""

    def __init__(self, options: SchedulerOptions) -> None:
        self._options = options
        self.known: dict[AttemptId, Play] = {}
        self._n_launched = 0
        self._progress: dict[AttemptId, float] = {}
        self._copies: set[AttemptId] = set()
        self._n_copies: Counter[Task] = Counter()

    # What becomes of them

    def told(self, progress: Iterable[tuple[AttemptId, float, int]]) -> None:
        """An executor tells how far its attempts are."""
        self._progress.update((attempt, seconds) for attempt, seconds, _ in progress)

    def end(self, executor: ExecutorId, attempt: AttemptId) -> Play | None:
        """The end of an attempt is reported; None if nobody knows it there."""
        play = self.known.get(attempt)
        if play is None or play.launch.executor != executor:
            return None
        return self.known.pop(attempt)

    def returned(self, executor: ExecutorId, attempts: Iterable[AttemptId]) -> None:
        """An executor registered again: it has these, and no others."""
        there = set(attempts)
        for play in self.known.values():
            if play.launch.executor == executor and play.launch.attempt not in there:
                play.is_astray = True

    def lose(self, executor: ExecutorId) -> None:
        """An executor is gone with all it ran."""
        for attempt in [each for each, play in self.known.items() if play.launch.executor == executor]:
            del self.known[attempt]

    def announce(self, commands: Iterable[cmd.Command]) -> None:
        """These commands are judged next: which of their launches are said to be copies."""
        self._copies = {command.attempt for command in commands if isinstance(command, cmd.TaskCopied)}

    def forgive(self, is_meant: Callable[[Task], bool]) -> None:
        """How often these tasks were copied is no matter any more, if they run again."""
        self._n_copies = Counter({task: n for task, n in self._n_copies.items() if not is_meant(task)})

    def launch(self, launch: cmd.Launch, plan: StagePlan, room: int, *, is_alone: bool) -> None:
        """An attempt is launched where there is room for so many, and must be alone there or not.

        Raises:
            Foul: if it must not be launched there, or now.
        """
        if launch.attempt != self._n_launched:
            raise Foul(f"{launch}: expected attempt {self._n_launched}")
        self._n_launched += 1
        here = [play for play in self.known.values() if play.launch.executor == launch.executor]
        play = Play(launch, is_alone=is_alone)
        self._check_copy(launch, plan, self.wanted(play.task))
        # What an executor said it does not have any more takes no room there.
        if sum(1 for each in here if each.is_wanted) >= room:
            raise Foul(f"{launch} beyond the room of its executor")
        if any(each.is_wanted and (is_alone or each.is_alone) for each in here):
            raise Foul(f"{launch} beside another attempt, where one must be alone")
        self.known[launch.attempt] = play

    def _check_copy(self, launch: cmd.Launch, plan: StagePlan, others: list[Play]) -> None:
        """A task may run twice if it is said to, on two executors, and if the first attempt took a while."""
        if bool(others) != (launch.attempt in self._copies) or len(others) > 1:
            raise Foul(f"{launch} of a task of which {len(others)} attempts run already")
        for other in others:
            self._n_copies[other.task] += 1
            if self._n_copies[other.task] > MOST_COPIES:
                raise Foul(f"{launch} is copy {self._n_copies[other.task]} of its task")
            seconds = self._progress.get(other.launch.attempt, 0.0)
            is_slow = self._options.speculation and seconds > self._options.speculation_minimum
            if not plan.can_copy or other.launch.executor == launch.executor or other.is_alone or not is_slow:
                raise Foul(f"{launch} as a copy of {other} after {seconds} s")

    # Questions

    def wanted(self, task: Task) -> list[Play]:
        """What runs of this task, and is not known to be in vain."""
        return [play for play in self.known.values() if play.is_wanted and play.task == task]

    def load(self, executor: ExecutorId) -> int:
        """How many attempts an executor has."""
        return sum(1 for play in self.known.values() if play.launch.executor == executor and not play.is_astray)

    def are_idle(self) -> bool:
        """Whether nothing runs that could have any effect."""
        return all(play.is_astray and not play.is_killed for play in self.known.values())

    def check(self) -> set[Task]:
        """Which tasks run.

        Raises:
            Foul: if too many of them run twice, or some in vain.
        """
        wanted = [play.task for play in self.known.values() if play.is_wanted]
        tasks = set(wanted)
        n_copied = len(wanted) - len(tasks)
        if n_copied > 1 and n_copied > len(self.known) / 10:
            raise Foul(f"{n_copied} copies run among {len(self.known)} attempts")
        survivors = sorted(each for each, play in self.known.items() if play.goes_on_in_vain)
        if survivors:
            raise Foul(f"attempts {survivors} go on, but what they have read is not there any more")
        return tasks
