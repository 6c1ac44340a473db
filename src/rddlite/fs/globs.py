"""Input patterns as text: comma lists, braces and globs, read as Hadoop reads them.

Pure: knows nothing of files. A backslash takes the meaning from the character after it. Callers: `fs/listing.py` and
`fs/paths.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rddlite.errors import UsageError

_GLOB = frozenset("*?[")


def split_list(paths: str) -> list[str]:
    """The elements of a comma list. Commas inside braces, and after a backslash, do not separate.

    >>> split_list("a,b{1,2},c")
    ['a', 'b{1,2}', 'c']

    Raises:
        UsageError: for an empty element, and for braces that do not match.
    """
    elements, depth, begin = [], 0, 0
    for i, char in _plain(paths):
        depth += _turn(char)
        if depth < 0:
            break
        if char == "," and depth == 0:
            elements.append(paths[begin:i])
            begin = i + 1
    if depth:
        raise UsageError(f"braces do not match in {paths!r}")
    elements.append(paths[begin:])
    if not all(elements):
        raise UsageError(f"empty path in {paths!r}")
    return elements


def expand_braces(pattern: str) -> list[str]:
    """Every pattern that the alternatives in braces stand for, in the order written.

    >>> expand_braces("a{b,c{d,e}}f")
    ['abf', 'acdf', 'acef']
    """
    group = _first_group(pattern)
    if group is None:
        return [pattern]
    begin, end = group
    head, inner, tail = pattern[:begin], pattern[begin + 1 : end], pattern[end + 1 :]
    return [
        head + middle + rest
        for alternative in _alternatives(inner)
        for middle in expand_braces(alternative)
        for rest in expand_braces(tail)
    ]


def has_glob(text: str) -> bool:
    """Whether `*`, `?` or `[` stands in it unescaped."""
    return any(char in _GLOB for _, char in _plain(text))


def unescape(text: str) -> str:
    """The name that a part without wildcards stands for."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def escape(text: str) -> str:
    """The pattern that stands for this text alone; the inverse of `unescape`."""
    return re.sub(r"([*?\[\]{},\\])", r"\\\1", text)


def compile_part(part: str) -> re.Pattern[str]:
    """What one part of a pattern, between slashes, matches.

    Raises:
        UsageError: if a character class is not closed or makes no sense.
    """
    pieces, i = [], 0
    while i < len(part):
        char = part[i]
        if char == "\\" and i + 1 < len(part):
            pieces.append(re.escape(part[i + 1]))
            i += 2
        elif char == "[":
            text, i = _character_class(part, i)
            pieces.append(text)
        else:
            pieces.append({"*": ".*", "?": "."}.get(char) or re.escape(char))
            i += 1
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise UsageError(f"the pattern {part!r} cannot be read: {error}") from error


def _plain(text: str) -> Iterator[tuple[int, str]]:
    """Index and character of everything that is not escaped."""
    escaped = False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            yield i, char


def _turn(char: str) -> int:
    return (char == "{") - (char == "}")


def _first_group(pattern: str) -> tuple[int, int] | None:
    """Where the first pair of outer braces opens and closes."""
    depth, begin = 0, 0
    for i, char in _plain(pattern):
        if char == "{" and depth == 0:
            begin = i
        depth += _turn(char)
        if char == "}" and depth == 0:
            return begin, i
    return None


def _alternatives(inner: str) -> list[str]:
    elements, depth, begin = [], 0, 0
    for i, char in _plain(inner):
        depth += _turn(char)
        if char == "," and depth == 0:
            elements.append(inner[begin:i])
            begin = i + 1
    return [*elements, inner[begin:]]


def _character_class(part: str, at: int) -> tuple[str, int]:
    """The regular expression of the class that opens at `at`, and the index behind it."""
    i = at + 1
    negated = part[i : i + 1] in ("!", "^")
    if negated:
        i += 1
    members, first = "", i
    while i < len(part):
        char = part[i]
        if char == "]" and i > first:
            return f"[{'^' if negated else ''}{members}]", i + 1
        if char == "\\" and i + 1 < len(part):
            i += 1
            char = part[i]
            members += re.escape(char)
        else:
            members += char if char == "-" else re.escape(char)
        i += 1
    raise UsageError(f"'[' is not closed in the pattern {part!r}")
