"""Which updates count, told by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import AttemptId, JobId, ShuffleId
from rddlite.driver.accumulators import AcceptedUpdates
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StageKey, StagePlan

JOB, OTHER = JobId(1), JobId(2)
RESULT = ResultStage(JOB)
SHUFFLE = ShuffleId(7)
MAP = MapStage(SHUFFLE)


class Story:
    """Updates told of one attempt after another."""

    def __init__(self, *jobs: JobId) -> None:
        self.updates: AcceptedUpdates[bytes] = AcceptedUpdates()
        self._n = 0
        for job in jobs or (JOB,):
            self.begin(job)

    def begin(self, job: JobId) -> None:
        maps = {SHUFFLE: StagePlan(MAP, (), 4, 2)}
        self.updates.begin(JobPlan(job, range(4), StagePlan(ResultStage(job), (SHUFFLE,), 4), maps))

    def attempt(self, key: StageKey, index: int, updates: bytes, accepted: bool = True) -> None:
        self._n += 1
        if updates:
            self.updates.reported(AttemptId(self._n), updates)
        self.updates.ended(key, index, AttemptId(self._n), accepted)


def test_accepted_updates_come_in_order_of_stages_and_partitions() -> None:
    story = Story()
    story.attempt(RESULT, 1, b"r1")
    story.attempt(MAP, 2, b"m2")
    story.attempt(RESULT, 0, b"r0")
    story.attempt(MAP, 0, b"m0")
    assert story.updates.take(JOB) == [b"m0", b"m2", b"r0", b"r1"]
    assert story.updates.take(JOB) == []


def test_what_is_not_accepted_does_not_count() -> None:
    story = Story()
    story.attempt(RESULT, 0, b"lost the race", accepted=False)
    story.updates.reported(AttemptId(99), b"unknown")
    story.updates.turn_ended()
    story.updates.ended(RESULT, 1, AttemptId(99), True)
    assert story.updates.take(JOB) == []


def test_a_partition_that_runs_again_replaces_what_it_added() -> None:
    story = Story()
    story.attempt(RESULT, 0, b"first")
    story.attempt(RESULT, 0, b"second")
    story.attempt(MAP, 0, b"first")
    story.attempt(MAP, 0, b"")
    assert story.updates.take(JOB) == [b"second"]


def test_a_counted_output_counts_once_however_often_it_is_computed() -> None:
    story = Story()
    story.attempt(MAP, 0, b"m0")
    assert story.updates.take(JOB) == [b"m0"]
    story.begin(OTHER)
    story.attempt(MAP, 0, b"m0 again")
    story.attempt(MAP, 1, b"m1")
    assert story.updates.take(OTHER) == [b"m1"]


def test_a_shared_stage_counts_for_the_job_that_ends_first() -> None:
    story = Story(JOB, OTHER)
    story.attempt(MAP, 0, b"m0")
    assert story.updates.take(OTHER) == [b"m0"]
    story.attempt(MAP, 1, b"m1")
    assert story.updates.take(JOB) == [b"m1"]


def test_a_late_output_waits_for_the_next_job() -> None:
    story = Story()
    assert story.updates.take(JOB) == []
    story.attempt(MAP, 0, b"late")
    story.attempt(RESULT, 0, b"for nobody")
    story.begin(OTHER)
    assert story.updates.take(OTHER) == [b"late"]


def test_a_dropped_job_leaves_outputs_to_others() -> None:
    story = Story()
    story.attempt(MAP, 0, b"m0")
    story.attempt(RESULT, 0, b"r0")
    story.updates.drop(JOB)
    story.begin(OTHER)
    assert story.updates.take(OTHER) == [b"m0"]


def test_nothing_is_kept_of_forgotten_shuffles_and_ended_jobs() -> None:
    story = Story(JOB, OTHER)
    story.attempt(MAP, 0, b"m0")
    story.attempt(RESULT, 0, b"r0")
    story.updates.take(JOB)
    story.attempt(MAP, 1, b"m1")
    story.updates.drop(OTHER)
    story.updates.forget([SHUFFLE])
    story.updates.turn_ended()
    assert all(not value for value in vars(story.updates).values())


STEP = st.tuples(st.sampled_from(["map", "result"]), st.integers(0, 3), st.booleans())


@given(st.lists(STEP, max_size=30))
def test_every_partition_counts_at_most_once_and_with_its_last_accepted_update(
    steps: list[tuple[str, int, bool]],
) -> None:
    story = Story()
    last: dict[tuple[str, int], bytes] = {}
    for n, (kind, index, accepted) in enumerate(steps):
        update = str(n).encode()
        story.attempt(MAP if kind == "map" else RESULT, index, update, accepted)
        if accepted:
            last[kind, index] = update
    assert story.updates.take(JOB) == [last[key] for key in sorted(last)]
