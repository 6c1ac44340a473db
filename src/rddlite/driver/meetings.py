"""Where the tasks of barrier stages meet: who has come, who is still missing, and what all of them brought. Pure.

A gang is made when its tasks are launched, and forgotten when its stage ends or begins again: what comes from attempts
of before is ignored. Its meetings are numbered from 1 on, by the tasks themselves, so that what comes twice is known:
the answer to the last meeting is given again, anything older is ignored. A meeting that cannot be (tasks ask for
different things, one has ended, one's time is over) is an error for all that wait, and for whoever comes later.
Owned by the driver's loop; who is told of what is returned, as messages by executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rddlite.base.ids import AttemptId, ExecutorId, StageId
from rddlite.base.meeting import Wish
from rddlite.net.messages import Meet, Met
from rddlite.schedule.commands import AttemptEnded, GangStarted, StageEnded

Answers = list[tuple[ExecutorId, Met]]
PlaceOf = Callable[[ExecutorId], str]
_MOST_NAMED = 20
_CALLS = {Wish.BARRIER: "barrier()", Wish.GATHER: "allGather()"}


@dataclass(slots=True)
class _Gang:
    """`number` of the last meeting, and what was `brought` to it; `come` are those that wait for the next one."""

    attempts: tuple[AttemptId, ...]
    executors: tuple[ExecutorId, ...]
    number: int = 0
    brought: list[bytes] = field(default_factory=list)
    wish: Wish = Wish.BARRIER
    come: dict[int, bytes] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    error: str = ""


class Meetings:
    """All gangs that run. `place_of` an executor is what its tasks are told of it."""

    def __init__(self, place_of: PlaceOf) -> None:
        self._place_of = place_of
        self._gangs: dict[StageId, _Gang] = {}
        self._members: dict[AttemptId, tuple[_Gang, int]] = {}

    def started(self, note: GangStarted) -> None:
        """All tasks of a barrier stage are launched."""
        self._forget(note.stage)
        gang = self._gangs[note.stage] = _Gang(note.attempts, note.executors)
        self._members.update((attempt, (gang, index)) for index, attempt in enumerate(note.attempts))

    def stage_ended(self, note: StageEnded) -> None:
        """It is complete, or begins again, or is not needed."""
        if self._gangs:
            self._forget(note.stage)

    def attempt_ended(self, note: AttemptEnded) -> Answers:
        """A task that has ended comes to no more meetings."""
        gang, index = self._members.get(note.attempt, (None, 0))
        if gang is None or not note.accepted:
            return []
        gang.ended.add(index)
        return self._fail(gang, _has_ended(gang)) if gang.come else []

    def asked(self, executor: ExecutorId, meet: Meet) -> Answers:
        """A task asks for something."""
        gang, index = self._members.get(AttemptId(meet.attempt), (None, 0))
        if gang is None or gang.executors[index] != executor or meet.wish not in list(Wish):
            return []
        wish = Wish(meet.wish)
        if wish is Wish.PLACES:
            places = [self._place_of(each).encode("utf-8", "surrogatepass") for each in gang.executors]
            return [(executor, Met([meet.attempt], meet.number, "", places))]
        if meet.number <= gang.number:
            is_last = meet.number == gang.number
            return [(executor, Met([meet.attempt], meet.number, "", gang.brought))] if is_last else []
        if gang.error or gang.ended:
            gang.error = gang.error or _has_ended(gang)
            return [(executor, Met([meet.attempt], meet.number, gang.error, []))]
        return self._came(gang, index, wish, meet)

    def _came(self, gang: _Gang, index: int, wish: Wish, meet: Meet) -> Answers:
        if wish is Wish.GIVE_UP:
            gang.come.setdefault(index, b"")
            missing = sorted({*range(len(gang.attempts))} - gang.come.keys())
            return self._fail(
                gang,
                f"time is over (barrier.sync.timeout) in {_CALLS[gang.wish]}: partitions {_listed(gang.come)} had "
                f"come, partitions {_listed(missing)} had not",
            )
        if gang.come and wish is not gang.wish:
            others = f"partitions {_listed(gang.come)} called {_CALLS[gang.wish]}"
            gang.come[index] = b""
            return self._fail(
                gang,
                f"partition {index} called {_CALLS[wish]}, but {others}: all tasks of a barrier stage must make the "
                "same calls in the same order",
            )
        gang.wish = wish
        gang.come[index] = meet.payload
        if len(gang.come) < len(gang.attempts):
            return []
        gang.number += 1
        gang.brought = [gang.come[each] for each in sorted(gang.come)] if wish is Wish.GATHER else []
        return self._answer(gang, gang.number, "", gang.brought)

    def _fail(self, gang: _Gang, error: str) -> Answers:
        gang.error = error
        return self._answer(gang, gang.number + 1, error, [])

    def _answer(self, gang: _Gang, number: int, error: str, brought: list[bytes]) -> Answers:
        by_executor: dict[ExecutorId, list[int]] = {}
        for index in sorted(gang.come):
            by_executor.setdefault(gang.executors[index], []).append(gang.attempts[index])
        gang.come.clear()
        return [(executor, Met(attempts, number, error, brought)) for executor, attempts in by_executor.items()]

    def _forget(self, stage: StageId) -> None:
        gang = self._gangs.pop(stage, None)
        for attempt in gang.attempts if gang is not None else ():
            del self._members[attempt]


def _has_ended(gang: _Gang) -> str:
    waiting = f", while partitions {_listed(gang.come)} waited for it in {_CALLS[gang.wish]}" if gang.come else ""
    return (
        f"partition {_listed(gang.ended)} has ended{waiting}: all tasks of a barrier stage must make the same calls in "
        "the same order (a task whose partition was cached makes none)"
    )


def _listed(indices: Iterable[int]) -> str:
    named = sorted(indices)
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(map(str, named[:_MOST_NAMED])) + more if named else "none"
