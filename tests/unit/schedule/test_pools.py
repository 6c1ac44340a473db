"""FAIR: pools share the executors by minimum share and weight, as in Spark; the oldest job of a pool comes first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rddlite.plan.model import JobPlan, MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import PoolOptions
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage

POOLS = (PoolOptions("heavy", weight=3), PoolOptions("sure", weight=1, min_share=4))


def fair(*executors: str, slots: int = 4, **options: Any) -> Rig:
    """A scheduler with these pools."""
    return Rig(*executors, slots=slots, **{"mode": "FAIR", "pools": POOLS, **options})


def pooled(pool: str, plan: JobPlan) -> JobPlan:
    """The same job in this pool."""
    return replace(plan, pool=pool)


def shares(rig: Rig) -> Counter[int]:
    """How many attempts of each job run."""
    return Counter(launch.key.job for launch in rig.running())


def turn_over(rig: Rig, count: int) -> None:
    """That many attempts end, the oldest first."""
    for _ in range(count):
        rig.succeed(rig.running()[0])


def test_two_pools_get_the_same() -> None:
    rig = fair("a", "b")
    rig.submit(pooled("x", job(0, 40)))
    rig.submit(pooled("y", job(1, 40)))
    assert shares(rig) == {0: 8}
    turn_over(rig, 12)
    assert shares(rig) == {0: 4, 1: 4}


def test_two_jobs_that_come_together_share_from_the_beginning() -> None:
    rig = fair("a", "b")
    rig.tell(ev.JobSubmitted(pooled("x", job(0, 40))), ev.JobSubmitted(pooled("y", job(1, 40))))
    assert shares(rig) == {0: 4, 1: 4}


def test_weights_count() -> None:
    rig = fair("a", "b")
    rig.tell(ev.JobSubmitted(pooled("heavy", job(0, 40))), ev.JobSubmitted(pooled("light", job(1, 40))))
    assert shares(rig) == {0: 6, 1: 2}


def test_a_minimum_share_comes_first() -> None:
    rig = fair("a", "b")
    rig.tell(ev.JobSubmitted(pooled("heavy", job(0, 40))), ev.JobSubmitted(pooled("sure", job(1, 40))))
    assert shares(rig) == {0: 4, 1: 4}
    small = fair("a", slots=3)
    small.tell(ev.JobSubmitted(pooled("heavy", job(0, 40))), ev.JobSubmitted(pooled("sure", job(1, 40))))
    assert shares(small) == {1: 3}


def test_within_a_pool_the_oldest_job_comes_first() -> None:
    rig = fair("a", "b")
    batch = [ev.JobSubmitted(pooled("x" if n < 2 else "y", job(n, 40))) for n in range(3)]
    rig.tell(*batch)
    assert shares(rig) == {0: 4, 2: 4}


def test_what_a_pool_does_not_use_others_do() -> None:
    rig = fair("a", "b")
    rig.tell(ev.JobSubmitted(pooled("sure", job(0, 1))), ev.JobSubmitted(pooled("x", job(1, 40))))
    assert shares(rig) == {0: 1, 1: 7}


def test_fifo_knows_no_pools() -> None:
    rig = Rig("a", "b", slots=4, pools=POOLS)
    rig.tell(ev.JobSubmitted(pooled("x", job(0, 40))), ev.JobSubmitted(pooled("sure", job(1, 40))))
    assert shares(rig) == {0: 8}


def test_pools_come_and_go_with_their_jobs() -> None:
    rig = fair("a")
    pools = rig.scheduler.parts()[1].placing.pools.pools
    for number in range(5):
        rig.submit(pooled(f"pool {number}", job(number, 2)))
        rig.submit(pooled("sure", job(100 + number, 2, map_stage(number, 2))))
        assert len(pools) == 2
        rig.finish()
    assert pools == {}


def test_attempts_that_are_being_killed_count_for_their_pool() -> None:
    rig = fair("a", slots=4)
    rig.submit(pooled("x", job(0, 4)))
    rig.tell(ev.JobCancelled(0, "stop"))
    batch = [ev.JobSubmitted(pooled(pool, job(n, 40))) for n, pool in ((1, "x"), (2, "y"))]
    rig.tell(*batch)
    assert rig.running(ResultStage(1)) == rig.running(ResultStage(2)) == []
    turn_over(rig, 2)
    assert {launch.key.job for launch in rig.running(ResultStage(2))} == {2}
    assert len(rig.running(ResultStage(2))) == 2


def test_a_shared_stage_is_in_the_pool_of_the_oldest_job_that_needs_it() -> None:
    rig = fair("a", "b", slots=2)
    plan = map_stage(0, 40)
    rig.submit(pooled("x", job(0, 1, plan)))
    rig.submit(pooled("y", job(1, 1, plan)))
    rig.submit(pooled("x", job(2, 40)))
    pools = rig.scheduler.parts()[1].placing.pools.pools
    assert [pool.name for pool in pools.values() if pool.n_running] == ["x"]
    rig.tell(ev.JobCancelled(0, "stop"))
    turn_over(rig, 4)
    assert [launch.key for launch in rig.all_launches[-4:]] == [MapStage(0)] * 2 + [ResultStage(2)] * 2


def test_stages_that_prefer_hosts_share_too() -> None:
    rig = fair("a", "b", slots=4)
    hosts = (("host-a",),) * 40
    rig.tell(
        ev.JobSubmitted(pooled("x", job(0, 40, hosts=hosts))),
        ev.JobSubmitted(pooled("y", job(1, 40, hosts=hosts))),
        ev.JobSubmitted(pooled("z", job(2, 40))),
    )
    by_place = Counter((launch.key.job, launch.executor) for launch in rig.running())
    assert by_place[0, "b"] == by_place[1, "b"] == 0
    assert abs(by_place[0, "a"] - by_place[1, "a"]) <= 1
    assert by_place[2, "b"] == 4
    assert sum(by_place.values()) == 8


def test_nothing_starves() -> None:
    rig = fair("a", slots=8)
    for number, pool in enumerate(("heavy", "sure", "x", "y")):
        rig.submit(pooled(pool, job(number, 30)))
    started: set[int] = set()
    for _ in range(20):
        turn_over(rig, 2)
        started |= shares(rig).keys()
    assert started == {0, 1, 2, 3}
    while rig.running():
        commands = rig.finish()
    assert of(cmd.JobDone, commands)[-1] == like(cmd.JobDone)


class Reference:
    """Spark's comparison of two pools, written out."""

    def __init__(self, options: dict[str, PoolOptions]) -> None:
        self.options = options

    def is_before(self, one: str, other: str, running: Counter[str]) -> bool:
        """FairSchedulingAlgorithm.comparator."""
        first, second = self.options[one], self.options[other]
        needy_one, needy_other = running[one] < first.min_share, running[other] < second.min_share
        if needy_one != needy_other:
            return needy_one
        if needy_one:
            ratios = running[one] / max(first.min_share, 1), running[other] / max(second.min_share, 1)
        else:
            ratios = running[one] / first.weight, running[other] / second.weight
        return (ratios[0], one) < (ratios[1], other)


names = ("p", "q", "r")
pool_options = st.tuples(
    *(st.builds(PoolOptions, st.just(name), st.integers(1, 4), st.integers(0, 5)) for name in names)
)


@given(pool_options, st.lists(st.integers(1, 30), min_size=3, max_size=3), st.lists(st.integers(0, 100), max_size=25))
def test_every_launch_goes_to_the_pool_that_spark_would_choose(
    options: tuple[PoolOptions, ...], sizes: list[int], ends: list[int]
) -> None:
    rig = fair("a", "b", slots=3, pools=options)
    reference = Reference({each.name: each for each in options})
    running: Counter[str] = Counter()
    pending = dict(zip(names, sizes, strict=True))

    def follow(commands: list[cmd.Command]) -> None:
        for launch in of(cmd.Launch, commands):
            chosen = names[launch.key.job]
            others = [name for name in names if pending[name] and name != chosen]
            assert all(reference.is_before(chosen, other, running) for other in others)
            pending[chosen] -= 1
            running[chosen] += 1

    batch = [ev.JobSubmitted(pooled(name, job(n, sizes[n]))) for n, name in enumerate(names)]
    follow(rig.tell(*batch))
    for end in ends:
        if rig.running():
            launch = rig.running()[end % len(rig.running())]
            running[names[launch.key.job]] -= 1
            follow(rig.succeed(launch))
