"""How executors get the pieces of a broadcast from each other: pure, both halves and what they say.

The driver keeps a list of *holders*, executors that have pieces, whole or not; an executor that needs a broadcast asks
for it again and again, telling what it has by then (`HoldersAsk`, `HoldersAnswer`; JSON, as the answers are small).
From the answer it plans a *round*: pieces in an order of its own, so that executors that start together soon have
different ones to trade, each from a holder that has it. The driver is asked only for what no holder has, a few pieces
at a time; and of many who start at once, only some may ask it at all (`may_seed`), so that it uploads little more than
one copy, however many executors there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.base.ids import BroadcastId, ExecutorId

TOPIC = "holders"
SEED = ExecutorId("")
"""The driver, as a holder of everything."""
_FROM_ONE = 4
_FROM_SEED = 2
_FROM_SEED_ALONE = 8
_HOLDERS_AT_ONCE = 8
_LARGEST = 1 << 20

Shuffle = Callable[[list[int]], None]


@dataclass(frozen=True, slots=True)
class HoldersAsk:
    """Who has pieces of this broadcast? `have` tells of the asker: one character per piece, `1` for those it has."""

    broadcast: BroadcastId
    executor: ExecutorId
    have: str


@dataclass(frozen=True, slots=True)
class Holder:
    """An executor that has pieces, and where: its block server, its scratch directory and the token there."""

    executor: ExecutorId
    address: str
    scratch: str
    token: str
    have: str

    @property
    def is_complete(self) -> bool:
        """Whether it has all pieces."""
        return "0" not in self.have


@dataclass(frozen=True, slots=True)
class HoldersAnswer:
    """`is_known` is False for a broadcast that was destroyed."""

    is_known: bool
    may_seed: bool
    holders: tuple[Holder, ...]


class Downloads:
    """The pieces that one executor still needs. `shuffle` puts them in an order of its own."""

    def __init__(self, have: Sequence[bool], shuffle: Shuffle) -> None:
        self._have = list(have)
        self._order = [piece for piece, is_here in enumerate(have) if not is_here]
        shuffle(self._order)
        self._bad: set[ExecutorId] = set()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self._order

    @property
    def have(self) -> str:
        """What is here, as others are told."""
        return "".join("1" if is_here else "0" for is_here in self._have)

    def got(self, piece: int) -> None:
        """This piece has arrived, and is right."""
        self._have[piece] = True

    def failed(self, holder: ExecutorId) -> None:
        """This holder could not be reached, or gave what it should not: it is not asked again."""
        self._bad.add(holder)

    def has_failed(self, holder: ExecutorId) -> bool:
        """Whether this holder is not asked any more."""
        return holder in self._bad

    def next_round(self, answer: HoldersAnswer) -> dict[ExecutorId, list[int]]:
        """What to ask of whom now (`SEED`: of the driver); empty if there is nobody to ask for the time being."""
        self._order = [piece for piece in self._order if not self._have[piece]]
        holders = [holder for holder in answer.holders if holder.executor not in self._bad][:_HOLDERS_AT_ONCE]
        asked: dict[ExecutorId, list[int]] = {holder.executor: [] for holder in holders}
        from_seed = _FROM_SEED if holders else _FROM_SEED_ALONE
        seed: list[int] = []
        for piece in self._order:
            owners = [asked[each.executor] for each in holders if each.have[piece : piece + 1] == "1"]
            if owners:
                least = min(owners, key=len)
                if len(least) < _FROM_ONE:
                    least.append(piece)
            elif len(seed) < from_seed and answer.may_seed and SEED not in self._bad:
                seed.append(piece)
        asked[SEED] = seed
        return {executor: pieces for executor, pieces in asked.items() if pieces}


# What travels


def pack_ask(ask: HoldersAsk) -> bytes:
    """The question as bytes."""
    return json.dumps([ask.broadcast, ask.executor, ask.have]).encode()


def unpack_ask(body: bytes) -> HoldersAsk:
    """The inverse.

    Raises:
        ValueError: if the bytes are no question.
    """
    broadcast, executor, have = _row(_parsed(body), int, str, str)
    return HoldersAsk(BroadcastId(broadcast), ExecutorId(executor), _bits(have))


def pack_answer(answer: HoldersAnswer) -> bytes:
    """The answer as bytes."""
    rows = [[each.executor, each.address, each.scratch, each.token, each.have] for each in answer.holders]
    return json.dumps([answer.is_known, answer.may_seed, rows]).encode()


def unpack_answer(body: bytes) -> HoldersAnswer:
    """The inverse.

    Raises:
        ValueError: if the bytes are no answer.
    """
    is_known, may_seed, rows = _row(_parsed(body), bool, bool, list)
    holders = []
    for row in rows:
        executor, address, scratch, token, have = _row(row, str, str, str, str, str)
        holders.append(Holder(ExecutorId(executor), address, scratch, token, _bits(have)))
    return HoldersAnswer(is_known, may_seed, tuple(holders))


def _parsed(body: bytes) -> Any:
    if len(body) > _LARGEST:
        raise ValueError(f"{len(body)} bytes are too many")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def _row(row: Any, *types: type) -> Any:
    if type(row) is not list or tuple(map(type, row)) != types:
        raise ValueError(f"not a row of {', '.join(kind.__name__ for kind in types)}")
    return row


def _bits(have: str) -> str:
    if have.strip("01"):
        raise ValueError("pieces are told by 0 and 1 only")
    return have


# The driver's half

_LEASE = 5.0
_SEEDED_AT_ONCE = 4
_TOLD_AT_ONCE = 2 * _HOLDERS_AT_ONCE
Place = tuple[str, str, str]
"""Address, scratch directory, token; all empty for an executor that is gone."""


class Holders:
    """Who has, or is getting, the pieces of one broadcast. Asked with the time, by whoever guards it."""

    def __init__(self, n_pieces: int) -> None:
        self._n_pieces = n_pieces
        self._have: dict[ExecutorId, str] = {}
        self._leases: dict[ExecutorId, float] = {}
        self._turn = 0

    def asked(self, ask: HoldersAsk, place_of: Callable[[ExecutorId], Place], now: float) -> HoldersAnswer:
        """Note what the asker has, and tell it of others."""
        places = self._places(place_of)
        asker = ask.executor
        if len(ask.have) == self._n_pieces and any(place_of(asker)):
            self._have[asker] = ask.have
        if "0" not in ask.have:
            self._leases.pop(asker, None)
            return HoldersAnswer(True, False, ())
        others = [
            Holder(executor, *places[executor], have)
            for executor, have in self._have.items()
            if executor != asker and executor in places and "1" in have
        ]
        return HoldersAnswer(True, self._may_seed(asker, now), tuple(self._some(others)))

    def forget_all(self) -> None:
        """Nobody has anything any more."""
        self._have.clear()
        self._leases.clear()

    def _places(self, place_of: Callable[[ExecutorId], Place]) -> Mapping[ExecutorId, Place]:
        """Where the holders are that live; the others are forgotten."""
        places = {executor: place_of(executor) for executor in self._have}
        for executor, place in places.items():
            if not any(place):
                del self._have[executor]
                self._leases.pop(executor, None)
        return {executor: place for executor, place in places.items() if any(place)}

    def _may_seed(self, asker: ExecutorId, now: float) -> bool:
        self._leases = {executor: until for executor, until in self._leases.items() if until > now}
        if asker not in self._leases and len(self._leases) >= _SEEDED_AT_ONCE:
            return False
        self._leases[asker] = now + _LEASE
        return True

    def _some(self, others: list[Holder]) -> list[Holder]:
        """Others in turn, so that not everybody is sent to the same."""
        if others:
            self._turn = (self._turn + 1) % len(others)
        return (others[self._turn :] + others[: self._turn])[:_TOLD_AT_ONCE]
