"""Accumulators: values that tasks add to and that the driver reads.

On the driver an accumulator holds its value. In a task it starts from zero, a new one for each task, and what is added
gathers in the current task (`shared/current.py`); `shared/updates.py` carries it to the driver. It knows nothing of
attempts: which updates count is decided by `driver/accumulators.py`.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable
from operator import iadd
from typing import Any, Generic, TypeVar

from rddlite.base.callsite import CallSite
from rddlite.errors import DriverOnly, RddliteError
from rddlite.serde.closures import dumps, explain_unpicklable, loads, not_picklable
from rddlite.shared.current import CurrentTask, current_task

T = TypeVar("T")
_NUMBERS = (int, float)
_ONE_AT_A_TIME = getattr(sys, "_is_gil_enabled", lambda: True)()
_ADVICE = "Leave it out, or give the class a __reduce__ that makes it anew: tasks get a copy of both"


class AccumulatorParam(Generic[T]):
    """How values of an accumulator are added up. Subclass it for values that are no numbers.

    >>> class Vectors(AccumulatorParam):
    ...     def zero(self, value):
    ...         return [0.0] * len(value)
    ...     def addInPlace(self, value1, value2):
    ...         return [a + b for a, b in zip(value1, value2)]
    >>> total = sc.accumulator([0.0, 0.0], Vectors())
    >>> sc.parallelize([[1.0, 2.0], [3.0, 4.0]]).foreach(lambda v: total.add(v))
    >>> total.value
    [4.0, 6.0]
    """

    def zero(self, value: T) -> T:
        """What each task starts from; `value` is the accumulator's value at that time, of which it may take the form.

        >>> class Texts(AccumulatorParam):
        ...     def zero(self, value):
        ...         return ""
        ...     def addInPlace(self, value1, value2):
        ...         return max(value1, value2)
        >>> Texts().zero("anything")
        ''
        """
        raise NotImplementedError(f"{type(self).__name__} must define zero(value)")

    def addInPlace(self, value1: T, value2: T) -> T:
        """The sum of both; `value1` may be changed and returned, `value2` may not.

        Called with what tasks add, and again with what tasks added up, in any order of partitions that ended: so it
        should be associative and commutative.

        >>> INT_ACCUMULATOR_PARAM.addInPlace(2, 3)
        5
        """
        raise NotImplementedError(f"{type(self).__name__} must define addInPlace(value1, value2)")


class AddingAccumulatorParam(AccumulatorParam[T]):
    """For values that can be added with `+`, from a zero that cannot be changed.

    >>> AddingAccumulatorParam(0).addInPlace(1, 2)
    3
    """

    def __init__(self, zero_value: T) -> None:
        self.zero_value = zero_value

    def zero(self, value: T) -> T:
        """The zero given."""
        return self.zero_value

    def addInPlace(self, value1: T, value2: T) -> T:
        """`value1 + value2`."""
        value1 += value2  # type: ignore[operator]
        return value1


INT_ACCUMULATOR_PARAM = AddingAccumulatorParam(0)
FLOAT_ACCUMULATOR_PARAM = AddingAccumulatorParam(0.0)
COMPLEX_ACCUMULATOR_PARAM = AddingAccumulatorParam(0.0j)


class Gathered:
    """What one task has added to one accumulator so far. May be used by several threads of the task.

    `takes_numbers` says that integers and floats may be added to `number` by anyone, without a call and without a lock:
    CPython changes threads where functions begin, after calls and where loops turn, not while it adds numbers.
    """

    __slots__ = ("_add", "_is_over", "_lock", "_others", "_parts", "_zero", "label", "number", "takes_numbers")

    def __init__(self, label: str, param: AccumulatorParam[Any], zero: Any) -> None:
        is_plain = type(param) is AddingAccumulatorParam
        self.label = label
        # What numbers mean by it, without a call of Python code for each of them.
        self._add: Callable[[Any, Any], Any] = iadd if is_plain else param.addInPlace
        self._lock = threading.Lock()
        self.number = self._zero = self._others = zero
        self.takes_numbers = is_plain and type(zero) in _NUMBERS and _ONE_AT_A_TIME
        self._parts: list[Accumulator[Any]] = []
        self._is_over = False

    @property
    def value(self) -> Any:
        """The sum."""
        if self._others is self._zero:
            return self.number
        return self._others if self.number is self._zero else self._add(self.number, self._others)

    def add(self, term: Any) -> None:
        """Add one more. What a thread adds that has outlived the task is lost."""
        if self._is_over:
            return
        if self.takes_numbers and (type(term) is int or type(term) is float):
            self.number += term
            return
        with self._lock:
            self._others = self._add(self._others, term)

    def serve(self, part: Accumulator[Any]) -> None:
        """Let `part` add numbers to this without asking which task it is in, until that ends."""
        if self.takes_numbers and not self._is_over:
            self._parts.append(part)
            part._sum = self

    def task_ended(self) -> None:
        """From now on those parts ask again."""
        self._is_over = True
        for part in self._parts:
            part._sum = None


class Accumulator(Generic[T]):
    """A variable that tasks can only add to, and the driver can read. Made by `Context.accumulator`.

    What a task adds counts when the task is accepted, once for each partition: attempts that fail, are killed or lose
    a race add nothing, nor does a partition that is computed again because its output was lost. The value is up to
    date when an action returns (or fails: then with what was accepted until then).

    A partition of an RDD that several actions compute (because nothing between them is shuffled) is added by each of
    them; what is before a shuffle runs, and counts, once.

    >>> seen = sc.accumulator(0)
    >>> sc.range(5).foreach(lambda x: seen.add(x))
    >>> seen.value
    10
    """

    def __init__(self, aid: int, value: T, accum_param: AccumulatorParam[T], site: CallSite) -> None:
        self.aid = aid
        self.accum_param = accum_param
        self._label = f"accumulator {aid} ({site})"
        self._lock = threading.RLock()
        self._value = value
        self._task: CurrentTask | None = None
        self._seed: bytes | None = None
        self._sum: Gathered | None = None
        _on_driver[aid] = self

    @property
    def value(self) -> T:
        """The value, on the driver. It may be set there too.

        Raises:
            DriverOnly: in a task, which knows its own part at most.

        >>> count = sc.accumulator(1.5)
        >>> count.value
        1.5
        """
        self._check_on_driver("read")
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._check_on_driver("set")
        with self._lock:
            self._value = value

    def add(self, term: T) -> None:
        """Add to it, in a task or on the driver.

        >>> count = sc.accumulator(0)
        >>> count.add(2)
        >>> count.value
        2
        """
        found = self._sum
        if found is not None and (type(term) is int or type(term) is float):
            found.number += term
        else:
            self._add(term)

    def _add(self, term: T) -> None:
        # Code in a thread that user code started has no current task: it belongs to the one that unpickled this.
        task = current_task.get() or self._task
        if task is not None:
            gathered = task.updates.get(self.aid) or self._begin(task)
            if self._task is task and self._sum is None:
                gathered.serve(self)
            gathered.add(term)
        elif self._seed is not None:
            raise DriverOnly(f"{self._label} belongs to another process, or the program has dropped it")
        else:
            merge_into(self, term)

    def __iadd__(self, term: T) -> Accumulator[T]:
        self.add(term)
        return self

    def _begin(self, task: CurrentTask) -> Gathered:
        """Start from a zero that this task shares with no other."""
        param, zero = loads(self._pickled_seed())
        return task.updates.setdefault(self.aid, Gathered(self._label, param, zero))

    def _pickled_seed(self) -> bytes:
        if self._seed is not None:
            return self._seed
        param, zero = self.accum_param, self.accum_param.zero(self._value)
        try:
            return dumps((param, zero))
        except RddliteError:
            raise
        except Exception as error:
            is_param = explain_unpicklable(param, "") is not None
            part, root = (param, f"its {type(param).__name__}") if is_param else (zero, "its zero")
            raise not_picklable(error, part, root, self._label, _ADVICE) from error

    def _check_on_driver(self, verb: str) -> None:
        if current_task.get() is not None or self._seed is not None:
            raise DriverOnly(
                f"the value of {self._label} cannot be accessed inside tasks: they can only add() to it; it can be "
                f"{verb} on the driver when the action has returned"
            )

    def __reduce__(self) -> Any:
        return _elsewhere, (self.aid, self._label, self._pickled_seed())

    def __repr__(self) -> str:
        if self._seed is not None:
            return f"<{self._label}, in a task>"
        return f"<{self._label}: {self._value!r}>"

    def __str__(self) -> str:
        """The value as text, so that `print(acc)` tells it; in a task, which cannot know it, what it is."""
        return repr(self) if self._seed is not None else str(self._value)


_ids = itertools.count()
_on_driver: weakref.WeakValueDictionary[int, Accumulator[Any]] = weakref.WeakValueDictionary()


def next_accumulator_id() -> int:
    """Unique in this process, so that accumulators of two contexts are never taken for each other."""
    return next(_ids)


def accumulator_on_driver(aid: int) -> Accumulator[Any] | None:
    """The accumulator of that id, if the program still has it."""
    return _on_driver.get(aid)


def merge_into(accumulator: Accumulator[T], update: T) -> None:
    """Add on the driver: a term of its own, or what a task added up."""
    with accumulator._lock:
        accumulator._value = accumulator.accum_param.addInPlace(accumulator._value, update)


def _elsewhere(aid: int, label: str, seed: bytes) -> Accumulator[Any]:
    """What a pickled accumulator becomes: a part of its own in a task, itself where it was made."""
    task = current_task.get()
    if task is None:
        original = _on_driver.get(aid)
        if original is not None:
            return original
    part: Accumulator[Any] = Accumulator.__new__(Accumulator)
    part.aid, part._label, part._seed, part._task, part._sum = aid, label, seed, task, None
    return part
