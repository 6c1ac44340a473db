"""Which keys many records of a map output have: a sample of its keys, so thin that it costs next to nothing.

The first keys are all looked at, then fewer and fewer, down to one in 257, taken out of each batch at the speed of C.
Strides are prime numbers and begin anywhere: what repeats itself is sampled evenly. Keys that were rarely seen are
forgotten when there are many. Used by `writer`; never the cause of an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rddlite.serde.shortrepr import short_repr

_STRIDES = ((64, 1), (1024, 11), (8192, 37), (1 << 63, 257))
"""Up to which record one in how many is looked at."""
_WAITING = 512
_MOST_KEYS = 1024
_KEPT_KEYS = 256
_LONG_KEY = 4096
"""Texts that are longer are not held, but stood for by how they look and their hash."""
_SHOWN = 40
_LEAST_SAMPLES = 8
_LEAST_SHARE = 0.01


class HotSample:
    """Grows with the output of one map task. Owned by its writer."""

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}
        self._waiting: list[Any] = []
        self._stride = 1
        self._n_records = 0
        self._n_samples = self._weight = 0
        self._next = 0
        self._random = 1
        self._is_given_up = False

    def took(self, keys: Sequence[Any]) -> None:
        """Records with these keys came."""
        n, at = len(keys), self._next
        if self._stride > 1 and at < n:
            self._random = (self._random * 1103515245 + 12345) & 0x7FFFFFFF
            at += (self._random >> 8) % self._stride
        while at < n:
            end = self._set_stride(self._n_records + at) - self._n_records
            sample = keys[at : min(n, end) : self._stride]
            self._waiting += sample
            at += len(sample) * self._stride
        self._next = at - n
        self._n_records += n
        if len(self._waiting) >= _WAITING:
            self._count()

    def took_groups(self, keys: Sequence[Any], counts: Sequence[int]) -> None:
        """So many records with each of these keys came: those of the larger ones are counted."""
        n = sum(counts)
        self._n_records += n
        self._n_samples += n
        self._weight += n
        least = self._n_records * _LEAST_SHARE / 2
        if max(counts, default=0) >= least:
            large = [(_held(key), count) for key, count in zip(keys, counts, strict=True) if count >= least]
            self._add(large, 1)

    def hottest(self, n: int = 5) -> list[tuple[str, int]]:
        """How the hottest keys look, and about how many records each has."""
        self._count()
        least = max(_LEAST_SHARE, _LEAST_SAMPLES / max(1, self._n_samples)) * self._weight
        keys, counts = list(self._counts), list(self._counts.values())
        found = sorted((i for i, count in enumerate(counts) if count >= least), key=lambda i: -counts[i])
        return [(_shown(keys[i]), round(counts[i] * self._n_records / self._weight)) for i in found[:n]]

    def _set_stride(self, record: int) -> int:
        """For this record and some after it; answers up to which."""
        end, stride = next(each for each in _STRIDES if record < each[0])
        if stride != self._stride:
            self._count()
            self._stride = stride
        return end

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._n_samples += len(waiting)
        self._weight += len(waiting) * self._stride
        if {str, bytes} & set(map(type, waiting)):
            waiting = list(map(_held, waiting))
        self._add(((key, 1) for key in waiting), self._stride)

    def _add(self, found: Iterable[tuple[Any, int]], stride: int) -> None:
        if self._is_given_up:
            return
        counts = self._counts
        try:
            for key, count in found:
                counts[key] = counts.get(key, 0) + count * stride
        except MemoryError:
            raise
        except Exception:  # a user's __hash__ or __eq__: whoever needs it for the answer will tell
            self._counts, self._is_given_up = {}, True
            return
        if len(counts) > _MOST_KEYS:
            least = sorted(counts.values())[-_KEPT_KEYS]
            self._counts = {key: count for key, count in counts.items() if count > least}


class _Long:
    """Marks a key that is not held."""


def _held(key: Any) -> Any:
    is_long = type(key) in (str, bytes) and len(key) > _LONG_KEY
    return (_Long, hash(key), short_repr(key)) if is_long else key


def _shown(key: Any) -> str:
    text = key[2] if type(key) is tuple and len(key) == 3 and key[0] is _Long else short_repr(key)
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 13]}...{text[-10:]}"
