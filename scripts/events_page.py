"""The reference page of the event log, made from what the scheduler can be told and can answer. Called by
`scripts/gen_docs.py`.
"""

# ruff: noqa: E501 - tables of Markdown have long lines

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, TaskOutcome, TaskValue
from rddlite.observe.eventlog import FORMAT
from rddlite.observe.translate import WITHOUT_BYTES
from rddlite.plan.model import JobPlan, StageKey, StagePlan
from rddlite.schedule.commands import Command, JobCause, Note
from rddlite.schedule.events import Event

NOTE = "<!-- Made by scripts/events_page.py from the dataclasses of the scheduler: change it there, then run scripts/fix. -->\n\n"
INTRO = """\
# The event log

With the setting `eventlog.dir`, each application writes one file in that directory, `<sc.applicationId>.jsonl`: all that
its scheduler was told and all that it answered. `rddlite explain-log` tells the story of such a file, and `--replay`
runs the scheduler again on it: see [the command line](cli.md).

```python
import os
import subprocess
import sys

from rddlite import Context

with Context("local[2]", "told", {"eventlog.dir": "logs"}) as sc:
    sc.range(1000).map(lambda x: (x % 7, 1)).reduceByKey(lambda a, b: a + b).collect()
    log = os.path.join("logs", f"{sc.applicationId}.jsonl")

subprocess.run([sys.executable, "-m", "rddlite", "explain-log", "--replay", log], check=True)  # prints: reproduced
```

The directory must be one of the driver's host (a URL is refused); it is made if it is not there. Files are readable by
their owner alone. While the application runs, its file is called `.jsonl.inprogress`; it is at most about a second
behind. Writing never holds up the driver and never fails a job: if the directory cannot be written, the disk is full,
or takes less than what happens, there is one warning and the log ends early, which its last line says. A driver that is
killed leaves the file under its first name, and at worst a last line that is cut off; readers say so and go on.

## What is in it, and what is not

- The settings, but not those that may hold secrets (`storage.options`).
- Names of hosts, paths, call sites, and what your functions raised: text of exceptions, tracebacks, a short form of the
  record in hand. Look through a log before you hand it to others.
- No results and no records otherwise: of ELIDED there is only the number of bytes.

## Lines

Each line is a JSON object. Version FORMAT of the format:

| line | keys |
|---|---|
| the first | `format`, `rddlite` (version), `application` (id), `name`, `started` (seconds since the epoch), `clock` (the scheduler's time then), `python`, `host`, `pid`, `settings`, `options` (of the scheduler), `fields` |
| a batch | `now` (the scheduler's time), `wall` (seconds since the epoch), `events` that arrived together, `commands` that answered them; `error`, if the scheduler raised one instead |
| the last | `end` (seconds since the epoch), or `truncated` (why) |

An event or command is an array: its name, then its fields in the order in which the first line's `fields` lists them.
So is every other object where it may be one of several kinds; where only one kind can be, its name is left out. Bytes
are base64. Collections are arrays, `{"range": [start, stop, step]}` is a range, `{"run": [start, stop, step]}` the same
as a tuple, and `{"of": [...], "at": [...]}` a tuple of the values in `of` at these positions. Numbers are exact:
`Infinity` and `NaN` are written as Python's `json` does. A reader should leave out names that it does not know; events
and commands are added without a new version of the format.

"""


def events_page() -> str:
    """The whole page."""
    elided = ", ".join(f"`{cls.__name__}.{name}`" for cls, names in WITHOUT_BYTES.items() for name in sorted(names))
    notes = get_args(Note)
    sections = [
        ("Events: what the scheduler is told", get_args(Event)),
        ("Commands: what it asks of the world", [cls for cls in get_args(Command) if cls not in notes]),
        ("Notes: what it says besides", notes),
        ("Inside of them", [JobPlan, StagePlan, *get_args(StageKey), *get_args(TaskOutcome), Failure,
                            *get_args(TaskValue), *get_args(JobCause), TaskMetrics]),
    ]  # fmt: skip
    head = NOTE + INTRO.replace("ELIDED", elided).replace("FORMAT", str(FORMAT))
    return head + "\n".join(f"## {title}\n\n{_table(classes)}" for title, classes in sections)


def _table(classes: Iterable[type]) -> str:
    return "| name | fields | meaning |\n|---|---|---|\n" + "".join(map(_row, classes))


def _row(cls: type) -> str:
    names = ", ".join(f"`{field.name}`" for field in fields(cls)) or "-"  # type: ignore[arg-type]
    meaning = " ".join((inspect.getdoc(cls) or "").split()).replace("|", "\\|")
    return f"| `{cls.__name__}` | {names} | {meaning} |\n"
