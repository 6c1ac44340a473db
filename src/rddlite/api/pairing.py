"""RDDs beside RDDs: zip and cartesian product; numbers that need no count; and records through external programs."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api.arguments import own_function, text
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import call_site
from rddlite.base.piping import piped
from rddlite.lineage import taskside
from rddlite.lineage.ops import MapPartitions
from rddlite.lineage.paired import Cartesian, Zipped

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")


class Pairing(Handle[T_co]):
    """The mixin of `RDD` for pairs of records that are not about keys, and for pipes."""

    __slots__ = ()

    def zip(self: Handle[T], other: Handle[U]) -> RDD[tuple[T, U]]:
        """`(x, y)` for the first record of both, the second, and so on.

        Both must have the same number of partitions, and each as many records as its counterpart: as one has with a
        `map` of it. To pair any two RDDs by position, `join` them after `zipWithIndex`.

        Raises:
            TypeError: if `other` is no RDD.
            ValueError: if the numbers of partitions differ; the job fails with one if those of records do.

        >>> numbers = sc.range(3)
        >>> numbers.zip(numbers.map(lambda x: x + 1000)).collect()
        [(0, 1000), (1, 1001), (2, 1002)]
        """
        site = call_site("zip")
        right = self._other(other, site)
        n, m = self._n_partitions(), right._n_partitions()
        if n != m:
            raise ValueError(f"zip: needs RDDs with the same number of partitions, not {n} and {m}")
        return self._derive(Zipped(site, self._node, right._node))

    def cartesian(self: Handle[T], other: Handle[U]) -> RDD[tuple[T, U]]:
        """All pairs `(x, y)` of a record here and one of `other`. There is a partition for each pair of partitions.

        A task holds one partition of `other` in memory: the smaller RDD belongs there.

        Raises:
            TypeError: if `other` is no RDD.

        >>> sc.parallelize([1, 2]).cartesian(sc.parallelize("ab")).sortBy(str).collect()
        [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]
        """
        site = call_site("cartesian")
        return self._derive(Cartesian(site, self._node, self._other(other, site)._node))

    def zipWithUniqueId(self: Handle[T]) -> RDD[tuple[T, int]]:
        """`(x, number)` for each record, where no number comes twice; some are left out. Runs no job.

        The records of partition k of n get k, n + k, 2n + k and so on.

        >>> sc.parallelize("abcde", 3).zipWithUniqueId().collect()
        [('a', 0), ('b', 1), ('c', 4), ('d', 2), ('e', 5)]
        """
        site = call_site("zipWithUniqueId")
        number = own_function(functools.partial(taskside.number_by_step, self._n_partitions()), site)
        return self._pipe(site, MapPartitions(number, with_index=True))

    def pipe(
        self: Handle[Any], command: str, env: Mapping[str, str] | None = None, checkCode: bool = False
    ) -> RDD[str]:
        """The lines that a program writes, one run of it for each partition, when it gets the records as lines.

        Args:
            command: the program and its arguments, split as a shell does; no shell is involved.
            env: its whole environment; empty by default.
            checkCode: fail the job if the program ends with a status that is not 0.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind, or a command that cannot be split.

        >>> sc.parallelize(["1", "2", "", "3"], 2).pipe("cat").collect()
        ['1', '2', '', '3']
        """
        site = call_site("pipe")
        if not shlex.split(text(command, site, "command")):
            raise ValueError("pipe: command must name a program")
        given = {} if env is None else env
        if not isinstance(given, Mapping):
            raise TypeError(f"pipe: env must be a dict, not {type(given).__qualname__}")
        variables = {os.fspath(key): os.fspath(value) for key, value in given.items()}
        function = own_function(functools.partial(piped, command, variables, bool(checkCode)), site)
        return self._pipe(site, MapPartitions(function))
