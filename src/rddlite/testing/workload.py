"""Random jobs for the simulator, and the answer that each of them must give.

Every map output is a number computed from its shuffle, its index and all outputs of the shuffles that it reads, so a
task that read a missing, foreign or misplaced output gives a wrong answer. A moody attempt gives a number of its own;
where each number comes from is remembered, so that it can be told what a result was made from. Everything follows from
the random generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from rddlite.base.ids import JobId, ShuffleId
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StageKey, StagePlan

HOSTS = ("h0", "h1", "h2", "elsewhere")
GROUPS = (None, None, "a", "b")
POOLS = ("default", "default", "small", "large", "unlisted")


def compute(key: StageKey, index: int, inputs: Sequence[int], mood: int = 0) -> int:
    """What one task makes of everything it reads, in order. Attempts of different moods give different numbers."""
    kind = 1 if isinstance(key, MapStage) else 2
    number = key.shuffle if isinstance(key, MapStage) else key.job
    return hash((kind, number, index, mood, *inputs))


Output = tuple[ShuffleId, int]
"""A shuffle, and a map index of it."""


class Mixture(Exception):
    """Something was made from wrong inputs, or from two versions of one map output."""


@dataclass
class Workload:
    """Jobs with the times at which they are submitted, and the shuffles they share.

    `made` says what each number was made of: the task, and its inputs in order.
    """

    shuffles: dict[ShuffleId, StagePlan] = field(default_factory=dict)
    is_impatient: bool = False
    submissions: list[tuple[float, JobPlan]] = field(default_factory=list)
    cancels: list[tuple[float, JobId]] = field(default_factory=list)
    made: dict[int, tuple[StageKey, int, tuple[int, ...]]] = field(default_factory=dict)
    _versions: dict[int, dict[Output, int]] = field(default_factory=dict)

    def make(self, key: StageKey, index: int, inputs: Sequence[int], mood: int = 0) -> int:
        """What one attempt makes of everything it reads."""
        value = compute(key, index, inputs, mood)
        self.made[value] = (key, index, tuple(inputs))
        return value

    def check_result(self, plan: JobPlan, values: Mapping[int, int]) -> None:
        """These results, by index, must have been made from all that they need, and from one version of each.

        Raises:
            Mixture: if they are not.
        """
        all_versions: dict[Output, int] = {}
        for index, value in values.items():
            self._merge(all_versions, self._check(plan.result, index, value))

    def _check(self, plan: StagePlan, index: int, value: int) -> dict[Output, int]:
        """The version of each map output that went into this number, which the task of that index must have made."""
        key, made_index, inputs = self.made.get(value, (None, -1, ()))
        if (key, made_index) != (plan.key, index):
            raise Mixture(f"{value} is no output of task {index} of {plan.key}")
        if value in self._versions:
            return self._versions[value]
        wanted = [(parent, each) for parent in plan.parents for each in range(self.shuffles[parent].n_tasks)]
        if len(inputs) != len(wanted):
            raise Mixture(f"task {index} of {plan.key} read {len(inputs)} outputs, not {len(wanted)}")
        versions: dict[Output, int] = {}
        for output, found in zip(wanted, inputs, strict=True):
            self._merge(versions, self._check(self.shuffles[output[0]], output[1], found))
            self._merge(versions, {output: found})
        self._versions[value] = versions
        return versions

    def _merge(self, versions: dict[Output, int], others: Mapping[Output, int]) -> None:
        for output, value in others.items():
            if versions.setdefault(output, value) != value:
                raise Mixture(f"two versions of map {output[1]} of shuffle {output[0]} were used")

    def made_from(self, shuffle: ShuffleId) -> set[ShuffleId]:
        """Every shuffle that this one goes into, directly or through others."""
        found: set[ShuffleId] = set()
        for each, plan in sorted(self.shuffles.items()):  # parents have lower ids
            if plan.n_tasks and (shuffle in plan.parents or not found.isdisjoint(plan.parents)):
                found.add(each)
        return found

    def closure(self, parents: Iterable[ShuffleId]) -> dict[ShuffleId, StagePlan]:
        """These shuffles and all that they are made from."""
        found: dict[ShuffleId, StagePlan] = {}
        todo = list(parents)
        while todo:
            shuffle = todo.pop()
            if shuffle not in found:
                found[shuffle] = self.shuffles[shuffle]
                todo.extend(found[shuffle].parents)
        return dict(sorted(found.items()))


def random_workload(random: Random) -> Workload:
    """A few jobs over one to five shuffles; some share shuffles, most overlap in time. Some job may be cancelled and
    submitted again at once."""
    if random.random() < 0.2:
        return _impatient(random)
    work = Workload()
    for number in range(random.choice((1, 2, 3, 4, 5))):
        shuffle = ShuffleId(number)
        parents = tuple(sorted(random.sample(sorted(work.shuffles), random.randint(0, min(2, number)))))
        work.shuffles[shuffle] = _stage(random, MapStage(shuffle), parents, may_be_empty=number > 0)
    moment = 0.0
    for _ in range(random.choice((1, 2, 2, 3, 4))):
        parents = tuple(sorted(random.sample(sorted(work.shuffles), random.randint(1, min(2, len(work.shuffles))))))
        _submit(random, work, moment, parents)
        if random.random() < 0.2:
            moment += random.uniform(0.3, 2.0)
            work.cancels.append((moment, JobId(len(work.submissions) - 1)))
            _submit(random, work, moment + random.choice((0.0, 0.02, 0.1)), parents)
        moment += random.choice((0.0, 0.3, 1.0, 4.0))
    return work


def _impatient(random: Random) -> Workload:
    """The same small job again and again, each time cancelled in the middle."""
    work = Workload(is_impatient=True)
    n_shuffles = random.choice((2, 2, 3))
    for number in range(n_shuffles):
        parents = (ShuffleId(number - 1),) if number else ()
        key = MapStage(ShuffleId(number))
        work.shuffles[key.shuffle] = StagePlan(key, parents, random.choice((1, 1, 2)), 2, label=f"stage of {key}")
    moment = 0.0
    for _ in range(random.randint(3, 6)):
        _submit(random, work, moment, (ShuffleId(n_shuffles - 1),))
        moment += random.uniform(0.2, 1.2)
        work.cancels.append((moment, JobId(len(work.submissions) - 1)))
        moment += random.choice((0.0, 0.02, 0.1))
    work.cancels.pop()
    return work


def with_barriers(random: Random, work: Workload) -> Workload:
    """The same jobs, where the tasks of some stages run all together or not at all."""
    stages = [*work.shuffles.values(), *(plan.result for _, plan in work.submissions)]
    chosen = [plan.key for plan in stages if random.random() < 0.4]
    work.shuffles = {shuffle: _barrier(random, plan, chosen) for shuffle, plan in work.shuffles.items()}
    submissions = []
    for moment, plan in work.submissions:
        result = _barrier(random, plan.result, chosen)
        maps = {shuffle: work.shuffles[shuffle] for shuffle in plan.maps}
        submissions.append((moment, replace(plan, result=result, maps=maps, partitions=range(result.n_tasks))))
    work.submissions = submissions
    return work


def _barrier(random: Random, plan: StagePlan, chosen: Sequence[StageKey]) -> StagePlan:
    if plan.key not in chosen:
        return plan
    n_tasks = min(plan.n_tasks, random.choice((1, 2, 2, 3, 3, 4, 5)))
    return replace(plan, n_tasks=n_tasks, hosts=plan.hosts[:n_tasks], can_copy=False, is_barrier=True)


def _submit(random: Random, work: Workload, moment: float, parents: tuple[ShuffleId, ...]) -> None:
    job = JobId(len(work.submissions))
    result = _stage(random, ResultStage(job), parents, may_be_empty=job > 0)
    maps, group, pool = work.closure(parents), random.choice(GROUPS), random.choice(POOLS)
    passing = frozenset(maps.keys() - set(parents)) if job % 3 else frozenset()
    plan = JobPlan(job, range(result.n_tasks), result, maps, group, f"job {job}", pool, passing)
    work.submissions.append((moment, plan))


def _stage(random: Random, key: StageKey, parents: tuple[ShuffleId, ...], *, may_be_empty: bool) -> StagePlan:
    n_tasks = 0 if may_be_empty and random.random() < 0.03 else random.choice((1, 2, 3, 4, 5, 6, 8, 12))
    hosts: tuple[tuple[str, ...], ...] = ()
    if random.random() < 0.3:
        hosts = tuple(tuple(random.sample(HOSTS, random.choice((0, 1, 1, 2)))) for _ in range(n_tasks))
    n_out, can_copy = 2 if isinstance(key, MapStage) else 0, random.random() < 0.9
    return StagePlan(key, parents, n_tasks, n_out, hosts, f"stage of {key}", can_copy)
