"""How each fault of the plan comes about in the simulated cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.testing.fakes import FakeExecutor, FakeTask, Held

if TYPE_CHECKING:
    from rddlite.testing.caches import Caches
    from rddlite.testing.simulation import FakeCluster

LONG = 100.0
"""Silence that long is never waited for: whoever ends is seen to have ended."""


class Mishaps:
    """What befalls executors, their files and the driver."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._random = cluster.random
        self._note = cluster.faults.note

    def happen(self, name: str) -> None:
        """The fault of this name, to a victim drawn now; nothing if there is none."""
        there = [each for each in self._cluster.executors.values() if each.is_alive and each.is_connected]
        if not there:
            return
        executor = self._random.choice(there)
        match name:
            case "executor dies":
                self._note(name)
                self.die(executor)
            case "executor dies unseen":
                self._note(name)
                executor.end_process()
                if self._cluster.options.silence > LONG:
                    self._cluster.later(self._random.uniform(1.0, 4.0), partial(self._tell_of_end, executor))
            case "executor leaves":
                if executor.is_accepted:
                    self._note(name)
                    executor.leave()
                    self._say_leaving(executor)
            case "short silence":
                self._silence(name, executor, self._random.uniform(0.5, 3.0))
            case "long silence":
                self._silence(name, executor, self._random.uniform(6.0, 8.0))
            case "driver is late":
                self._note(name)
                self._cluster.delay_driver(self._random.uniform(1.0, 8.0))
            case "registers again":
                self._note(name)
                self._register_again(executor)
                self._cluster.later(self._random.uniform(0.1, 0.6), partial(self._register_again, executor))
            case "forgotten early":
                if self._cluster.forget_early():
                    self._note(name)
            case _:
                self._damage(name, executor)

    def spoil_some(self, probability: float) -> None:
        """Outputs may be reported lost, if there are any."""
        holders = [each for each in self._cluster.executors.values() if each.is_connected and each.held]
        if holders and self._random.random() < probability:
            self._damage("outputs reported lost", self._random.choice(holders))

    def evict(self, caches: Caches) -> None:
        """Cached partitions go, though nothing else happens."""
        if caches.drop_some():
            self._note("cached partitions evicted")

    def die(self, executor: FakeExecutor) -> None:
        """The process ends; its provider tells, perhaps twice."""
        if not executor.is_alive:
            return
        executor.end_process()
        self._tell_of_end(executor)

    def _tell_of_end(self, executor: FakeExecutor) -> None:
        self._cluster.send_up(executor, ev.ExecutorLost(executor.id, "signal 9"))

    # Leaving

    def _say_leaving(self, executor: FakeExecutor) -> None:
        if executor.is_leaving:
            self._cluster.send_up(executor, ev.ExecutorDraining(executor.id, "its host is needed"))

    def release(self, executor: FakeExecutor) -> None:
        """It may leave, and does."""
        self._note("executor left")
        executor.end_process()
        self._cluster.send_up(executor, ev.ExecutorLost(executor.id, "it left"))

    def adopt(self, target: FakeExecutor, move: cmd.MoveOutputs) -> None:
        """The target begins to copy what it was told to."""
        self._cluster.later(self._random.choice((0.02, 0.2, 1.0)), partial(self._adopted, target, move))

    def _adopted(self, target: FakeExecutor, move: cmd.MoveOutputs) -> None:
        if not target.is_alive:
            return
        why, taken = "", []
        for output in move.outputs:
            found = self._cluster.find(move.source, output)
            if isinstance(found, int) and self._random.random() < 0.1:
                found = "no room"
            if isinstance(found, str):
                why = found
                self._note("output not adopted")
            else:
                target.held[output] = found
                taken.append(output)
        if self._random.random() < 0.1:
            self._note("no answer to a move")
        elif target.is_connected:
            self._cluster.send_up(target, ev.OutputsMoved(move.source, target.id, tuple(taken), why))

    def end_hang(self, executor: FakeExecutor, task: FakeTask) -> None:
        """Somebody noticed that an attempt makes no progress: they kill its executor, or cancel the jobs."""
        if executor.tasks.get(task.launch.attempt) is not task:
            return
        if self._random.random() < 0.4:
            self.die(executor)
        else:
            for job_id in sorted(self._cluster.referee.live):
                self._cluster.cancel_job(job_id)
            self._cluster.later(4.0, partial(self.end_hang, executor, task))

    def _silence(self, name: str, executor: FakeExecutor, seconds: float) -> None:
        self._note(name)
        executor.is_connected = False
        if self._random.random() < 0.5:
            suspected = ev.ExecutorSuspected(executor.id, "its connection broke")
            self._cluster.send_up(executor, suspected)
        self._cluster.later(seconds, partial(self._wake, executor))

    def _wake(self, executor: FakeExecutor) -> None:
        """The connection is there again: register, then report what was not received (which may come first)."""
        if not executor.is_alive or executor.is_connected:
            return
        executor.is_connected = True
        self.register(executor)
        for attempt, outcome in list(executor.unseen.items()):
            self._cluster.send_up(executor, ev.TaskEnded(executor.id, attempt, outcome))

    def register(self, executor: FakeExecutor) -> None:
        """It tells who it is, and what it has."""
        self._cluster.send_up(executor, ev.ExecutorReturned(executor.id, executor.attempts()))
        self._say_leaving(executor)

    def _register_again(self, executor: FakeExecutor) -> None:
        """It lost its connection for a moment that nobody noticed: what is on its way to it arrives all the same."""
        if executor.is_alive and executor.is_connected:
            self.register(executor)

    def _damage(self, name: str, executor: FakeExecutor) -> None:
        held: list[Held] = sorted(executor.held)
        if not held:
            return
        self._note(name)
        victims = self._random.sample(held, self._random.randint(1, len(held)))
        if name == "output is corrupt":
            executor.corrupt.update(victims)
            return
        for victim in victims:
            del executor.held[victim]
        if name == "outputs reported lost":
            shuffle = victims[0][0]
            indices = tuple(index for each, index, _ in victims if each == shuffle)
            self._cluster.send_up(executor, ev.OutputsLost(executor.id, shuffle, indices, "no such file"))
