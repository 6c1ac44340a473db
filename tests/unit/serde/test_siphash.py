"""The computed text hash against published vectors and against the interpreter's own."""

from __future__ import annotations

import _imp
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.serde import siphash


def reference(data: bytes) -> int:
    return int.from_bytes(_imp.source_hash(0, data), sys.byteorder)


@given(st.binary(max_size=100))
def test_agrees_with_the_keyed_hash_of_the_interpreter(data: bytes) -> None:
    assert siphash._interpreted(data) == reference(data)


def test_known_values() -> None:
    # hash("abc") under PYTHONHASHSEED=0 on Python 3.10 (2-4) and 3.11 to 3.13 (1-3)
    assert siphash.siphash(b"abc", 2, 4) == 4596069200710135518
    assert siphash.siphash(b"abc", 1, 3) == -4594863902769663758 % (1 << 64)


def test_empty_is_zero() -> None:
    assert siphash.bytes_hash(b"") == 0
    assert siphash.str_hash("") == 0


def test_the_code_in_python_serves_where_the_interpreters_own_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_imp, "source_hash", lambda key, data: bytes(8))
    assert siphash._fastest() is siphash._interpreted
    monkeypatch.delattr(_imp, "source_hash")
    assert siphash._fastest() is siphash._interpreted


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("abc", b"abc"),
        ("caf\xe9", b"caf\xe9"),
        ("\u0416", "\u0416".encode("utf-16-le")),
        ("\ud800x", b"\x00\xd8x\x00"),
        ("a\U0001f600", "a\U0001f600".encode("utf-32-le")),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the expected memory is written for little-endian machines")
def test_text_is_hashed_over_its_memory(text: str, memory: bytes) -> None:
    assert siphash.str_hash(text) == siphash.bytes_hash(memory)


def test_minus_one_is_minus_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siphash, "_unsigned", lambda data: (1 << 64) - 1)
    assert siphash.bytes_hash(b"x") == -2
