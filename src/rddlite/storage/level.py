"""StorageLevel: where the partitions of a cached RDD are kept, with PySpark's names and constructor."""

from __future__ import annotations

from typing import ClassVar

_MOST_COPIES = 39
"""Spark's own limit is below 40."""


class StorageLevel:
    """Where partitions are kept: memory, disk, or both, and on how many executors.

    What is kept in memory stays as the very objects where no task can change them, which takes no pickling at all, and
    is pickled elsewhere (`docs/guide/caching.md`). `useOffHeap` asks for pickled records in memory that is not part of
    Python's heap, whatever they are. `deserialized` is accepted for PySpark's sake and changes nothing.

    >>> StorageLevel.MEMORY_AND_DISK
    StorageLevel(True, True, False, False, 1)
    >>> print(StorageLevel.MEMORY_ONLY_2)
    Memory Serialized 2x Replicated
    """

    __slots__ = ("deserialized", "replication", "useDisk", "useMemory", "useOffHeap")

    NONE: ClassVar[StorageLevel]
    DISK_ONLY: ClassVar[StorageLevel]
    DISK_ONLY_2: ClassVar[StorageLevel]
    DISK_ONLY_3: ClassVar[StorageLevel]
    MEMORY_ONLY: ClassVar[StorageLevel]
    MEMORY_ONLY_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK: ClassVar[StorageLevel]
    MEMORY_AND_DISK_2: ClassVar[StorageLevel]
    OFF_HEAP: ClassVar[StorageLevel]
    MEMORY_AND_DISK_DESER: ClassVar[StorageLevel]

    def __init__(
        self, useDisk: bool, useMemory: bool, useOffHeap: bool, deserialized: bool, replication: int = 1
    ) -> None:
        if isinstance(replication, bool) or not isinstance(replication, int):
            raise TypeError(f"StorageLevel: replication must be an integer, not {type(replication).__qualname__}")
        if not 1 <= replication <= _MOST_COPIES:
            raise ValueError(f"StorageLevel: replication must be from 1 to {_MOST_COPIES}, not {replication}")
        self.useDisk = bool(useDisk)
        self.useMemory = bool(useMemory)
        self.useOffHeap = bool(useOffHeap)
        self.deserialized = bool(deserialized)
        self.replication = replication

    def _fields(self) -> tuple[bool, bool, bool, bool, int]:
        return (self.useDisk, self.useMemory, self.useOffHeap, self.deserialized, self.replication)

    def __repr__(self) -> str:
        return f"StorageLevel({', '.join(map(str, self._fields()))})"

    def __str__(self) -> str:
        words = [
            "Disk " if self.useDisk else "",
            "Memory " if self.useMemory else "",
            "OffHeap " if self.useOffHeap else "",
            "Deserialized " if self.deserialized else "Serialized ",
        ]
        return f"{''.join(words)}{self.replication}x Replicated"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageLevel) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __reduce__(self) -> tuple[type[StorageLevel], tuple[bool, bool, bool, bool, int]]:
        return (StorageLevel, self._fields())


StorageLevel.NONE = StorageLevel(False, False, False, False)
StorageLevel.DISK_ONLY = StorageLevel(True, False, False, False)
StorageLevel.DISK_ONLY_2 = StorageLevel(True, False, False, False, 2)
StorageLevel.DISK_ONLY_3 = StorageLevel(True, False, False, False, 3)
StorageLevel.MEMORY_ONLY = StorageLevel(False, True, False, False)
StorageLevel.MEMORY_ONLY_2 = StorageLevel(False, True, False, False, 2)
StorageLevel.MEMORY_AND_DISK = StorageLevel(True, True, False, False)
StorageLevel.MEMORY_AND_DISK_2 = StorageLevel(True, True, False, False, 2)
StorageLevel.OFF_HEAP = StorageLevel(True, True, True, False)
StorageLevel.MEMORY_AND_DISK_DESER = StorageLevel(True, True, False, True)
