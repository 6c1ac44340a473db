"""How the memory of a process grows line by line of chosen functions, for the thread that runs them.

Owns the trace function that reads the resident size between lines. Knows nothing of tasks. Slow by its nature: every
line of a watched function costs a system call, and every other call of Python code a little.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, TracebackType
from typing import Any

LineMemory = dict[str, dict[int, tuple[float, float, int]]]
"""By file and line: by how much the memory grew there, the most it was after it (both MiB), and how often it ran."""

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PAGE = os.sysconf("SC_PAGESIZE") / (1 << 20)


def merged(one: LineMemory, other: LineMemory) -> LineMemory:
    """Both together; `one` is changed and returned."""
    for file, lines in other.items():
        known = one.setdefault(file, {})
        for line, (grown, most, times) in lines.items():
            before = known.get(line, (0.0, 0.0, 0))
            known[line] = (before[0] + grown, max(before[1], most), before[2] + times)
    return one


def codes_of(functions: Iterable[Any]) -> set[CodeType]:
    """The code of functions of the user's, also where they are wrapped in others, and of what is defined in them."""
    todo, found = list(functions), set()
    while todo:
        each = todo.pop()
        if isinstance(each, functools.partial):
            todo += [each.func, *each.args, *each.keywords.values()]
        elif isinstance(each, CodeType):
            if each not in found and not each.co_filename.startswith(_OURS):
                found.add(each)
                todo += [const for const in each.co_consts if isinstance(const, CodeType)]
        else:
            function = getattr(each, "__func__", each)
            code = getattr(function, "__code__", None) or getattr(type(each).__call__, "__code__", None)
            if code is not None:
                todo.append(code)
            if hasattr(each, "__wrapped__"):
                todo.append(each.__wrapped__)
    return found


class WatchedLines:
    """While it is entered, lines of these codes are watched in this thread."""

    def __init__(self, codes: set[CodeType]) -> None:
        self.found: LineMemory = {}
        self._codes = codes
        self._statm = -1
        self._before: Any = None

    def __enter__(self) -> WatchedLines:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sys.settrace(self._before)
        os.close(self._statm)

    def _resident(self) -> float:
        return int(os.pread(self._statm, 64, 0).split()[1]) * _PAGE

    def _called(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        if event != "call" or frame.f_code not in self._codes:
            return None
        lines = self.found.setdefault(frame.f_code.co_filename, {})
        at, size = 0, self._resident()

        def step(frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
            nonlocal at, size
            if event in ("line", "return"):
                now = self._resident()
                if at:
                    grown, most, times = lines.get(at, (0.0, 0.0, 0))
                    lines[at] = (grown + now - size, max(most, now), times + 1)
                at, size = frame.f_lineno, now
            return step

        return step
