"""The referee's book of versions: which map outputs were followed by others with other records, and what that shakes.

What was made from the first version, directly or through others, must never meet what is made from the second one: it
does not count any more. `shaken` while a batch is judged are the stages that may be rolled back by it.
"""

from __future__ import annotations

from rddlite.base.ids import JobId, ShuffleId
from rddlite.base.outcome import MapStatus, Success
from rddlite.plan.model import JobPlan, MapStage, StageKey, StagePlan
from rddlite.schedule.commands import Launch
from rddlite.testing.members import Foul
from rddlite.testing.workload import Mixture, Workload


class Versions:
    """Knows the last version of each map output that was taken."""

    def __init__(self, work: Workload) -> None:
        self._work = work
        self._last: dict[tuple[ShuffleId, int], bytes] = {}
        self._shaky: set[ShuffleId] = set()
        self._is_certain = False
        self._kills = 0
        self._notes: list[int] = []
        self._n_rolled_back = 0

    def begin(self, *, is_certain: bool) -> None:
        """A batch begins. `is_certain`: it has one event, and the referee knows exactly what counts."""
        self._is_certain = is_certain
        self._shaky.clear()
        self._notes.clear()
        self._kills = self._n_rolled_back = 0

    def reported(self, outcome: Success, launch: Launch) -> None:
        """An attempt of this batch succeeded."""
        if self.is_other(outcome, launch):
            self._shaky.add(launch.key.shuffle)  # type: ignore[union-attr]

    def is_other(self, outcome: Success, launch: Launch) -> bool:
        """Whether this map output differs from the last one that was taken, so that taking it has consequences."""
        key, value = launch.key, outcome.value
        if not isinstance(key, MapStage) or not isinstance(value, MapStatus):
            return False
        return self._last.get((key.shuffle, launch.index), value.fingerprints) != value.fingerprints

    def took(self, outcome: Success, launch: Launch) -> None:
        """This map output counts."""
        assert isinstance(launch.key, MapStage)
        assert isinstance(outcome.value, MapStatus)
        self._last[launch.key.shuffle, launch.index] = outcome.value.fingerprints

    def forgot(self, shuffle: ShuffleId) -> None:
        """Nobody can reach this shuffle."""
        self._last = {output: each for output, each in self._last.items() if output[0] != shuffle}

    def inputs_of(self, shuffle: ShuffleId) -> set[ShuffleId]:
        """This shuffle and all that are made from it: who reads one of them is rolled back with it."""
        return {shuffle, *self._work.made_from(shuffle)}

    def stage_of(self, key: StageKey) -> StagePlan:
        """The plan of a stage, whether anybody needs it or not."""
        if isinstance(key, MapStage):
            return self._work.shuffles[key.shuffle]
        return next(plan.result for _, plan in self._work.submissions if plan.job_id == key.job)

    def is_shaken(self, key: StageKey) -> bool:
        """Whether this stage reads, directly or through others, a shuffle of which another version came just now."""
        return any(not self.inputs_of(each).isdisjoint(self.stage_of(key).parents) for each in self._shaky)

    def killed(self) -> None:
        """The last attempt of a task of a stage that is shaken was killed."""
        self._kills += 1

    def noted(self, n_tasks: int) -> None:
        """The scheduler says that so many tasks are rolled back."""
        self._notes.append(n_tasks)

    def rolled_back(self, n_settled: int) -> None:
        """So many outputs and results do not count any more."""
        self._n_rolled_back += n_settled

    def end(self) -> None:
        """The batch is judged.

        Raises:
            Foul: if more or less was rolled back than there was, or was said.
        """
        expected = self._n_rolled_back + self._kills
        if self._is_certain and sum(self._notes) != expected:
            raise Foul(f"{self._notes} tasks are said to be rolled back, and it should have been {expected}")

    def check_results(self, plan: JobPlan, values: dict[int, int]) -> None:
        """These results, by index, must be right, and made from one version of everything.

        Raises:
            Foul: if they are not.
        """
        try:
            self._work.check_result(plan, values)
        except Mixture as mixture:
            raise Foul(f"job {plan.job_id} got wrong results {values}: {mixture}") from mixture


Delivered = dict[JobId, dict[int, int]]
"""The last result of each task of a job."""
