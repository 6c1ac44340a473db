"""The text of the progress bar: jobs to one line that fits. Pure; `progress` writes it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rddlite.base.units import show_count, show_seconds
from rddlite.observe.summaries import JobSummary, StageSummary

_LONGEST_BAR = 30
_SHORTEST_BAR = 8
_SHORTEST_NAME = 12
_STILL_ACTIVE = ("running", "waiting")


def bar_line(jobs: Sequence[JobSummary], width: int | None, *, unicode: bool = True) -> str:
    """How the oldest of `jobs` (at least one) stands, and how many others there are.

    At most `width` columns: the bar goes first, then the end of the name, then what is least needed. None means that
    there is no limit, and no bar either.
    """
    job, others = jobs[0], len(jobs) - 1
    more = f" (+{others} more)" if others else ""
    name = _one_line(f"job {job.id} {job.description}")
    facts = _facts(job)
    if width is None:
        return f"{name}{more}: {', '.join(facts)}"
    while len(facts) > 2 and display_width(", ".join(facts) + more) + 2 + _SHORTEST_NAME > width:
        facts.pop(-2)
    tail = f"{more}  {', '.join(facts)}"
    room = width - display_width(tail)
    bar_size = min(_LONGEST_BAR, room - display_width(name) - 2)
    if bar_size >= _SHORTEST_BAR:
        done, tasks = _counts(job)
        return f"{name}  {bar(done, tasks, bar_size, unicode=unicode)}{tail}"
    return clip(clip(name, max(0, room)) + tail, width)


def bar(done: int, total: int, size: int, *, unicode: bool = True) -> str:
    """A bar of `size` columns.

    >>> bar(1, 2, 8, unicode=False)
    '####----'
    """
    filled = size * min(done, total) // total if total > 0 else 0
    full, empty = ("━", "─") if unicode else ("#", "-")
    return full * filled + empty * (size - filled)


def display_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def clip(text: str, width: int) -> str:
    """The beginning of the text that fits into `width` columns, marked where something is missing."""
    if display_width(text) <= width:
        return text
    room = width - 3
    if room < 1:
        return "." * max(0, width)
    kept = []
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "..."


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def _active(job: JobSummary) -> list[StageSummary]:
    return [stage for stage in job.stages if stage.state in _STILL_ACTIVE]


def _counts(job: JobSummary) -> tuple[int, int]:
    """Tasks done and in all, of the stages that are active."""
    active = _active(job)
    return sum(stage.done for stage in active), sum(stage.tasks for stage in active)


def _facts(job: JobSummary) -> list[str]:
    """Most needed first, but for the time, which is last and always there."""
    active = _active(job)
    over = len(job.stages) - len(active)
    done, tasks = _counts(job)
    running = sum(stage.running for stage in active)
    seconds = max((stage.seconds for stage in active), default=0.0)
    facts = [f"stage {min(over + 1, job.n_stages)} of {job.n_stages}: {done}/{tasks} tasks"]
    missing = sum(stage.slots_missing for stage in active)
    if missing:
        facts.append(f"waits for {show_count(missing)} more slot{'' if missing == 1 else 's'} (barrier)")
    troubles = [("failed", job.failed), ("lost", job.lost)]
    facts += [f"{show_count(n)} {trouble}" for trouble, n in troubles if n]
    if running:
        facts.append(f"{show_count(running)} under way")
    if done and seconds > 0:
        facts.append(_rate(done / seconds))
    return [*facts, show_seconds(job.seconds)]


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{show_count(round(per_second))}/s"
    return f"{60 * per_second:.1f}/min"
