"""The vocabulary of lineage on one page.

A `Node` is one dataset to be: how many partitions, what it depends on, how its records are placed. Nodes know no
context, hold no records of their own making, fetch nothing, and compare by identity. Sources and nodes with several
parents compute batches of records from what the runtime hands them (`Inputs`); a node with one parent and an
operation (`narrow.Pipelined`) computes nothing: its operation is fused into a loop by the runtime. Dependencies say
which parent partitions a partition needs; a `ShuffleDependency` is the only place where a stage is cut.

Batches are non-empty Python lists. A node travels to a task as `spec()`, plain data that `from_spec` rebuilds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from rddlite.base.callsite import CallSite
from rddlite.base.ids import ShuffleId

if TYPE_CHECKING:
    from rddlite.lineage.aggregator import Aggregator
    from rddlite.lineage.caching import Cached
    from rddlite.lineage.ordered import Order
    from rddlite.lineage.partitioner import Partitioner

Batch = list[Any]
_shuffle_ids = itertools.count()
_TASK_SITE = CallSite("", "", 0)


class NarrowDependency:
    """Each partition needs a few known partitions of one parent, in the same stage."""

    __slots__ = ("_parent",)

    def __init__(self, parent: Node) -> None:
        self._parent = parent

    @property
    def parent(self) -> Node:
        """The parent, or what stands in its place."""
        while self._parent.successor is not None:
            self._parent = self._parent.successor
        return self._parent

    def parents_of(self, index: int) -> Sequence[int]:
        """Parent partitions that partition `index` needs, in the order in which they are read."""
        raise NotImplementedError

    def spec(self) -> tuple[Any, ...]:
        """What `from_spec` needs besides the parent."""
        return ()


class OneToOne(NarrowDependency):
    """Partition i needs partition i of the parent."""

    __slots__ = ()

    def parents_of(self, index: int) -> Sequence[int]:
        return (index,)


class RangeDependency(NarrowDependency):
    """Partitions `start_out ... start_out + length` are those of the parent from `start_in` on; others need none."""

    __slots__ = ("length", "start_in", "start_out")

    def __init__(self, parent: Node, start_in: int, start_out: int, length: int) -> None:
        super().__init__(parent)
        self.start_in, self.start_out, self.length = start_in, start_out, length

    def parents_of(self, index: int) -> Sequence[int]:
        offset = index - self.start_out
        return (self.start_in + offset,) if 0 <= offset < self.length else ()

    def spec(self) -> tuple[Any, ...]:
        return (self.start_in, self.start_out, self.length)


class GroupedDependency(NarrowDependency):
    """Partition i needs the neighbouring parent partitions `bounds[i] ... bounds[i + 1]`."""

    __slots__ = ("n_in", "n_out")

    def __init__(self, parent: Node, n_in: int, n_out: int) -> None:
        super().__init__(parent)
        self.n_in, self.n_out = n_in, n_out

    def parents_of(self, index: int) -> Sequence[int]:
        return range(index * self.n_in // self.n_out, (index + 1) * self.n_in // self.n_out)

    def spec(self) -> tuple[Any, ...]:
        return (self.n_in, self.n_out)


class ShuffleDependency:
    """Every partition needs a share of every parent partition: records travel through map output files.

    `parent` is None on the reading side in a task, where the parent is not needed. With an `aggregator`, values of a
    key are combined: already by map tasks if `combine_on_map`, else only by the reader. `key_order` asks the reader
    for records sorted by key. `partitioner.keyed` tells whether records are pairs placed by key. `site` is the user's
    call that needs the records to meet.
    """

    __slots__ = (
        "__weakref__",
        "_parent",
        "aggregator",
        "combine_on_map",
        "key_order",
        "partitioner",
        "shuffle_id",
        "site",
    )

    label: ClassVar[str] = "shuffle"

    def __init__(
        self,
        parent: Node | None,
        partitioner: Partitioner,
        aggregator: Aggregator | None = None,
        combine_on_map: bool = False,
        key_order: Literal["asc", "desc"] | None = None,
        shuffle_id: ShuffleId | None = None,
        site: CallSite | None = None,
    ) -> None:
        self._parent = parent
        self.partitioner = partitioner
        self.aggregator = aggregator
        self.combine_on_map = combine_on_map and aggregator is not None
        self.key_order = key_order
        self.shuffle_id = ShuffleId(next(_shuffle_ids)) if shuffle_id is None else shuffle_id
        self.site = site

    @property
    def parent(self) -> Node | None:
        """The parent, or what stands in its place."""
        while self._parent is not None and self._parent.successor is not None:
            self._parent = self._parent.successor
        return self._parent

    def spec(self) -> tuple[Any, ...]:
        """What `ShuffleDependency(None, *spec)` needs in a task."""
        return (self.partitioner, self.aggregator, self.combine_on_map, self.key_order, self.shuffle_id, self.site)


Dependency = NarrowDependency | ShuffleDependency


class Inputs(Protocol):
    """What the runtime hands to a computing node. All results are iterators over batches."""

    def narrow(self, dep: NarrowDependency, parent_index: int) -> Iterator[Batch]:
        """Batches of one partition of a parent in the same stage."""
        ...

    def shuffled(self, dep: ShuffleDependency, index: int) -> Iterator[Batch]:
        """Batches of one reduce partition, combined and ordered as the dependency says."""
        ...

    def gathered(self, dep: NarrowDependency, aggregator: Aggregator, index: int, site: CallSite) -> Iterator[Batch]:
        """Batches of `(key, combined value)` of a partition of a parent in the same stage that has whole keys."""
        ...

    def sorted(self, dep: NarrowDependency, order: Order, index: int, site: CallSite) -> Iterator[Batch]:
        """Batches of the records of a partition of a parent in the same stage, in order."""
        ...

    def cogrouped(self, deps: Sequence[Dependency], index: int) -> Iterator[Batch]:
        """Batches of `(key, (list of values per dependency, ...))` over all dependencies."""
        ...

    def source(self, payload: Any) -> Iterator[Batch]:
        """Batches of the records that a source's partition payload describes."""
        ...


class Node:
    """One dataset to be. Subclasses add what makes their records; see `sources`, `narrow` and `wide`.

    `n_partitions` is None until a file listing below it has been settled (`plan/resolve.py`). `name` is what
    `setName` gave, for display only; `cached` says that partitions are to be kept, and where; `cpus` is how many
    processors its tasks are said to have. These may change between jobs. `successor` is what stands in its place
    once its lineage was cut: whoever looks for a parent finds that instead.
    """

    __slots__ = ("__weakref__", "cached", "cpus", "deps", "n_partitions", "name", "partitioner", "site", "successor")

    label: ClassVar[str] = "RDD"

    def __init__(
        self,
        site: CallSite,
        deps: tuple[Dependency, ...] = (),
        n_partitions: int | None = None,
        partitioner: Partitioner | None = None,
    ) -> None:
        self.site = site
        self.deps = deps
        self.n_partitions = n_partitions
        self.partitioner = partitioner
        self.name: str | None = None
        self.cached: Cached | None = None
        self.cpus = 1.0
        self.successor: Node | None = None

    def settle(self) -> None:
        """Derive `n_partitions` (and dependencies that rest on it) once all parents are settled."""

    def payload(self, index: int) -> Any:
        """What a task needs to know of this source partition, as plain data; None for nodes with parents."""
        return None

    def preferred(self, index: int) -> tuple[str, ...]:
        """Hosts on which this partition's data already is."""
        return ()

    def passes_through(
        self, index: int, deps: Sequence[Dependency] | None = None
    ) -> tuple[NarrowDependency, int] | None:
        """The one parent partition that this partition is, record for record, if it is one. `deps` are those that the
        node had before it was cut off.
        """
        return None

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        """Batches of one partition. Only sources and nodes with several parents implement it."""
        raise NotImplementedError(type(self).__name__)

    def spec(self) -> tuple[Any, ...]:
        """Plain data from which `from_spec` rebuilds the node in a task; functions as `UserFunction`."""
        return ()

    @classmethod
    def from_spec(cls, deps: tuple[Dependency, ...], spec: tuple[Any, ...]) -> Node:
        """The node as a task needs it: its dependencies and `spec`, without what only the driver knows."""
        node = cls.__new__(cls)
        Node.__init__(node, _TASK_SITE, deps)
        return node
