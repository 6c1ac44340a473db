"""The tables, and what happens when something asks for a move that they do not have."""

from __future__ import annotations

import pytest

from rddlite.errors import IllegalTransition
from rddlite.schedule import events as ev
from rddlite.schedule.executors import Executor
from rddlite.schedule.states import TABLES, ExecutorState, JobState, TaskState
from rddlite.schedule.turn import STORY_LENGTH, Turn
from tests.helpers.scheduling import Rig, job, raised


def test_tables_hold_moves_between_states_of_one_kind_with_a_reason() -> None:
    for moves in TABLES.values():
        kinds = {type(state) for move in moves for state in move}
        assert len(kinds) == 1
        assert all(old != new and reason for (old, new), reason in moves.items())


def test_every_state_but_the_first_can_be_reached() -> None:
    for moves in TABLES.values():
        states = list(type(next(iter(moves))[0]))
        assert {new for _, new in moves} >= set(states) - {states[0]}


def test_an_illegal_move_tells_the_story() -> None:
    turn = Turn()
    executor = Executor("7", "h", 1)
    turn.stimulus = ("ExecutorJoined", "7")
    turn.move(executor, ExecutorState.ALIVE)
    turn.stimulus = ("ExecutorLost", "7")
    turn.move(executor, ExecutorState.GONE)
    turn.stimulus = ("Heartbeat", "7")
    with pytest.raises(IllegalTransition) as caught:
        turn.move(executor, ExecutorState.ALIVE)
    assert str(caught.value).splitlines() == [
        "executor 7 on h cannot go from GONE to ALIVE on Heartbeat 7; please report this. Its story:",
        "  JOINING to ALIVE on ExecutorJoined 7",
        "  ALIVE to GONE on ExecutorLost 7",
    ]
    assert executor.state is ExecutorState.GONE


def test_an_illegal_move_of_a_task_names_it() -> None:
    turn = Turn()
    with pytest.raises(IllegalTransition, match="task 2 cannot go from PENDING to ALONE on construction"):
        turn.move_task(bytearray(3), 2, TaskState.ALONE)


def test_a_story_keeps_the_last_moves_and_the_stimulus_of_each() -> None:
    turn = Turn()
    executor = Executor("7", "h", 1)
    turn.move(executor, ExecutorState.ALIVE)
    for number in range(STORY_LENGTH):
        turn.stimulus = ("n", number)
        turn.move(executor, ExecutorState.SUSPECT)
        turn.move(executor, ExecutorState.ALIVE)
    assert len(executor.story) == STORY_LENGTH
    assert executor.story[-1] == (ExecutorState.SUSPECT, ExecutorState.ALIVE, ("n", STORY_LENGTH - 1))


def test_stories_hold_names_and_ids_and_no_data() -> None:
    rig = Rig("a")
    plan = job(0, 1)
    rig.submit(plan)
    live = rig.scheduler.parts()[0].jobs[0]
    attempt = next(iter(rig.scheduler.parts()[1].table.members["a"].attempts.values()))
    rig.end(rig.running()[0], raised("a record", retryable=False))
    assert live.story == ((JobState.RUNNING, JobState.FAILED, ("TaskEnded", "a", 0, "Raised")),)
    assert attempt.story[-1][2] == ("TaskEnded", "a", 0, "Raised")


def test_a_story_names_the_job_that_was_submitted() -> None:
    rig = Rig("a")
    rig.submit(job(4, 1))
    stage = rig.scheduler.parts()[0].jobs[4].result
    assert {stimulus for _, _, stimulus in stage.story} == {("JobSubmitted", 4)}
    rig.tell(ev.JobCancelled(4, "stop"))
    assert stage.story[-1][2] == ("JobCancelled", 4)
