"""Parents that a stage is spared: what its tasks would make of their outputs is cached.

Where cached partitions are only the driver knows. It is asked (`FindCached`) when a stage waits for outputs that nobody
computes yet, before a stage starts that is spared some and had to wait since it asked, and when an executor is lost, or
outputs of the stage itself, while it runs. Outputs that are there spare nothing and ask for nothing. Answers are hints:
a block may go before a task begins, which then misses outputs that it was sent out without: its fetch fails. That
parent is `distrusted`, and not spared again before the stage has been idle: so each costs one round of such tasks at
most, and no answer, however wrong, keeps a job from its end. Owned by `dag`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rddlite.base.ids import ShuffleId
from rddlite.schedule.commands import FindCached
from rddlite.schedule.outputs import MapOutputs
from rddlite.schedule.stages import Stage
from rddlite.schedule.states import StageState, TaskState
from rddlite.schedule.turn import Turn


class Sparing:
    """Asks, and keeps what a stage is spared."""

    def __init__(self, turn: Turn, outputs: MapOutputs, maps: Mapping[ShuffleId, Stage]) -> None:
        self._turn = turn
        self._outputs = outputs
        self._maps = maps
        self._n_questions = 0

    def must_wait(self, stage: Stage) -> bool:
        """Whether a waiting stage cannot go on before it has an answer."""
        if stage.is_answered:
            stage.is_answered = False
            return False
        self._ask(stage)
        return stage.question > 0

    def look_again(self, stage: Stage) -> None:
        """A running stage may have to ask again, if what it is spared is in doubt."""
        stage.is_answered = False
        if stage.is_doubted:
            self._ask(stage)

    def doubt(self, stage: Stage) -> bool:
        """What the stage is spared may be other than what it was told: False if it is spared nothing."""
        if not stage.spared and not stage.question:
            return False
        stage.is_doubted = True
        return True

    def take(self, stage: Stage, shuffles: Sequence[ShuffleId]) -> list[ShuffleId]:
        """The answer to the open question: the stage is spared these parents, and no others. Those are new to it that
        come back.
        """
        stage.question = 0
        stage.is_answered = True
        fresh = []
        for shuffle in stage.plan.parents:
            is_spared = shuffle in shuffles and shuffle not in stage.distrusted
            if not is_spared or self._outputs.is_complete(shuffle):
                self._require(stage, shuffle)
            elif shuffle not in stage.spared:
                stage.spared[shuffle] = None
                stage.missing.pop(shuffle, None)
                fresh.append(shuffle)
        return fresh

    def distrust(self, stage: Stage, shuffle: ShuffleId) -> bool:
        """It is not true that its tasks need not read this: False if nothing rests on that (any more)."""
        if shuffle not in stage.spared:
            return False
        stage.distrusted[shuffle] = None
        self._require(stage, shuffle)
        return True

    def end(self, stage: Stage) -> None:
        """The stage is not active any more."""
        if stage.plan.has_cached:
            stage.spared.clear()
            stage.distrusted.clear()
            stage.question = 0
            stage.is_answered = stage.is_doubted = False

    def _require(self, stage: Stage, shuffle: ShuffleId) -> None:
        if shuffle in stage.spared:
            del stage.spared[shuffle]
            self._maps[shuffle].dependents[stage.id] = stage
            if not self._outputs.is_complete(shuffle):
                stage.missing[shuffle] = None

    def _ask(self, stage: Stage) -> None:
        """Ask, unless the same question is open, or there is nothing to ask for."""
        if stage.question and not stage.is_doubted:
            return
        stage.is_doubted = False
        stage.question = 0
        shuffles = [*stage.spared]
        if stage.state is StageState.WAITING and stage.missing:
            idle = [each for each in stage.missing if self._maps[each].state is StageState.IDLE]
            fresh = [each for each in idle if each not in stage.distrusted]
            shuffles = [*shuffles, *fresh] if fresh else []  # else it asks when what it waits for is there
        if shuffles:
            self._n_questions += 1
            stage.question = self._n_questions
            self._turn.commands.append(
                FindCached(stage.id, stage.plan.key, stage.question, self._tasks_left(stage), tuple(shuffles))
            )

    def _tasks_left(self, stage: Stage) -> tuple[int, ...] | range:
        n_tasks = stage.plan.n_tasks
        if stage.tasks is not None:
            status = stage.tasks.status
            left = tuple(index for index in range(n_tasks) if status[index] != TaskState.DONE)
        elif stage.shuffle is not None:
            have = self._outputs.shuffles[stage.shuffle].have
            left = tuple(index for index in range(n_tasks) if not have[index])
        else:
            return range(n_tasks)
        return range(n_tasks) if len(left) == n_tasks else left
