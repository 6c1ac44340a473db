"""StorageLevel says what PySpark's says."""

from __future__ import annotations

import pickle

import pytest

from rddlite import StorageLevel


def test_texts_are_pysparks() -> None:
    assert repr(StorageLevel.MEMORY_ONLY) == "StorageLevel(False, True, False, False, 1)"
    assert str(StorageLevel.MEMORY_AND_DISK_2) == "Disk Memory Serialized 2x Replicated"
    assert str(StorageLevel.OFF_HEAP) == "Disk Memory OffHeap Serialized 1x Replicated"
    assert str(StorageLevel.MEMORY_AND_DISK_DESER) == "Disk Memory Deserialized 1x Replicated"
    assert str(StorageLevel.NONE) == "Serialized 1x Replicated"


def test_they_compare_by_value_and_travel() -> None:
    level = StorageLevel(True, False, False, False, 3)
    assert level == StorageLevel.DISK_ONLY_3
    assert hash(level) == hash(StorageLevel.DISK_ONLY_3)
    assert level != StorageLevel.DISK_ONLY
    assert level != "DISK_ONLY_3"
    assert pickle.loads(pickle.dumps(level)) == level


@pytest.mark.parametrize("copies", [0, 40, -1])
def test_how_many_copies_there_may_be(copies: int) -> None:
    with pytest.raises(ValueError, match="replication"):
        StorageLevel(True, True, False, False, copies)
    with pytest.raises(TypeError, match="replication"):
        StorageLevel(True, True, False, False, 1.5)  # type: ignore[arg-type]
