"""An executor of which nothing is heard for a while is suspect long before it is lost."""

from __future__ import annotations

from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.states import ExecutorState
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job


def state(rig: Rig, executor: str) -> ExecutorState:
    """What the scheduler thinks of an executor."""
    found = rig.scheduler.parts()[1].table.members[executor].state
    assert isinstance(found, ExecutorState)
    return found


def test_a_quiet_executor_is_suspect_and_has_to_register_again() -> None:
    rig = Rig("a", "b", quiet=3.0, silence=15.0)
    rig.tell(ev.Heartbeat("b"), after=1.0)
    assert rig.scheduler.next_deadline() == 3.0
    assert rig.silence() == [cmd.SuspectExecutor("a", "nothing was heard of it for a while")]
    assert state(rig, "a") is ExecutorState.SUSPECT
    rig.submit(job(0, 9))
    assert {launch.executor for launch in rig.running()} == {"b"}
    rig.tell(ev.Heartbeat("a"))
    assert state(rig, "a") is ExecutorState.SUSPECT, "a heartbeat is not enough"
    commands = rig.tell(ev.ExecutorReturned("a", frozenset()))
    assert {launch.executor for launch in of(cmd.Launch, commands)} == {"a"}
    assert rig.scheduler.next_deadline() == 4.0, "b is the quiet one now"


def test_nothing_is_computed_again_for_it() -> None:
    rig = Rig("a", quiet=3.0, silence=15.0)
    rig.submit(job(0, 2))
    assert rig.silence() == [like(cmd.SuspectExecutor, executor="a")]
    rig.tell(ev.ExecutorReturned("a", frozenset(launch.attempt for launch in rig.running())), after=5.0)
    assert len(rig.all_launches) == 2
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_silence_goes_on_from_the_last_sign_of_life() -> None:
    rig = Rig("a", quiet=3.0, silence=15.0)
    rig.silence()
    assert rig.scheduler.next_deadline() == 15.0
    assert of(cmd.DropExecutor, rig.silence()) == [like(cmd.DropExecutor, executor="a")]
    assert rig.scheduler.next_deadline() is None


def test_with_an_endless_silence_it_stays_suspect_until_it_is_back_or_its_end_is_known() -> None:
    rig = Rig("a", "b", quiet=3.0, silence=3600.0)
    rig.submit(job(0, 4))
    rig.silence()
    assert rig.scheduler.next_deadline() == 3600.0
    commands = rig.tell(ev.ExecutorReturned("a", frozenset()), after=100.0)
    assert len(of(cmd.Launch, commands)) == 2, "what it does not have is launched again"
    rig.lose("b")
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_a_delay_of_the_driver_is_nobodys_quiet() -> None:
    rig = Rig("a", quiet=3.0, silence=15.0)
    assert rig.tell(ev.DriverDelayed(4.0), ev.Tick(), after=5.0) == []
    assert state(rig, "a") is ExecutorState.ALIVE
    assert rig.scheduler.next_deadline() == 7.0


def test_what_was_heard_in_the_same_batch_counts() -> None:
    rig = Rig("a", quiet=3.0, silence=15.0)
    assert rig.tell(ev.Heartbeat("a"), ev.Tick(), after=5.0) == []


def test_one_that_wants_to_leave_may_be_quiet_too() -> None:
    rig = Rig("a", "b", quiet=3.0, silence=15.0)
    rig.submit(job(0, 4))
    rig.tell(ev.ExecutorDraining("a", "asked to"), ev.Heartbeat("b"), after=1.0)
    assert rig.silence() == [like(cmd.SuspectExecutor, executor="a")]
    assert state(rig, "a") is ExecutorState.SUSPECT
    attempts = frozenset(launch.attempt for launch in rig.running() if launch.executor == "a")
    assert of(cmd.Launch, rig.tell(ev.ExecutorReturned("a", attempts))) == []
    assert state(rig, "a") is ExecutorState.DRAINING


def test_one_that_wants_to_leave_while_it_is_suspect_does_so_when_it_is_back() -> None:
    rig = Rig("a", "b")
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    assert of(cmd.ReleaseExecutor, rig.tell(ev.ExecutorDraining("a", "asked to"))) == []
    commands = rig.tell(ev.ExecutorReturned("a", frozenset()))
    assert of(cmd.ReleaseExecutor, commands) == [like(cmd.ReleaseExecutor, executor="a")]
