"""What is known of a job and its stages, as frozen values that print themselves.

Made by `StatusStore`; shown by the progress bar, by `sc.jobs()` and by whoever prints them. Sizes are bytes, times
seconds. Of each task only the first accepted attempt counts in records, bytes and times: reruns do not change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rddlite.base.hotkeys import HotKey
from rddlite.base.ids import JobId, StageId
from rddlite.base.units import show_bytes, show_count, show_seconds

JobState = Literal["running", "succeeded", "failed", "cancelled"]
StageState = Literal["running", "waiting", "done", "skipped", "failed", "cancelled"]
StageKind = Literal["map", "result"]


@dataclass(frozen=True, slots=True)
class StageSummary:
    """One stage of one job. A `skipped` stage had been computed before, or was by another job meanwhile.

    `done` counts tasks; `attempts` is what was launched, `running` what of it has not ended (and may still wait in an
    executor's queue), `failed` what ended by itself without success, `lost` how many attempts and finished outputs went
    away with their executor or were found damaged, `copied` how many attempts began beside a slow one of their task,
    `outdated` how many began again because what they were told of their inputs was true no more. A
    partition's size is what its task read, from sources and shuffles together. `remote_bytes_read` is what of the
    shuffle came from other hosts, for which its tasks waited `fetch_wait_seconds` in all. Of cached
    partitions `cache_hits` were read where they are kept, `cache_stored` kept anew, `cache_refused` found no room, and
    `cache_evicted` had to make some. `hottest_keys` are those of the shuffle that it wrote, estimated from a sample
    and without those of less than 1 % (nothing is known of them where map tasks combine by key);
    `slots_missing` is how many more a barrier stage waits for.
    `is_skewed_by_key` says that the hottest one alone makes its partition twice as large as they are on average.
    """

    id: StageId
    kind: StageKind
    label: str
    state: StageState
    tasks: int = 0
    done: int = 0
    running: int = 0
    attempts: int = 0
    failed: int = 0
    lost: int = 0
    copied: int = 0
    outdated: int = 0
    slots_missing: int = 0
    seconds: float = 0.0
    records_read: int = 0
    bytes_read: int = 0
    shuffle_records_read: int = 0
    shuffle_bytes_read: int = 0
    shuffle_records_written: int = 0
    shuffle_bytes_written: int = 0
    records_written: int = 0
    bytes_written: int = 0
    spilled: int = 0
    spill_runs: int = 0
    spilled_by: str = ""
    cache_hits: int = 0
    cache_stored: int = 0
    cache_bytes: int = 0
    cache_bytes_pickled: int = 0
    cache_refused: int = 0
    cache_evicted: int = 0
    remote_bytes_read: int = 0
    fetch_wait_seconds: float = 0.0
    slowest_seconds: float = 0.0
    slowest_task: int | None = None
    median_seconds: float = 0.0
    largest_partition_bytes: int = 0
    median_partition_bytes: int = 0
    largest_partition_records: int = 0
    median_partition_records: int = 0
    peak_memory: int = 0
    hottest_keys: tuple[HotKey, ...] = ()
    is_skewed_by_key: bool = False

    def __str__(self) -> str:
        tasks = f", {_times(self.tasks, 'task')}" if self.tasks else ""
        seconds = "" if self.state == "skipped" else f" in {show_seconds(self.seconds)}"
        facts = "".join(f", {fact}" for fact in _facts(self))
        return f"stage {self.id} ({self.kind} {self.label}): {self.state}{seconds}{tasks}{facts}"


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job. `stages` are those that were needed, in the order in which that was found out.

    `n_stages` is how many have to run or be skipped in all, as far as known; `why` says how a job that did not
    succeed ended.
    """

    id: JobId
    description: str
    group: str | None
    state: JobState
    seconds: float
    stages: tuple[StageSummary, ...]
    n_stages: int
    why: str | None = None

    @property
    def tasks(self) -> int:
        """Tasks of the stages that this job ran."""
        return sum(stage.tasks for stage in self.stages)

    @property
    def attempts(self) -> int:
        """Attempts launched for these tasks."""
        return sum(stage.attempts for stage in self.stages)

    @property
    def failed(self) -> int:
        """Attempts that ended by themselves without success."""
        return sum(stage.failed for stage in self.stages)

    @property
    def lost(self) -> int:
        """Attempts and finished outputs that went away with their executor or were found damaged."""
        return sum(stage.lost for stage in self.stages)

    @property
    def copied(self) -> int:
        """Attempts started beside a slow one of the same task."""
        return sum(stage.copied for stage in self.stages)

    @property
    def outdated(self) -> int:
        """Attempts that began again because their inputs were elsewhere by then, or are to be computed again."""
        return sum(stage.outdated for stage in self.stages)

    @property
    def records_read(self) -> int:
        """Records from sources."""
        return sum(stage.records_read for stage in self.stages)

    @property
    def bytes_read(self) -> int:
        """Bytes from sources."""
        return sum(stage.bytes_read for stage in self.stages)

    @property
    def shuffle_bytes_read(self) -> int:
        """Bytes of map outputs read."""
        return sum(stage.shuffle_bytes_read for stage in self.stages)

    @property
    def shuffle_records_read(self) -> int:
        """Records of map outputs read."""
        return sum(stage.shuffle_records_read for stage in self.stages)

    @property
    def shuffle_bytes_written(self) -> int:
        """Bytes of map outputs written."""
        return sum(stage.shuffle_bytes_written for stage in self.stages)

    @property
    def shuffle_records_written(self) -> int:
        """Records of map outputs written."""
        return sum(stage.shuffle_records_written for stage in self.stages)

    @property
    def records_written(self) -> int:
        """Records saved to files."""
        return sum(stage.records_written for stage in self.stages)

    @property
    def bytes_written(self) -> int:
        """Bytes saved to files."""
        return sum(stage.bytes_written for stage in self.stages)

    @property
    def remote_bytes_read(self) -> int:
        """Bytes of map outputs that came from other hosts."""
        return sum(stage.remote_bytes_read for stage in self.stages)

    @property
    def fetch_wait_seconds(self) -> float:
        """How long tasks waited for map outputs of other hosts, in all."""
        return sum(stage.fetch_wait_seconds for stage in self.stages)

    @property
    def spilled(self) -> int:
        """Bytes written to disk because memory was short."""
        return sum(stage.spilled for stage in self.stages)

    @property
    def spill_runs(self) -> int:
        """How often tasks wrote to disk because memory was short."""
        return sum(stage.spill_runs for stage in self.stages)

    @property
    def spilled_by(self) -> str:
        """Which operations did, in the order of their stages."""
        return "; ".join(dict.fromkeys(name for stage in self.stages for name in stage.spilled_by.split("; ") if name))

    @property
    def peak_memory(self) -> int:
        """Largest resident size of a worker while it ran one of these tasks."""
        return max((stage.peak_memory for stage in self.stages), default=0)

    @property
    def most_skewed(self) -> StageSummary | None:
        """The stage whose slowest task stands out most against its median."""
        ran = [stage for stage in self.stages if stage.slowest_seconds > 0]
        return max(ran, key=lambda stage: stage.slowest_seconds - stage.median_seconds, default=None)

    def line(self) -> str:
        """One line: how long, read, shuffled, slowest against median."""
        how = "" if self.state in ("succeeded", "running") else f"{self.state} after "
        skewed = self.most_skewed
        facts = [f"{how}{show_seconds(self.seconds)}", *_facts(self)]
        if skewed is not None and skewed.tasks > 1:
            facts.append(
                f"slowest {show_seconds(skewed.slowest_seconds)} vs median {show_seconds(skewed.median_seconds)}"
            )
        return f"job {self.id} {self.description}: {', '.join(facts)}"

    def __str__(self) -> str:
        why = [f"  {self.state}: {self.why}"] if self.why else []
        return "\n".join([self.line(), *why, *_table(self.stages)])


def _facts(what: JobSummary | StageSummary) -> list[str]:
    facts = []
    if what.bytes_read:
        facts.append(f"read {show_bytes(what.bytes_read)}")
    elif what.records_read:
        facts.append(f"read {_times(what.records_read, 'record')}")
    if what.shuffle_bytes_written:
        facts.append(f"shuffled {show_bytes(what.shuffle_bytes_written)}")
    if what.remote_bytes_read:
        waited = show_seconds(what.fetch_wait_seconds)
        facts.append(f"fetched {show_bytes(what.remote_bytes_read)} from other hosts (tasks waited {waited} for it)")
    if what.bytes_written:
        facts.append(f"wrote {show_bytes(what.bytes_written)}")
    stages = what.stages if isinstance(what, JobSummary) else (what,)
    facts += _cache_facts(stages)
    facts += [_hottest(stage) for stage in stages if stage.is_skewed_by_key]
    if what.spilled:
        facts.append(f"spilled {show_bytes(what.spilled)} in {_times(what.spill_runs, 'run')} ({what.spilled_by})")
    if what.failed:
        facts.append(f"{_times(what.failed, 'attempt')} failed")
    if what.lost:
        facts.append(f"{show_count(what.lost)} lost")
    if what.copied:
        facts.append(f"{_times(what.copied, 'slow attempt')} copied")
    if what.outdated:
        facts.append(f"inputs of {_times(what.outdated, 'attempt')} were elsewhere by then")
    return facts


def _cache_facts(stages: tuple[StageSummary, ...]) -> list[str]:
    hits = sum(stage.cache_hits for stage in stages)
    stored = sum(stage.cache_stored for stage in stages)
    refused = sum(stage.cache_refused for stage in stages)
    evicted = sum(stage.cache_evicted for stage in stages)
    facts = [f"read {_times(hits, 'cached partition')}"] if hits else []
    if stored:
        size = show_bytes(sum(stage.cache_bytes for stage in stages))
        facts.append(f"cached {_times(stored, 'partition')} ({size})")
    if refused:
        facts.append(f"no room for {_times(refused, 'partition')} to cache, {show_count(evicted)} evicted")
    elif evicted:
        facts.append(f"evicted {_times(evicted, 'cached partition')}")
    return facts


def _hottest(stage: StageSummary) -> str:
    return f"hottest keys of stage {stage.id}: {', '.join(map(str, stage.hottest_keys[:_SHOWN_KEYS]))}"


def _times(n: int, what: str) -> str:
    return f"{show_count(n)} {what}" if n == 1 else f"{show_count(n)} {what}s"


_SHOWN_KEYS = 3
_HEADINGS = ("stage", "tasks", "time", "read", "shuffle read", "shuffled", "slowest / median task",
             "largest / median partition", "memory", "")  # fmt: skip


def _table(stages: tuple[StageSummary, ...]) -> list[str]:
    rows = [_HEADINGS, *map(_row, stages)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  " + "  ".join(cell if i == last else cell.rjust(widths[i]) for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _row(stage: StageSummary) -> tuple[str, ...]:
    name = f"{stage.kind}: {stage.label}"
    if stage.state == "skipped":
        return (str(stage.id), "skipped", *[""] * (len(_HEADINGS) - 3), name)
    tasks = show_count(stage.tasks) if stage.done >= stage.tasks else f"{stage.done}/{stage.tasks}"
    again = f" (+{stage.attempts - stage.tasks})" if stage.attempts > stage.tasks else ""
    return (
        str(stage.id),
        tasks + again,
        show_seconds(stage.seconds),
        _volume(stage.bytes_read, stage.records_read),
        _volume(stage.shuffle_bytes_read, stage.shuffle_records_read),
        _volume(stage.shuffle_bytes_written, stage.shuffle_records_written),
        f"{show_seconds(stage.slowest_seconds)} / {show_seconds(stage.median_seconds)}",
        _partitions(stage),
        show_bytes(stage.peak_memory) if stage.peak_memory else "",
        name if stage.state == "done" else f"{name} ({stage.state})",
    )


def _volume(size: int, records: int) -> str:
    if size:
        return show_bytes(size)
    return _times(records, "record") if records else ""


def _partitions(stage: StageSummary) -> str:
    facts = []
    if stage.largest_partition_bytes:
        facts.append(f"{show_bytes(stage.largest_partition_bytes)} / {show_bytes(stage.median_partition_bytes)}")
    if stage.largest_partition_records:
        records = f"{show_count(stage.largest_partition_records)} / {show_count(stage.median_partition_records)}"
        facts.append(f"{records} records")
    return ", ".join(facts)
