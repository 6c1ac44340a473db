"""The driver's side of broadcasts, as its block server sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rddlite.base.ids import BroadcastId
from rddlite.driver.broadcasts import Broadcasts
from rddlite.net.transfer import NoSuchBlock
from rddlite.shared.pieces import PIECE_BYTES, file_of
from rddlite.shared.stored import write_value
from rddlite.shared.swarm import HoldersAsk, pack_ask, unpack_answer
from rddlite.testing.clock import ManualClock


@pytest.fixture
def broadcasts(tmp_path: Path) -> Broadcasts:
    made = Broadcasts(str(tmp_path), ManualClock())
    made.connect(lambda executor: ("/there", "tcp://there", ""), lambda broadcast, told: told(), lambda: None)
    return made


def test_pieces_are_found_and_nothing_else(broadcasts: Broadcasts) -> None:
    spec = broadcasts.add(lambda path: write_value(path, bytes(PIECE_BYTES)))
    block = f"broadcast-{spec.id}"
    assert spec.n_pieces == 2
    spans = [(place.start, place.length) for place in (broadcasts.find(block, 0), broadcasts.find(block, 1))]
    assert spans == [(0, PIECE_BYTES), (PIECE_BYTES, spec.size - PIECE_BYTES)]
    for name, piece in [
        (block, 2), (block, -1), (block, -2), ("broadcast-99999", 0), ("result-1", 0), ("shuffle-0-0-0", 0),
        ("../../etc/passwd", 0), (f"{block}/../x", 0), ("", 0), ("x" * 10_000, 0),
    ]:  # fmt: skip
        with pytest.raises(NoSuchBlock):
            broadcasts.find(name, piece)


def test_questions_that_make_no_sense_are_refused(broadcasts: Broadcasts) -> None:
    good = pack_ask(HoldersAsk(BroadcastId(0), "1", "0"))  # type: ignore[arg-type]
    for topic, body in [("holders", b""), ("holders", b"[]"), ("holders", b"\xff"), ("other", good)]:
        with pytest.raises(NoSuchBlock):
            broadcasts.answer(topic, body)
    assert not unpack_answer(broadcasts.answer("holders", good)).is_known


def test_a_value_that_cannot_be_written_leaves_nothing(broadcasts: Broadcasts, tmp_path: Path) -> None:
    def fail(path: str) -> tuple[int, bytes]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        broadcasts.add(fail)
    assert os.listdir(tmp_path / "broadcast") == []


def test_a_dropped_one_goes_once(broadcasts: Broadcasts, tmp_path: Path) -> None:
    told: list[int] = []
    broadcasts.connect(
        lambda executor: ("", "", ""), lambda broadcast, done: (told.append(broadcast), done()), lambda: None
    )
    spec = broadcasts.add(lambda path: write_value(path, 1))
    broadcasts.dropped(spec.id)
    broadcasts.dropped(spec.id)
    assert told == [spec.id]
    assert not os.path.exists(file_of(str(tmp_path), spec.id))
    with pytest.raises(NoSuchBlock):
        broadcasts.find(f"broadcast-{spec.id}", 0)


def test_what_serves_is_closed_again_if_its_end_was_interrupted(broadcasts: Broadcasts) -> None:
    closed: list[bool] = []

    def close() -> None:
        closed.append(True)
        if len(closed) == 1:
            raise KeyboardInterrupt

    broadcasts.when_closed(close)
    with pytest.raises(KeyboardInterrupt):
        broadcasts.close()
    broadcasts.close()
    assert closed == [True, True]
