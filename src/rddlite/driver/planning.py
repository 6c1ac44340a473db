"""The lock between those who plan jobs and those who cut lineages: jobs know a lineage as it was, or as it will be."""

from __future__ import annotations

import threading

from rddlite.lineage.graph import Node

planning = threading.RLock()
"""Held by a thread while it plans a job, until nothing of the lineage is looked at any more."""


def cut_off(node: Node, successor: Node) -> None:
    """Let `successor` stand in the node's place; what the node was made from is forgotten."""
    with planning:
        node.successor = successor
        node.deps = ()
