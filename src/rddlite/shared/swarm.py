"""How executors get the pieces of a broadcast from each other: pure, both halves and what they say.

The driver keeps a list of *holders*, executors that have pieces, whole or not; an executor that needs a broadcast asks
for it again and again, telling what it has by then (`HoldersAsk`, `HoldersAnswer`; JSON, as the answers are small).
From the answer it plans a *round*: which piece to get from which holder, in an order of its own. Pieces that nobody has
are given out by the driver itself, to one executor each (`seed`): so executors that start together soon have different
pieces to trade, and the driver uploads little more than one copy, however many they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.base.ids import BroadcastId, ExecutorId

TOPIC = "holders"
SEED = ExecutorId("")
"""The driver, as a holder of everything."""
_FROM_ONE = 4
_HOLDERS_AT_ONCE = 8
_LARGEST = 1 << 20

Shuffle = Callable[[list[int]], None]


@dataclass(frozen=True, slots=True)
class HoldersAsk:
    """Who has pieces of this broadcast? `have` tells of the asker: one character per piece, `1` for those it has.
    `bad` are holders that it cannot get anything from.
    """

    broadcast: BroadcastId
    executor: ExecutorId
    have: str
    bad: tuple[ExecutorId, ...] = ()


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
    """`is_known` is False for a broadcast that was destroyed; `seed` are pieces for the asker to get of the driver."""

    is_known: bool
    seed: tuple[int, ...]
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
        return all(self._have)

    @property
    def have(self) -> str:
        """What is here, as others are told."""
        return "".join("1" if is_here else "0" for is_here in self._have)

    @property
    def bad(self) -> tuple[ExecutorId, ...]:
        """Who is not asked any more."""
        return tuple(sorted(self._bad))

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
        seed = [piece for piece in answer.seed if 0 <= piece < len(self._have) and not self._have[piece]]
        asked[SEED] = [] if SEED in self._bad else seed
        for piece in self._order:
            owners = [asked[each.executor] for each in holders if each.have[piece : piece + 1] == "1"]
            least = min(owners, key=len, default=None)
            if least is not None and len(least) < _FROM_ONE and piece not in asked[SEED]:
                least.append(piece)
        return {executor: pieces for executor, pieces in asked.items() if pieces}


# What travels


def pack_ask(ask: HoldersAsk) -> bytes:
    """The question as bytes."""
    return json.dumps([ask.broadcast, ask.executor, ask.have, ask.bad]).encode()


def unpack_ask(body: bytes) -> HoldersAsk:
    """The inverse.

    Raises:
        ValueError: if the bytes are no question.
    """
    broadcast, executor, have, bad = _row(_parsed(body), int, str, str, list)
    if not all(type(each) is str for each in bad):
        raise ValueError("holders are told by their names")
    return HoldersAsk(BroadcastId(broadcast), ExecutorId(executor), _bits(have), tuple(map(ExecutorId, bad)))


def pack_answer(answer: HoldersAnswer) -> bytes:
    """The answer as bytes."""
    rows = [[each.executor, each.address, each.scratch, each.token, each.have] for each in answer.holders]
    return json.dumps([answer.is_known, list(answer.seed), rows]).encode()


def unpack_answer(body: bytes) -> HoldersAnswer:
    """The inverse.

    Raises:
        ValueError: if the bytes are no answer.
    """
    is_known, seed, rows = _row(_parsed(body), bool, list, list)
    if not all(type(piece) is int for piece in seed):
        raise ValueError("pieces are told by numbers")
    holders = []
    for row in rows:
        executor, address, scratch, token, have = _row(row, str, str, str, str, str)
        holders.append(Holder(ExecutorId(executor), address, scratch, token, _bits(have)))
    return HoldersAnswer(is_known, tuple(seed), tuple(holders))


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

_LEASE, _LEASE_PER_PIECE = 4.0, 0.05
"""For so long nobody else gets a piece that was given out: longer where the driver has much to upload."""
_GIVEN_AT_ONCE = 4
_GIVEN_TO_THE_FIRST = 8
_TOLD_AT_ONCE = 2 * _HOLDERS_AT_ONCE
Place = tuple[str, str, str]
"""Scratch directory, address of the block server, token; all empty for an executor that is gone."""


class Holders:
    """Who has, or is getting, the pieces of one broadcast. Told the time, by whoever guards it."""

    def __init__(self, n_pieces: int) -> None:
        self._n_pieces = n_pieces
        self._have: dict[ExecutorId, str] = {}
        self._given: dict[ExecutorId, tuple[float, set[int]]] = {}
        self._turn = 0

    def asked(self, ask: HoldersAsk, place_of: Callable[[ExecutorId], Place], now: float) -> HoldersAnswer:
        """Note what the asker has, and tell it where the rest is."""
        places = self._living(place_of)
        self._given.pop(ask.executor, None)  # it has got them by now, or will not
        if len(ask.have) != self._n_pieces:
            return HoldersAnswer(True, (), ())
        if any(place_of(ask.executor)):
            self._have[ask.executor] = ask.have
        missing = _mask(ask.have) ^ (1 << self._n_pieces) - 1
        others = [
            Holder(executor, address, scratch, token, self._have[executor])
            for executor, (scratch, address, token) in places.items()
            if executor != ask.executor and executor not in ask.bad and _mask(self._have[executor]) & missing
        ]
        return HoldersAnswer(True, tuple(self._give(ask, now)), tuple(self._some(others)))

    def forget_all(self) -> None:
        """Nobody has anything any more."""
        self._have.clear()
        self._given.clear()

    def _living(self, place_of: Callable[[ExecutorId], Place]) -> dict[ExecutorId, Place]:
        """Where the holders are that live; the others are forgotten."""
        places = {executor: place_of(executor) for executor in self._have}
        for executor, place in list(places.items()):
            if not any(place):
                del self._have[executor], places[executor]
                self._given.pop(executor, None)
        return places

    def _give(self, ask: HoldersAsk, now: float) -> list[int]:
        """Pieces that nobody has (of those whom the asker can reach), nor gets at the moment."""
        self._given = {executor: given for executor, given in self._given.items() if given[0] > now}
        covered = 0
        for executor, have in self._have.items():
            if executor not in ask.bad:
                covered |= _mask(have)
        for _, given in self._given.values():
            for piece in given:
                covered |= _bit(piece, self._n_pieces)
        free = [piece for piece in range(self._n_pieces) if not covered & _bit(piece, self._n_pieces)]
        pieces = free[: _GIVEN_AT_ONCE if len(self._have) > 1 else _GIVEN_TO_THE_FIRST]
        if pieces:
            n_given = sum(len(given) for _, given in self._given.values()) + len(pieces)
            self._given[ask.executor] = (now + _LEASE + n_given * _LEASE_PER_PIECE, set(pieces))
        return pieces

    def _some(self, others: list[Holder]) -> list[Holder]:
        """Others in turn, so that not everybody is sent to the same."""
        if others:
            self._turn = (self._turn + 1) % len(others)
        return (others[self._turn :] + others[: self._turn])[:_TOLD_AT_ONCE]


def _mask(have: str) -> int:
    return int(have, 2) if have else 0


def _bit(piece: int, n_pieces: int) -> int:
    """Of a mask, in which the first piece is the highest bit."""
    return 1 << (n_pieces - 1 - piece)
