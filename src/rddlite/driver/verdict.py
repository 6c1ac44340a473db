"""Why a job ended, as the exception that its user sees: their own traceback first, then one line on where it was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rddlite.base.ids import JobId
from rddlite.base.outcome import (
    FetchFailed,
    Killed,
    OutOfMemory,
    Raised,
    Success,
    TaskOutcome,
    WorkerDied,
    assert_never,
)
from rddlite.base.signals import signal_name
from rddlite.base.units import show_bytes, show_seconds
from rddlite.errors import (
    JobCancelled,
    JobError,
    JobFailed,
    NoExecutors,
    ResultTooLarge,
    WorkerCrashed,
)
from rddlite.errors import OutOfMemory as OutOfMemoryError
from rddlite.schedule.commands import (
    Cancelled,
    GangGaveUp,
    JobCause,
    NoExecutorsLeft,
    StageGaveUp,
    TaskFailedForGood,
    TooFewSlots,
)
from rddlite.serde.failure import is_user_frame, restore

_DUMPED_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line \d+ in ')
"""A line of what `faulthandler` writes."""


def verdict(job_id: JobId, cause: JobCause, join_command: str | None = None) -> Exception:
    """The exception for the end of a job; `join_command` starts an executor that joins, where any may."""
    match cause:
        case Cancelled(why):
            return JobCancelled(f"job {job_id} was cancelled: {why}")
        case NoExecutorsLeft(waited, chain):
            since = f" for {show_seconds(waited)}" if waited else ", and none will come"
            advice = [] if join_command and not chain else ["see the executors' own output for why they ended"]
            if join_command:
                advice.append(f"executors join with\n  {join_command}")
            return NoExecutors("\n".join([f"job {job_id} had no executor to run on{since}{_listed(chain)}", *advice]))
        case StageGaveUp(stage, label, _, chain):
            return JobFailed(
                f"stage {stage} ({label}) lost its inputs {len(chain)} times in a row without progress"
                f"{_listed(chain)}\nsee the output of these executors; stage.maxAttempts lets it try more often",
                job_id=job_id,
                stage=label,
            )
        case TooFewSlots():
            return _too_few_slots(job_id, cause, join_command)
        case GangGaveUp(stage, label, reasons):
            return JobFailed(
                f"barrier stage {stage} ({label}) was broken off {len(reasons)} times: its tasks run all together or "
                f"not at all{_listed(reasons)}\nstage.maxAttempts lets it try more often",
                job_id=job_id,
                stage=label,
            )
        case TaskFailedForGood():
            return _task_failed(job_id, cause)
    assert_never(cause)


def _too_few_slots(job_id: JobId, cause: TooFewSlots, join_command: str | None) -> JobFailed:
    waited = f" for {show_seconds(cause.waited)} (barrier.slotsTimeout)" if cause.waited else ""
    there = f"there were {cause.there}{waited}" if waited else f"this master has {cause.there}"
    advice = (
        f"use at most {cause.there} partitions (repartition({max(1, cause.there)}) before barrier()), or a master with "
        f"{cause.needed} slots or more"
    )
    if join_command:
        advice += f"; executors join with\n  {join_command}"
    return JobFailed(
        f"barrier stage {cause.stage} ({cause.label}) needs {cause.needed} slots, one for each of its tasks, as they "
        f"run all at once; {there}: {advice}",
        job_id=job_id,
        stage=cause.label,
    )


def _listed(reasons: Sequence[object]) -> str:
    """One line for each, in the order in which they came."""
    return ":" + "".join(f"\n  {reason}" for reason in reasons) if reasons else ""


def _task_failed(job_id: JobId, cause: TaskFailedForGood) -> JobError:
    text, error = _what_happened(cause.outcome)
    if isinstance(error, ResultTooLarge):
        return error  # found out by a task or by the driver, it is the same error
    where = (
        f"stage {cause.stage} ({cause.label}), partition {cause.index}, host {cause.host}, "
        f"executor {cause.executor}, attempt {cause.number + 1}"
    )
    note = f" ({cause.note})" if cause.note else ""
    failure = cause.outcome.failure if isinstance(cause.outcome, Raised) else None
    failed = JobFailed(
        f"{text}\n  {where}{note}",
        job_id=job_id,
        stage=cause.label,
        partition=cause.index,
        attempt=cause.number,
        host=cause.host,
        executor=cause.executor,
        record=failure.record if failure else None,
        operation=getattr(failure or cause.outcome, "operation", None),
        remote_traceback=failure.full_traceback if failure else None,
    )
    failed.__cause__ = error
    return failed


def _what_happened(outcome: TaskOutcome) -> tuple[str, BaseException | None]:
    match outcome:
        case Raised(failure):
            lines = [failure.user_traceback.rstrip() or f"{failure.type_name}: {failure.message}"]
            if failure.record is not None:
                lines.append(f"  record: {failure.record}")
            if failure.operation is not None:
                lines.append(f"  in {failure.operation}")
            return "\n".join(lines), restore(failure)
        case OutOfMemory():
            return _out_of_memory(outcome)
        case WorkerDied():
            return _worker_died(outcome)
        case FetchFailed(shuffle, map_index, executor, _, why):
            return f"output {map_index} of shuffle {shuffle} could not be read from executor {executor}: {why}", None
        case Killed(why):
            return f"the attempt was killed: {why}", None
        case Success():
            return "the attempt succeeded", None
    assert_never(outcome)


def _out_of_memory(outcome: OutOfMemory) -> tuple[str, BaseException]:
    where = f" in {outcome.operation}" if outcome.operation else ""
    held = f" ({outcome.detail})" if outcome.detail else ""
    has, may = show_bytes(outcome.peak), show_bytes(outcome.limit)
    reached = (
        f"reached {has} of its limit of {may}"
        if outcome.peak >= outcome.limit
        else f"has a limit of {may}, and at {has} was asked for more at once than that leaves"
    )
    text = (
        f"out of memory{where}{held}: the task's worker {reached}, also when it ran alone. What operations collect "
        "goes to disk before that, so it is single records, combined values of one key, what functions keep, or the "
        "counts of countByKey and countByValue (for many keys use reduceByKey) that is too large: make these smaller, "
        "use more partitions so that each task has fewer of them, or raise executor.memory"
    )
    return text, OutOfMemoryError(text, limit=outcome.limit, peak=outcome.peak)


def _worker_died(outcome: WorkerDied) -> tuple[str, BaseException]:
    name = None if outcome.signal is None else signal_name(outcome.signal)
    how = f"ended with exit code {outcome.exit_code}" if name is None else f"was ended by {name}"
    peak = f", at a peak of {show_bytes(outcome.peak_memory)}" if outcome.peak_memory else ""
    written = _without_own_frames(outcome.stderr_tail)
    tail = f"\n  it last wrote:\n{_indented(written)}" if written.strip() else ""
    text = f"the worker process that ran the task {how}{peak}"
    return text + tail, WorkerCrashed(text, exit_code=outcome.exit_code, signal=name)


def _without_own_frames(text: str) -> str:
    """What a dying process wrote, without the lines of Python's dump of its stack that lead through rddlite.

    The whole dump was forwarded to the terminal already.
    """
    return "".join(line for line in text.splitlines(keepends=True) if not _is_own_frame(line))


def _is_own_frame(line: str) -> bool:
    found = _DUMPED_FRAME.match(line)
    return found is not None and (found["file"] == "<frozen runpy>" or not is_user_frame(found["file"]))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())
