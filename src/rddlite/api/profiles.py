"""Which RDD has which profilers, and what the context says of them. Costs nothing while no profile is asked for."""

from __future__ import annotations

import atexit
import os
from typing import Any

from rddlite.api.arguments import text
from rddlite.api.sharedvars import SharedVariables
from rddlite.base.callsite import call_site
from rddlite.errors import ProfilingOff
from rddlite.serde.closures import dumps
from rddlite.shared.profiler import BasicProfiler, MemoryProfiler, Profiler


class ProfilerCollector:
    """The profilers of a context: `profilers` is a list of `[id of the RDD, profiler, whether it was shown]`."""

    def __init__(self, classes: list[type[Profiler]], dump_path: str | None) -> None:
        self.profilers: list[list[Any]] = []
        self._classes = classes
        self._dump_path = dump_path
        self._is_awaited = False

    def profilers_of(self, rdd: int, context: Any) -> list[Profiler]:
        """Those of one RDD, which are made at its first job."""
        known = [profiler for number, profiler, _ in self.profilers if number == rdd]
        if not known:
            known = [made(context) for made in self._classes]
            for profiler in known:
                self.add_profiler(rdd, profiler)
        return known

    def add_profiler(self, id: int, profiler: Profiler) -> None:  # noqa: A002 - PySpark's name
        """Keep one more. What is kept at the end of the program is shown then, or dumped."""
        self.profilers.append([id, profiler, False])
        if not self._is_awaited:
            self._is_awaited = True
            atexit.register(self._at_exit, os.getpid())

    def show_profiles(self) -> None:
        """Print those that were not shown yet."""
        for each in self.profilers:
            if not each[2]:
                each[1].show(each[0])
                each[2] = True

    def dump_profiles(self, path: str) -> None:
        """Write all into a directory, and begin anew."""
        dumped, self.profilers = self.profilers, []
        for number, profiler, _ in dumped:
            profiler.dump(number, path)

    def _at_exit(self, pid: int) -> None:
        if pid != os.getpid():
            return
        if self._dump_path:
            self.dump_profiles(self._dump_path)
        else:
            self.show_profiles()


class Profiles(SharedVariables):
    """The mixin of `Context` for profiles of its tasks."""

    _collector: ProfilerCollector | None = None

    def _profile_tasks(self, profiler: type[Profiler] | None, memory: type[Profiler] | None) -> None:
        """Begin to profile, where settings ask for it."""
        classes = []
        if self._settings["profile"]:
            classes.append(profiler or BasicProfiler)
        if self._settings["profile.memory"]:
            classes.append(memory or MemoryProfiler)
        if classes:
            self._collector = ProfilerCollector(classes, self._settings["profile.dump"])

    def _profilers_of(self, rdd: int) -> bytes:
        return b"" if self._collector is None else dumps(self._collector.profilers_of(rdd, self))

    @property
    def profiler_collector(self) -> ProfilerCollector | None:
        """The profilers of RDDs; None where nothing is profiled.

        >>> sc.profiler_collector is None
        True
        """
        return self._collector

    def show_profiles(self) -> None:
        """Print the profiles of all RDDs on which actions ran since this was called last.

        A profile holds all stages that jobs of the RDD ran. Those that were never shown nor dumped are shown at the end
        of the program; with the setting `profile.dump`, they are written into that directory then.

        Raises:
            ProfilingOff: where neither `profile` nor `profile.memory` is set.

        >>> sc.show_profiles()
        Traceback (most recent call last):
        rddlite.errors.ProfilingOff: show_profiles...
        """
        self._profiled("show_profiles").show_profiles()

    def dump_profiles(self, path: str | os.PathLike[str]) -> None:
        """Write the profiles of all RDDs into a directory, `rdd_<id>.pstats` each, and forget them.

        Raises:
            ProfilingOff: where neither `profile` nor `profile.memory` is set.

        >>> sc.dump_profiles("profiles")
        Traceback (most recent call last):
        rddlite.errors.ProfilingOff: dump_profiles...
        """
        collector = self._profiled("dump_profiles")
        collector.dump_profiles(text(os.fspath(path), call_site("dump_profiles"), "path"))

    def _profiled(self, method: str) -> ProfilerCollector:
        if self._collector is None:
            raise ProfilingOff(
                f"{method}: nothing is profiled: set spark.python.profile (or profile) to true before the context is "
                "made, or spark.python.profile.memory (profile.memory)"
            )
        return self._collector
