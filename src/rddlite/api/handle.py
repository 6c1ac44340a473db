"""The handle that every part of the RDD API rests on: a context and a node of lineage.

A handle adds nothing to the node but the way to run it. Methods of users build nodes and wrap them in new handles; the
node of a union is made when it is first needed (`api/unions.py`). Handles never leave the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from rddlite.api.arguments import partitions
from rddlite.api.unions import PendingUnion
from rddlite.base.callsite import CallSite
from rddlite.errors import NestedRDD
from rddlite.lineage.consumers import Consumer
from rddlite.lineage.graph import Node
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import Op
from rddlite.lineage.partitioner import Partitioner

if TYPE_CHECKING:
    from rddlite.api.context import Context
    from rddlite.api.rdd import RDD
    from rddlite.api.resources import ResourceProfile

T_co = TypeVar("T_co", covariant=True)


class Handle(Generic[T_co]):
    """A dataset to be, tied to the context that can compute it. Compares by identity."""

    __slots__ = ("__weakref__", "_context", "_id", "_lineage", "_profile")

    def __init__(self, context: Context, lineage: Node | PendingUnion) -> None:
        self._context = context
        self._lineage = lineage
        self._profile: ResourceProfile | None = None
        context._handles[id(self)] = self
        # A chain of operations shares one id with whatever it is first used as.
        self._id = None if isinstance(lineage, Pipelined) else context._next_rdd_id()

    @property
    def _node(self) -> Node:
        lineage = self._lineage
        if isinstance(lineage, PendingUnion):
            lineage = self._lineage = lineage.build()
        while lineage.successor is not None:
            lineage = self._lineage = lineage.successor
        return lineage

    @property
    def _site(self) -> CallSite:
        return self._lineage.site

    @property
    def _partitioner(self) -> Partitioner | None:
        return self._lineage.partitioner

    def _number(self) -> int:
        if self._id is None:
            self._id = self._context._next_rdd_id()
        return self._id

    def _derive(self, lineage: Node | PendingUnion) -> RDD[Any]:
        self._context._check_usable()
        made: RDD[Any] = type(self)(self._context, lineage)  # type: ignore[assignment]
        return made

    def _pipe(self, site: CallSite, op: Op, keeps_partitioner: bool = False) -> RDD[Any]:
        """The records of this one after one more operation."""
        return self._derive(Pipelined(site, self._node, op, keeps_partitioner=bool(keeps_partitioner)))

    def _run(self, consumer: Consumer, site: CallSite, partitions: Sequence[int] | None = None) -> list[Any]:
        """One job over these partitions (None: all): the consumer's value of each."""
        return self._context._run_job(self._node, consumer, partitions, site, self._number())

    def _run_for(self, seconds: float, consumer: Consumer, site: CallSite) -> list[list[Any]]:
        """The same for so long: `[value]` of each partition that is done by then, `[]` for the others."""
        return self._context._run_job_for(seconds, self._node, consumer, site, self._number())

    def _n_partitions(self) -> int:
        """The number of partitions; lists files if it rests on them."""
        return self._context._settle(self._node)

    def _reduce_partitions(self, given: int | None, site: CallSite) -> int:
        """How many partitions a shuffle of these records gets: as given, as set, else as many as there are."""
        if given is not None:
            return partitions(given, site)
        return self._context._set_parallelism() or self._n_partitions()

    def _other(self, other: Any, site: CallSite, parameter: str = "other") -> Handle[Any]:
        """Check that an argument is an RDD of the same context.

        Raises:
            TypeError: if it is no RDD.
            ValueError: if it belongs to another context.
        """
        if not isinstance(other, Handle):
            raise TypeError(f"{site.method}: {parameter} must be an RDD, not {type(other).__qualname__}")
        if other._context is not self._context:
            raise ValueError(f"{site.method}: {parameter} belongs to another context: it cannot be used here")
        return other

    def _others(self, others: Iterable[Any], site: CallSite) -> list[Handle[Any]]:
        return [self._other(other, site) for other in others]

    def __reduce__(self) -> NoReturn:
        raise NestedRDD(
            f"the RDD of {self._site} was captured by a function that runs inside tasks, but RDDs exist on the driver "
            "only: collect() it first and use the list, or combine the two RDDs with join, cogroup or union"
        )
