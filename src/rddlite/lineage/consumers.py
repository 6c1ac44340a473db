"""What takes the records of a partition, as data: the last piece of a fused loop.

A consumer's value for one partition is what an action gets back, in partition order. On the map side of a shuffle the
stage's `ShuffleDependency` plays this part instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.lineage.ops import Op, UserFunction


@dataclass(frozen=True, slots=True)
class Collect:
    """A list of all records."""


@dataclass(frozen=True, slots=True)
class Count:
    """The number of records."""


@dataclass(frozen=True, slots=True)
class CountEach:
    """`f` of a dict that tells how often each record occurs."""

    f: UserFunction


@dataclass(frozen=True, slots=True)
class Reduce:
    """`[f(f(a, b), c) ...]` as a list of one value, or an empty list for an empty partition."""

    f: UserFunction


@dataclass(frozen=True, slots=True)
class Fold:
    """`f(acc, record)` over all records, starting from the task's own copy of `zero` (a pickled value)."""

    zero: bytes
    f: UserFunction


@dataclass(frozen=True, slots=True)
class Foreach:
    """`f(record)` for its side effects; the value is None."""

    f: UserFunction


@dataclass(frozen=True, slots=True)
class Take:
    """The first `n` records as a list; nothing that is not needed for them is computed."""

    n: int


@dataclass(frozen=True, slots=True)
class Apply:
    """`f(iterator over the records)`, or `f(partition index, iterator)`; the value is what it returns.

    `for_effect` says that `f` is called for what it does rather than for what it returns.
    """

    f: UserFunction
    with_index: bool = False
    for_effect: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """How many records there are, and what `ops` make of a few of them, `size` up to twice as many: all of them while
    there are fewer, then chosen at random, one of each stretch of the partition. The same ones for the same `seed`.
    """

    size: int
    seed: int
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class SaveLines:
    """Each record as a line of this attempt's part file in the `staging` directory; the value is its report."""

    staging: str
    codec: str | None = None
    storage_options: str | None = None


@dataclass(frozen=True, slots=True)
class SaveFrames:
    """All records as pickled frames in this attempt's part file in the `staging` directory; the value is its report."""

    staging: str
    storage_options: str | None = None


def may_run_twice(consumer: Consumer) -> bool:
    """Whether two attempts of a task may run at the same time: not when the user wants something done once."""
    return not isinstance(consumer, Foreach) and not (isinstance(consumer, Apply) and consumer.for_effect)


Consumer = Collect | Count | CountEach | Reduce | Fold | Foreach | Take | Apply | Sample | SaveLines | SaveFrames
