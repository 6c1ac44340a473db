"""What the driver tells of its executors."""

from __future__ import annotations

from rddlite.base.ids import ExecutorId
from rddlite.driver.roster import Roster
from rddlite.net.messages import Register
from tests.helpers.honest import Executor

A, B, C = ExecutorId("a"), ExecutorId("b"), ExecutorId("c")


def registration(executor: str) -> Register:
    return Executor(executor).register()


def states(roster: Roster, **known: str) -> dict[str, str]:
    return {each.id: each.state for each in roster.snapshot({ExecutorId(name): state for name, state in known.items()})}


def test_the_state_is_what_the_scheduler_makes_of_it() -> None:
    roster = Roster()
    for executor in (A, B, C):
        assert roster.join(registration(executor))
    assert states(roster, a="alive", b="draining") == {"a": "alive", "b": "draining", "c": "alive"}
    assert states(roster, a="excluded", b="suspect", c="alive") == {"a": "excluded", "b": "suspect", "c": "alive"}


def test_one_that_something_sent_to_got_lost_is_suspect_at_once() -> None:
    roster = Roster()
    roster.join(registration(A))
    roster.suspect(A)
    assert states(roster, a="alive") == {"a": "suspect"}
    roster.join(registration(A))
    assert states(roster, a="alive") == {"a": "alive"}
