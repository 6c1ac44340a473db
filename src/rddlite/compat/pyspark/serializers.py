"""PySpark's serializers, for programs that name one for their context or use it by itself.

They turn objects into bytes and back. What travels between processes is pickled in batches by rddlite in any case: a
serializer given to a context is accepted, and changes nothing.
"""

from __future__ import annotations

import marshal
import pickle
import zlib
from typing import Any

from rddlite.serde.closures import dumps as dump_by_value


class Serializer:
    """Base of serializers: `dumps` and `loads` are what one has to have."""

    def dumps(self, obj: Any) -> bytes:
        """Bytes that stand for an object."""
        raise NotImplementedError(f"{type(self).__name__}.dumps is missing")

    def loads(self, obj: bytes) -> Any:
        """The object for which bytes stand."""
        raise NotImplementedError(f"{type(self).__name__}.loads is missing")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PickleSerializer(Serializer):
    """By pickle.

    >>> PickleSerializer().loads(PickleSerializer().dumps({"a": 1}))
    {'a': 1}
    """

    def dumps(self, obj: Any) -> bytes:
        return pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)

    def loads(self, obj: bytes) -> Any:
        return pickle.loads(obj)  # noqa: S301 - asked for by the program, for its own bytes


CPickleSerializer = PickleSerializer


class CloudPickleSerializer(PickleSerializer):
    """By cloudpickle: functions and classes of the program travel by value."""

    def dumps(self, obj: Any) -> bytes:
        return dump_by_value(obj)


class MarshalSerializer(Serializer):
    """By marshal: fewer types than pickle."""

    def dumps(self, obj: Any) -> bytes:
        return marshal.dumps(obj)

    def loads(self, obj: bytes) -> Any:
        return marshal.loads(obj)


class NoOpSerializer(Serializer):
    """Bytes as they are."""

    def dumps(self, obj: Any) -> bytes:
        return bytes(obj)

    def loads(self, obj: bytes) -> bytes:
        return obj


class UTF8Deserializer(Serializer):
    """Text from bytes."""

    def __init__(self, use_unicode: bool = True) -> None:
        self.use_unicode = use_unicode

    def loads(self, obj: bytes) -> str | bytes:
        return obj.decode("utf-8", "replace") if self.use_unicode else obj


class BatchedSerializer(Serializer):
    """Lists of objects by another serializer."""

    def __init__(self, serializer: Serializer, batchSize: int = -1) -> None:
        self.serializer = serializer
        self.batchSize = batchSize

    def dumps(self, obj: Any) -> bytes:
        return self.serializer.dumps(obj)

    def loads(self, obj: bytes) -> Any:
        return self.serializer.loads(obj)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.serializer!r}, {self.batchSize})"


class AutoBatchedSerializer(BatchedSerializer):
    """Lists of objects, as long as is good."""

    def __init__(self, serializer: Serializer, bestSize: int = 1 << 16) -> None:
        super().__init__(serializer, bestSize)


class CompressedSerializer(Serializer):
    """Another serializer's bytes, compressed by zlib."""

    def __init__(self, serializer: Serializer) -> None:
        self.serializer = serializer

    def dumps(self, obj: Any) -> bytes:
        return zlib.compress(self.serializer.dumps(obj), 1)

    def loads(self, obj: bytes) -> Any:
        return self.serializer.loads(zlib.decompress(obj))
