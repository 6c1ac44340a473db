"""`rddlite explain-log`: an event log as a story, or replayed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rddlite.cli.storytext import difference_text, replay_json, story_json, story_text
from rddlite.errors import UsageError
from rddlite.observe.logreader import LogReader
from rddlite.observe.replay import replay
from rddlite.observe.story import Story, Teller
from rddlite.version import __version__


def run_explain(options: argparse.Namespace) -> int:
    """Print what was asked for; the exit code."""
    log = LogReader(options.log)
    if options.replay:
        return _replay(log, options)
    teller = Teller(log.header.clock)
    for batch in log:
        teller.hear(batch)
    story = teller.story()
    if options.job is not None:
        story = _only(story, options.job)
    if options.json:
        print(json.dumps(story_json(log, story), indent=2))
    else:
        print("\n".join(story_text(log, story)))
    return 0


def _only(story: Story, job_id: int) -> Story:
    jobs = tuple(job for job in story.jobs if job.summary.id == job_id)
    if not jobs:
        raise UsageError(f"the log has no job {job_id}; it has {_known([job.summary.id for job in story.jobs])}")
    return Story(story.seconds, jobs, story.executors, story.incidents)


def _known(jobs: Sequence[int]) -> str:
    return "none" if not jobs else f"job {jobs[0]}" if len(jobs) == 1 else f"jobs {min(jobs)} to {max(jobs)}"


def _replay(log: LogReader, options: argparse.Namespace) -> int:
    if not log.header.is_of_this_version:
        print(
            f"warning: rddlite {log.header.rddlite} wrote this log, and {__version__} replays it: "
            "differences may be due to that",
            file=sys.stderr,
        )
    done = replay(log, log.header.options, is_checked=options.check)
    found = done.difference
    if options.json:
        print(json.dumps(replay_json(log, done), indent=2))
        return 0 if found is None else 1
    if found is not None:
        print("\n".join(difference_text(log, found)))
        return 1
    counts = f"{done.batches:,} batches, {done.events:,} events, {done.commands:,} commands, 0 differences"
    print(f"reproduced: {counts}")
    if done.error:
        print(f"the last of them is an error of the scheduler, which was reproduced too: {done.error}")
    if log.ending.kind != "complete":
        print(f"the log is {log.ending.kind}: {log.ending.why}")
    return 0
