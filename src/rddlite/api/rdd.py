"""RDD: what users hold. A handle (context and node), assembled from the mixins that each own a kind of method."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rddlite.api.actions import Actions
from rddlite.api.approximate import Approximate
from rddlite.api.asking import Resources
from rddlite.api.caching import Caching
from rddlite.api.checkpoints import Checkpoints
from rddlite.api.handle import Handle, T_co
from rddlite.api.handy import Handy
from rddlite.api.joins import Joins
from rddlite.api.numeric import Numeric
from rddlite.api.ordering import Ordering
from rddlite.api.output import Output
from rddlite.api.pairing import Pairing
from rddlite.api.pairs import Pairs
from rddlite.api.sampling import Sampling
from rddlite.api.sketching import Sketching
from rddlite.api.statistics import Statistics
from rddlite.api.tracebacks import short_tracebacks
from rddlite.api.transforms import Transforms
from rddlite.api.trees import Trees
from rddlite.api.unsupported import NotThere
from rddlite.lineage.partitioner import Partitioner
from rddlite.plan.explain import debug_string, explain

if TYPE_CHECKING:
    from rddlite.api.context import Context

T = TypeVar("T")


@short_tracebacks
class RDD(
    Transforms[T_co],
    Pairs[T_co],
    Joins[T_co],
    Ordering[T_co],
    Actions[T_co],
    Trees[T_co],
    Numeric[T_co],
    Statistics[T_co],
    Approximate[T_co],
    Sketching[T_co],
    Sampling[T_co],
    Pairing[T_co],
    Handy[T_co],
    Output[T_co],
    Caching[T_co],
    Checkpoints[T_co],
    Resources[T_co],
    NotThere[T_co],
    Handle[T_co],
):
    """A dataset in partitions, that is computed when an action needs it and never changes.

    RDDs are made by a `Context` (`parallelize`, `range`, `textFile`) and by methods of other RDDs. They hold no data,
    only how to compute it: where data was lost, it is computed again. Transformations are lazy; the functions given to
    them run in other processes, where what they change is seen by nobody.

    >>> words = sc.parallelize(["to be or", "not to be"]).flatMap(str.split)
    >>> sorted(words.map(lambda word: (word, 1)).reduceByKey(add).collect())
    [('be', 2), ('not', 1), ('or', 1), ('to', 2)]
    """

    __slots__ = ()

    @property
    def context(self) -> Context:
        """The context that made this RDD.

        >>> sc.range(3).context is sc
        True
        """
        return self._context

    @property
    def ctx(self) -> Context:
        """The same as `context`.

        >>> sc.range(3).ctx is sc
        True
        """
        return self._context

    @property
    def partitioner(self) -> Partitioner | None:
        """What places the pairs by key, or None if they are where they happened to be.

        >>> sc.parallelize([(1, 2)]).partitionBy(3).partitioner
        HashPartitioner(3)
        """
        return self._partitioner

    def id(self) -> int:
        """A number that no other RDD of this context has; later RDDs have larger ones.

        >>> sc.range(3).id() < sc.range(3).id()
        True
        """
        return self._number()

    def name(self) -> str | None:
        """What `setName` gave; RDDs of files are named by their path.

        >>> sc.range(3).setName("numbers").name()
        'numbers'
        """
        return self._node.name

    def setName(self: RDD[T], name: str | None) -> RDD[T]:
        """Name this RDD, for `toDebugString` and messages. Returns the RDD itself.

        >>> sc.range(3).setName("numbers").name()
        'numbers'
        """
        self._node.name = name
        return self

    def getNumPartitions(self) -> int:
        """The number of partitions. For files this lists them, the first time.

        Raises:
            PathNotFound: if a file that it rests on does not exist.

        >>> sc.parallelize([1, 2, 3, 4], 2).getNumPartitions()
        2
        """
        self._context._check_usable()
        return self._n_partitions()

    def toDebugString(self) -> bytes:
        """The lineage of this RDD as an indented tree: `(n)` heads a stage, `+-(n)` marks an exchange of records.

        >>> print(sc.parallelize([(1, 2)], 2).reduceByKey(add, 3).toDebugString().decode())
        (3) Shuffled at reduceByKey at ...
         +-(2) ParallelCollection at parallelize at ...
        """
        self._n_partitions()
        return debug_string(self._node)

    def explain(self) -> None:
        """Print the stages that computing this RDD takes: what each reads, does, and exchanges at its end.

        >>> sc.parallelize([(1, 2)], 2).reduceByKey(add, 3).explain()
        Stage 1: 2 tasks
          ParallelCollection at parallelize at ...
          => exchange: shuffle ..., combined by key first, to 3 partitions by HashPartitioner(3)
        Stage 2: 3 tasks
          Shuffled at reduceByKey at ..., reads shuffle ...
          => results to the driver
        """
        self._n_partitions()
        print(explain(self._node))
