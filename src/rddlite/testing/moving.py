"""The referee's book of executors that leave: what may be moved where, and when they may go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.members import ROUNDING, Foul, Members

Held = tuple[ShuffleId, int, AttemptId]
Good = Mapping[tuple[ShuffleId, int], tuple[ExecutorId, AttemptId]]


class Moving:
    """Which outputs were offered to whom, and whose answer is awaited."""

    def __init__(self, options: SchedulerOptions, members: Members) -> None:
        self._options = options
        self._members = members
        self._tried: defaultdict[tuple[ExecutorId, Held], list[ExecutorId]] = defaultdict(list)
        self._awaited: dict[tuple[ExecutorId, ExecutorId], set[Held]] = {}
        self.released: set[ExecutorId] = set()

    def hear(self, event: ev.Event) -> None:
        """One event of a batch is about to be handled."""
        match event:
            case ev.OutputsMoved(source, target, outputs, why):
                awaited = self._awaited.get((source, target), set())
                awaited.difference_update(outputs)
                if why or not awaited:
                    self._awaited.pop((source, target), None)
            case ev.ExecutorReturned(executor) | ev.ExecutorDraining(executor):
                self.released.discard(executor)
                self._answers_no_more(executor)
            case ev.ExecutorSuspected(executor) | ev.ExecutorLost(executor):
                self._answers_no_more(executor)

    def suspected(self, executor: ExecutorId) -> None:
        """The scheduler itself suspects this executor."""
        self._answers_no_more(executor)

    def move(self, command: cmd.MoveOutputs, good: Good, doubtful: Iterable[tuple[ShuffleId, int]], load: int) -> None:
        """The scheduler has some outputs copied."""
        states = self._members.state
        if states.get(command.source) != "leaving" or states.get(command.target) != "alive" or load:
            raise Foul(f"{command}: {states.get(command.source)} with {load} attempts, {states.get(command.target)}")
        awaited = self._awaited.setdefault((command.source, command.target), set())
        if awaited:
            raise Foul(f"{command} while the answer to another one is awaited")
        for shuffle, index, attempt in command.outputs:
            place = (shuffle, index)
            if good.get(place) != (command.source, attempt) and place not in doubtful:
                raise Foul(f"{command}: output {place} does not count there")
            tried = self._tried[command.source, (shuffle, index, attempt)]
            tried.append(command.target)
            if len(tried) > 2 or len(set(tried)) < len(tried):
                raise Foul(f"{command}: output {place} was offered to {tried}")
            awaited.add((shuffle, index, attempt))

    def release(self, source: ExecutorId, good: Good, load: int, now: float) -> None:
        """The scheduler lets an executor go."""
        if self._members.state.get(source) != "leaving":
            raise Foul(f"executor {source} is released, but is {self._members.state.get(source)}")
        self.released.add(source)
        if self._members.may_leave(source, now):
            self._awaited = {pair: outputs for pair, outputs in self._awaited.items() if pair[0] != source}
            return
        if load or any(pair[0] == source for pair in self._awaited):
            raise Foul(f"executor {source} is released with {load} attempts, and {self._awaited}")
        stay = self._members.alive_since_before(now)
        for (shuffle, index), (executor, attempt) in good.items():
            tried = self._tried[source, (shuffle, index, attempt)]
            if executor == source and len(tried) < 2 and stay - set(tried):
                raise Foul(f"executor {source} is released, though {sorted(stay)} could have taken {shuffle, index}")

    def after(self, events: Iterable[type], now: float) -> None:
        """The batch is handled."""
        if ev.Tick in events:
            late = self.forgotten(now)
            if late:
                raise Foul(f"executors {late} were not released in time")

    def forgotten(self, now: float) -> list[ExecutorId]:
        """Executors that should have been released by now."""
        return [each for each in self._waiting() if now > self._members.limit_of(each) + ROUNDING]

    def deadlines(self) -> list[float]:
        """When executors that leave have waited long enough."""
        return [self._members.limit_of(each) for each in self._waiting()]

    def _waiting(self) -> list[ExecutorId]:
        return [each for each in self._members.leaving() if each not in self.released]

    def _answers_no_more(self, executor: ExecutorId) -> None:
        self._awaited = {pair: outputs for pair, outputs in self._awaited.items() if pair[1] != executor}
