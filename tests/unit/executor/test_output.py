"""Lines, marks and the rate limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.executor import output as module
from rddlite.executor.output import NO_TASK, LineCutter, Mark, OutputLog
from rddlite.net.messages import OutputLine

MARK = Mark(3, 1, 2)


def cut(*pieces: bytes) -> list[str]:
    cutter = LineCutter()
    return [line for piece in pieces for line in cutter.feed(piece)] + list(cutter.finish())


def test_lines_are_put_together_from_pieces():
    assert cut(b"one\ntw", b"o\n", b"\nthree") == ["one", "two", "", "three"]
    assert cut(b"dos\r\n") == ["dos"]
    assert cut(b"\xff\xfe \xc3\xa9\n") == ["\\xff\\xfe é"]
    assert cut(b"") == []


def test_long_lines_are_cut():
    longest = module._LONGEST_LINE
    assert [len(line) for line in cut(b"x" * (2 * longest + 5) + b"\n")] == [longest, longest, 5]
    assert [len(line) for line in cut(*[b"x" * 1000] * 40)] == [longest, longest, 40_000 - 2 * longest]


@given(st.lists(st.binary(max_size=20).map(lambda piece: piece.replace(b"\r", b""))))
def test_nothing_is_lost_between_lines(pieces):
    whole = b"".join(pieces).decode("utf-8", "backslashreplace")
    assert "\n".join(cut(*pieces)) == whole.removesuffix("\n")


def test_lines_carry_their_mark():
    log = OutputLog(1000)
    log.add(MARK, "stdout", "hello", 0.0)
    log.add(NO_TASK, "stderr", "between", 0.0)
    assert not log.is_empty
    lines = [OutputLine(3, 1, 2, "stdout", "hello"), OutputLine(-1, -1, -1, "stderr", "between")]
    assert log.take("0").lines == lines
    assert log.is_empty


def test_more_than_the_rate_is_counted_and_dropped_and_time_brings_more():
    log = OutputLog(100)
    for _ in range(30):
        log.add(MARK, "stdout", "x" * 9, 0.0)
    first = log.take("0")
    assert len(first.lines) == 10
    assert first.dropped == 200
    log.add(MARK, "stdout", "x" * 9, 0.5)
    assert log.take("0").dropped == 0
    log.add(MARK, "stdout", "after an hour", 3600.0)
    assert len(log.take("0").lines) == 1


def test_a_line_longer_than_the_bucket_is_not_lost_for_ever():
    log = OutputLog(10)
    log.add(MARK, "stdout", "x" * 100, 0.0)
    log.add(MARK, "stdout", "y", 0.0)
    taken = log.take("0")
    assert [line.text for line in taken.lines] == ["x" * 100]
    assert taken.dropped == 2


def test_last_words_always_pass():
    log = OutputLog(10)
    for i in range(100):
        log.add(MARK, "stderr", f"line {i}", 0.0, always=True)
    assert len(log.take("0").lines) == 100


def test_messages_are_of_bounded_length(monkeypatch):
    monkeypatch.setattr(module, "_LINES_PER_MESSAGE", 10)
    monkeypatch.setattr(module, "_CHARACTERS_PER_MESSAGE", 50)
    log = OutputLog(1 << 20)
    for text in [*["xx"] * 25, *["x" * 24] * 5]:
        log.add(MARK, "stdout", text, 0.0)
    sizes = []
    while not log.is_empty:
        sizes.append(len(log.take("0").lines))
    assert sizes == [10, 10, 7, 2, 1]


def test_what_waits_for_the_driver_is_bounded_even_for_last_words(monkeypatch):
    monkeypatch.setattr(module, "_CHARACTERS_KEPT", 100)
    log = OutputLog(1 << 20)
    for _ in range(100):
        log.add(MARK, "stdout", "x" * 9, 0.0, always=True)
    message = log.take("0")
    assert len(message.lines) == 11
    assert message.dropped == 890
    assert log.add(MARK, "stdout", "more", 0.0)


def test_a_lower_limit_counts_at_once():
    log = OutputLog(1 << 20)
    log.limit(5)
    log.add(MARK, "stdout", "x" * 9, 0.0)
    log.add(MARK, "stdout", "x" * 9, 0.0)
    assert log.take("0").dropped == 10
