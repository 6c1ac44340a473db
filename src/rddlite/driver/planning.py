"""Between those who plan jobs and those who cut lineages: jobs know a lineage as it was, or as it will be.

Planning calls functions of the user's that pickle what jobs need, and these may wait for another thread that runs a
job: who plans never waits for another one who does.
"""

from __future__ import annotations

import threading

from rddlite.lineage.graph import Node


class Planning:
    """Entered by a thread while it plans a job, until nothing of the lineage is looked at any more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._depths: dict[int, int] = {}

    def __enter__(self) -> None:
        with self._changed:
            me = threading.get_ident()
            self._depths[me] = self._depths.get(me, 0) + 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            me = threading.get_ident()
            self._depths[me] -= 1
            if not self._depths[me]:
                del self._depths[me]
                self._changed.notify_all()

    def is_free(self) -> bool:
        """Whether no other thread plans."""
        return self._depths.keys() <= {threading.get_ident()}

    def cut_off(self, node: Node, successor: Node) -> None:
        """As the function, once no other thread plans."""
        with self._changed:
            self._changed.wait_for(self.is_free)
            node.successor = successor
            node.deps = ()


planning = Planning()
"""That of this process."""


def cut_off(node: Node, successor: Node) -> None:
    """Let `successor` stand in the node's place; what the node was made from is forgotten."""
    planning.cut_off(node, successor)
