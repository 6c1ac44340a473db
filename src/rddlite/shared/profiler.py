"""Profilers: what tasks do with their time, and with their memory, added up by accumulators for one RDD each.

On the driver a profiler shows what its jobs added; in a task it runs the work of the task and adds what it saw. Which
RDD has which profiler is the business of `api/profiles.py`.
"""

from __future__ import annotations

import cProfile
import linecache
import os
import pstats
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rddlite.shared.accumulator import AccumulatorParam
from rddlite.shared.linememory import LineMemory, WatchedLines, codes_of, merged

if TYPE_CHECKING:
    from rddlite.shared.accumulator import Accumulator

_RULE = "=" * 60


class Profiler:
    """What a profiler has to have. Subclass it, or `BasicProfiler`, and give the class to the context (`profiler_cls`).

    It travels to tasks, so it must not keep the context that it is made with; what it keeps of it are accumulators.

    >>> class Quiet(BasicProfiler):
    ...     def show(self, id):
    ...         print(f"RDD {id}: {self.stats().total_calls > 0}")
    >>> context = Context("local[2]", conf={"profile": True}, profiler_cls=Quiet)  # doctest: +SKIP
    """

    def __init__(self, ctx: Any) -> None:
        """`ctx` makes the accumulators."""

    def profile(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In a task: the result of `func(*args, **kwargs)`, after adding what was seen of it."""
        raise NotImplementedError(f"{type(self).__name__} must define profile(func, *args, **kwargs)")

    def stats(self) -> Any:
        """On the driver: what tasks added, or None."""
        raise NotImplementedError(f"{type(self).__name__} must define stats()")

    def show(self, id: int) -> None:  # noqa: A002 - PySpark's name
        """Print it; `id` is that of the RDD."""
        raise NotImplementedError(f"{type(self).__name__} must define show(id)")

    def dump(self, id: int, path: str) -> None:  # noqa: A002 - PySpark's name
        """Write it to a file in the directory `path`."""
        raise NotImplementedError(f"{type(self).__name__} must define dump(id, path)")


class PStatsParam(AccumulatorParam[Any]):
    """Adds up profiles of `cProfile`."""

    def zero(self, value: Any) -> None:
        """No profile."""

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        """Both together."""
        if value1 is None:
            return value2
        return value1 if value2 is None else value1.add(value2)


class MemUsageParam(AccumulatorParam[Any]):
    """Adds up memory by lines."""

    def zero(self, value: Any) -> LineMemory:
        """No line."""
        return {}

    def addInPlace(self, value1: LineMemory, value2: LineMemory) -> LineMemory:
        """Both together."""
        return merged(value1, value2)


class BasicProfiler(Profiler):
    """Where tasks spend their time, by `cProfile`: calls and seconds of each function. The default.

    >>> profiler = BasicProfiler(sc)
    >>> profiler.profile(sorted, [2, 1])
    [1, 2]
    >>> profiler.stats().total_calls > 0
    True
    """

    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        self._accumulator: Accumulator[Any] = ctx.accumulator(None, PStatsParam())

    def profile(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of the function; calls in its own thread are counted and timed."""
        profile = cProfile.Profile()
        result = profile.runcall(func, *args, **kwargs)
        stats = pstats.Stats(profile)
        stats.stream = None  # type: ignore[attr-defined]  # which could not travel; means stdout where it is printed
        self._accumulator.add(stats.strip_dirs())
        return result

    def stats(self) -> pstats.Stats | None:
        """What tasks added, or None."""
        found: pstats.Stats | None = self._accumulator.value
        return found

    def show(self, id: int) -> None:  # noqa: A002
        """Print functions by the time that they took themselves."""
        stats = self.stats()
        if stats is not None:
            print(f"{_RULE}\nProfile of RDD<id={id}>\n{_RULE}")
            stats.sort_stats("time", "cumulative").print_stats()

    def dump(self, id: int, path: str) -> None:  # noqa: A002
        """Write `rdd_<id>.pstats`, for the module `pstats` and what reads its files."""
        stats = self.stats()
        if stats is not None:
            os.makedirs(path, exist_ok=True)
            stats.dump_stats(os.path.join(path, f"rdd_{id}.pstats"))


class MemoryProfiler(Profiler):
    """By how much the memory of workers grew at each line of the functions that were given to RDDs.

    What one line frees another may take again without growth, so small numbers mean little. Tasks are much slower.

    >>> profiler = MemoryProfiler(sc)
    >>> profiler.profile(sorted, [2, 1])
    [1, 2]
    >>> profiler.stats()
    {}
    """

    _watches_functions: ClassVar[bool] = True

    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        self._accumulator: Accumulator[Any] = ctx.accumulator({}, MemUsageParam())

    def profile(
        self, func: Callable[..., Any], *args: Any, functions: Sequence[Any] | None = None, **kwargs: Any
    ) -> Any:
        """The result of `func(*args, **kwargs)`; the lines of `functions` are watched, of `func` if there are none."""
        watched = WatchedLines(codes_of([func] if functions is None else functions))
        with watched:
            result = func(*args, **kwargs)
        self._accumulator.add(watched.found)
        return result

    def stats(self) -> LineMemory:
        """What tasks added: by file and line, the growth and the most in MiB, and how often the line ran."""
        found: LineMemory = self._accumulator.value
        return found

    def show(self, id: int) -> None:  # noqa: A002
        """Print the functions' lines with what was seen of them."""
        if self.stats():
            print(f"{_RULE}\nProfile of RDD<id={id}>\n{_RULE}\n{self._table()}")

    def dump(self, id: int, path: str) -> None:  # noqa: A002
        """Write the same to `rdd_<id>_memory.txt`."""
        if self.stats():
            os.makedirs(path, exist_ok=True)
            with open(os.path.join(path, f"rdd_{id}_memory.txt"), "w", encoding="utf-8") as file:
                file.write(self._table())

    def _table(self) -> str:
        parts = []
        for name, lines in self.stats().items():
            header = f"{'Line #':>6} {'Mem usage':>12} {'Increment':>12}  {'Occurrences':>11}   Line Contents"
            parts.append(f"Filename: {name}\n\n{header}\n{'=' * len(header)}\n")
            for line in sorted(lines):
                grown, most, times = lines[line]
                text = linecache.getline(name, line).rstrip("\n")
                parts.append(f"{line:>6} {most:>8.1f} MiB {grown:>8.1f} MiB  {times:>11}   {text}\n")
            parts.append("\n\n")
        return "".join(parts)
