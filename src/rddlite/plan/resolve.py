"""Settles what lineage left open (file listings, and the partition counts that rest on them).

Runs in the thread of the caller who first needs the counts, never on the driver's loop: listing files takes time and
may fail, and both belong to the user who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rddlite.lineage.graph import Node
from rddlite.lineage.sources import FileText
from rddlite.lineage.walk import unsettled

ListText = Callable[[FileText], Sequence[Any]]
"""Lists the files of a text source: one split per partition. May raise what file systems raise."""


def settle(node: Node, list_text: ListText) -> None:
    """Make `n_partitions` of `node` and of everything that it rests on known."""
    for each in unsettled(node):
        if isinstance(each, FileText):
            each.list_with(list_text(each))
        else:
            each.settle()
