from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import UsageError
from rddlite.fs.globs import compile_part, escape, expand_braces, has_glob, split_list, unescape


@pytest.mark.parametrize(
    ("paths", "elements"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a{b,c},d", ["a{b,c}", "d"]),
        ("a{b,{c,d}},e", ["a{b,{c,d}}", "e"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        (r"a\{b,c", [r"a\{b", "c"]),
    ],
)
def test_a_comma_list_is_cut_outside_braces(paths: str, elements: list[str]) -> None:
    assert split_list(paths) == elements


@pytest.mark.parametrize("paths", ["", "a,,b", "a,", ",a", "a{b", "a}b", "a}b{c"])
def test_empty_elements_and_stray_braces_are_refused(paths: str) -> None:
    with pytest.raises(UsageError):
        split_list(paths)


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("a", ["a"]),
        ("a{b,c}", ["ab", "ac"]),
        ("{a,b}{c,d}", ["ac", "ad", "bc", "bd"]),
        ("a{b,c{d,e}}f", ["abf", "acdf", "acef"]),
        ("a{b/c,d}e", ["ab/ce", "ade"]),
        ("a{,b}", ["a", "ab"]),
        (r"a\{b,c\}", [r"a\{b,c\}"]),
    ],
)
def test_braces_stand_for_each_alternative(pattern: str, expanded: list[str]) -> None:
    assert expand_braces(pattern) == expanded


@pytest.mark.parametrize(
    ("part", "matching", "other"),
    [
        ("*", ["", "a", "a.b"], []),
        ("a*.txt", ["a.txt", "ab.txt"], ["b.txt", "a.txtx"]),
        ("a?c", ["abc", "a?c"], ["ac", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
        ("[^a-c]x", ["dx"], ["ax"]),
        ("[!a-c]x", ["dx"], ["ax"]),
        ("[]a]x", ["]x", "ax"], ["bx"]),
        ("[a^]x", ["^x", "ax"], ["bx"]),
        (r"\*x", ["*x"], ["ax"]),
        (r"[\]]x", ["]x"], ["\\x"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_wildcards(part: str, matching: list[str], other: list[str]) -> None:
    pattern = compile_part(part)
    assert [name for name in [*matching, *other] if pattern.fullmatch(name)] == matching


@pytest.mark.parametrize("part", ["[", "a[b", "[z-a]"])
def test_a_character_class_must_make_sense(part: str) -> None:
    with pytest.raises(UsageError):
        compile_part(part)


@given(st.text())
def test_an_escaped_name_means_itself(name: str) -> None:
    pattern = escape(name)
    assert not has_glob(pattern)
    assert unescape(pattern) == name
    assert expand_braces(pattern) == [pattern]
    assert compile_part(pattern).fullmatch(name)
