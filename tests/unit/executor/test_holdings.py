"""Which worker keeps what: tasks go there, others read frames through the owner's descriptor, copies are dropped."""

from __future__ import annotations

from rddlite.base.cached import Form, Kept, News, Wanted, pack_wanted, unpack_wanted
from rddlite.base.outcome import WorkerDied
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.executor.holdings import EVERYBODY, Claim, Holdings
from rddlite.net.messages import RunTask
from rddlite.net.wire import unpack_outcome


def live(partition: int, seconds: float = 1.0, form: Form = Form.LIVE, fd: int = -1) -> Kept:
    return Kept(1, partition, form, 100, seconds, fd)


def task(attempt: int, *partitions: int) -> RunTask:
    return RunTask(attempt, 1, attempt, attempt, 0, "p", "", b"", pack_wanted(Wanted(1, each) for each in partitions))


def test_the_owner_of_the_dearest_is_claimed() -> None:
    holdings = Holdings()
    holdings.changed(0, News((live(0, 1.0), live(1, 1.0))))
    holdings.changed(1, News((live(2, 5.0), live(3, 9.0, Form.FRAMES, 4))))
    assert holdings.claim([Wanted(1, 0)]) == Claim(0, 1.0)
    assert holdings.claim([Wanted(1, 0), Wanted(1, 1), Wanted(1, 2)]) == Claim(1, 5.0)
    assert holdings.claim([Wanted(1, 3)]) == Claim(1, 0.0), "nobody waits for what can be read by all"
    assert holdings.claim([Wanted(1, 9)]) is None


def test_frames_of_others_are_read_through_their_descriptor() -> None:
    holdings = Holdings()
    holdings.changed(1, News((live(0, form=Form.FRAMES, fd=7), live(1))))
    wanted = [Wanted(1, 0), Wanted(1, 1)]
    asked = Wanted(1, 1, owner=4711, seconds=1.0)
    assert holdings.routed(0, wanted, {1: 4711}) == [Wanted(1, 0, "/proc/4711/fd/7"), asked]
    assert unpack_wanted(pack_wanted([asked])) == [asked]
    assert holdings.routed(1, wanted, {1: 4711}) is None


def test_who_made_it_last_owns_it() -> None:
    holdings = Holdings()
    holdings.changed(0, News((live(0),)))
    assert holdings.changed(1, News((live(0),))) == [(0, (1, 0))]
    assert holdings.changed(0, News((), ((1, 0),))) == []
    assert holdings.claim([Wanted(1, 0)]) == Claim(1, 1.0)


def test_files_outlive_their_worker() -> None:
    holdings = Holdings()
    holdings.changed(0, News((live(0), live(1, form=Form.FILE))))
    assert holdings.worker_gone(0) == News(dropped=((1, 0),))
    assert [each.partition for each in holdings.all()] == [1]
    holdings.changed(1, News((), ((1, 1),)))
    assert holdings.all() == ()


def test_a_block_may_have_a_file_besides_what_its_owner_holds() -> None:
    holdings = Holdings()
    file = live(0, form=Form.FILE)
    holdings.changed(0, News((file, live(0))))
    assert holdings.claim([Wanted(1, 0)]) == Claim(0, 1.0)
    assert holdings.all() == (file, live(0))
    assert holdings.worker_gone(0) == News((file,), ())
    assert holdings.all() == (file,)
    assert holdings.claim([Wanted(1, 0)]) is None


def test_what_only_one_of_two_has_dropped_is_kept() -> None:
    holdings = Holdings()
    holdings.changed(0, News((live(0),)))
    holdings.changed(1, News((live(0),)))
    dropped = News((), ((1, 0), (1, 7)))
    holdings.changed(0, dropped)
    assert holdings.as_told(dropped) == News((), ((1, 7),))


def test_a_file_of_the_executor_takes_nothing_from_a_worker() -> None:
    holdings = Holdings()
    holdings.changed(1, News((live(0),)))
    assert holdings.changed(EVERYBODY, News((live(0, form=Form.FILE),))) == []
    assert holdings.claim([Wanted(1, 0)]) == Claim(1, 1.0)


def started(commands: list[cmd.Command]) -> list[tuple[int, int]]:
    return [(each.worker, each.task.attempt) for each in commands if isinstance(each, cmd.Start)]


def agent_with(*workers: int) -> Agent:
    agent = Agent(len(workers), 0.0)
    agent.start(0.0)
    agent.handle(ev.Connected(), 0.0)
    for worker in workers:
        agent.handle(ev.WorkerReady(worker, 100 + worker), 0.0)
    agent.handle(ev.Accepted(2.0, 15.0), 0.0)
    return agent


def end(agent: Agent, worker: int, attempt: int, now: float) -> list[cmd.Command]:
    return agent.handle(ev.AttemptEnded(worker, attempt, b""), now)


def test_tasks_go_to_the_owner_and_wait_for_it_as_long_as_it_is_worth() -> None:
    agent = agent_with(0, 1)
    agent.handle(ev.BlocksChanged(0, News((live(0, 3.0), live(1, 3.0)))), 1.0)
    assert started(agent.handle(ev.Assigned((task(1, 0),)), 1.0)) == [(0, 1)]
    assert started(agent.handle(ev.Assigned((task(2, 1), task(3))), 2.0)) == [(1, 3)]
    assert agent.next_deadline() is None, "no free worker: nothing to wait for"
    end(agent, 1, 3, 2.5)
    assert agent.next_deadline() == 5.0
    assert started(agent.handle(ev.Tick(), 4.9)) == []
    assert started(agent.handle(ev.Tick(), 5.0)) == [(1, 2)]
    assert agent.next_deadline() is None


def test_the_owner_becomes_free_in_time() -> None:
    agent = agent_with(0, 1)
    agent.handle(ev.BlocksChanged(0, News((live(0, 3.0),))), 1.0)
    agent.handle(ev.Assigned((task(1, 0),)), 1.0)
    assert started(agent.handle(ev.Assigned((task(2, 0),)), 1.0)) == []
    assert started(end(agent, 0, 1, 2.0)) == [(0, 2)]
    assert agent.next_deadline() is None


def test_a_copy_made_elsewhere_replaces_the_first() -> None:
    agent = agent_with(0, 1)
    agent.handle(ev.BlocksChanged(0, News((live(0),))), 1.0)
    out = agent.handle(ev.BlocksChanged(1, News((live(0),))), 2.0)
    assert cmd.ForgetBlocks(0, ((1, 0),)) in out
    assert started(agent.handle(ev.Assigned((task(1, 0),)), 3.0)) == [(1, 1)]


def test_the_death_of_an_owner_is_told_and_nobody_waits_for_it() -> None:
    agent = agent_with(0, 1)
    agent.handle(ev.BlocksChanged(0, News((live(0, 99.0),))), 1.0)
    agent.handle(ev.Assigned((task(1, 0), task(2, 0))), 1.0)
    out = agent.handle(ev.WorkerEnded(0, None, 9, 0, ""), 2.0)
    assert cmd.TellBlocks(News(dropped=((1, 0),))) in out
    (report,) = [each for each in out if isinstance(each, cmd.Report)]
    assert isinstance(unpack_outcome(report.outcome), WorkerDied)
    assert started(out) == [(1, 2)]


def test_all_is_told_again_to_a_driver_that_accepts_again() -> None:
    agent = agent_with(0)
    agent.handle(ev.BlocksChanged(0, News((live(0),))), 1.0)
    agent.handle(ev.Disconnected(), 2.0)
    agent.handle(ev.Connected(), 3.0)
    out = agent.handle(ev.Accepted(2.0, 15.0), 3.0)
    assert cmd.TellBlocks(News((live(0),)), is_all=True) in out


def test_hints_that_cannot_be_read_are_none() -> None:
    for data in (b"", b"\x80", b"[", b"{}", b"[1]", b"[[1]]", b'[[1, "x", "", "", ""]]', b"[" * 100_000):
        assert unpack_wanted(data) == []
    assert unpack_wanted(pack_wanted([Wanted(1, 2, "a", "b", "c")])) == [Wanted(1, 2, "a", "b", "c")]
