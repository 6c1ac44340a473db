"""The referee's book of answers: which inputs a stage need not wait for, because what it makes of them is cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rddlite.base.ids import ShuffleId, StageId
from rddlite.plan.model import StageKey, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev


class Spared:
    """The last answer that each stage got. While a question is open it may heed the answer before that, or not."""

    def __init__(self) -> None:
        self._asked: dict[tuple[StageId, int], StageKey] = {}
        self._open: dict[StageKey, int] = {}
        self._answers: dict[StageKey, set[ShuffleId]] = {}
        self._missed: set[tuple[StageKey, ShuffleId]] = set()

    def announce(self, commands: Sequence[cmd.Command]) -> None:
        """These commands are judged next: where the scheduler asks, earlier questions do not matter any more."""
        for find in commands:
            if isinstance(find, cmd.FindCached):
                self._asked[find.stage, find.question] = find.key
                self._open[find.key] = find.question

    def answered(self, found: ev.CachedFound) -> None:
        """The driver answers."""
        key = self._asked.pop((found.stage, found.question), None)
        if key is not None and self._open.get(key) == found.question:
            del self._open[key]
            self._answers[key] = {each for each in found.shuffles if (key, each) not in self._missed}

    def missed(self, key: StageKey, shuffle: ShuffleId) -> None:
        """A task of the stage has missed this: it must not be left out again, whatever is answered."""
        if shuffle in self._answers.get(key, ()):
            self._answers[key].discard(shuffle)
            self._missed.add((key, shuffle))

    def after(self, is_needed: Callable[[StageKey], bool]) -> None:
        """The batch is judged: stages that nobody needs begin anew when they are needed again."""
        if self._missed:
            self._missed = {each for each in self._missed if is_needed(each[0])}

    @property
    def waits(self) -> bool:
        """Whether any question is open."""
        return bool(self._open)

    def may_miss(self, key: StageKey, shuffles: Sequence[ShuffleId]) -> bool:
        """Whether tasks of the stage may be sent out without these."""
        return self._answers.get(key, set()).issuperset(shuffles)

    def reached(
        self,
        stages: Sequence[StagePlan],
        shuffles: Mapping[ShuffleId, StagePlan],
        is_complete: Callable[[ShuffleId], bool],
    ) -> set[ShuffleId]:
        """The shuffles that these stages need, directly or for others that are not complete."""
        found: set[ShuffleId] = set()
        todo = [parent for plan in stages for parent in self._read_by(plan)]
        while todo:
            shuffle = todo.pop()
            if shuffle not in found and not is_complete(shuffle):
                found.add(shuffle)
                todo.extend(self._read_by(shuffles[shuffle]))
        return found

    def _read_by(self, plan: StagePlan) -> list[ShuffleId]:
        """What the stage certainly or perhaps needs."""
        spared = set() if plan.key in self._open else self._answers.get(plan.key, set())
        return [each for each in plan.parents if each not in spared]
