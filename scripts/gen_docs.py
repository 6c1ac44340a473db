"""Write what the docs take from the source: the pages of settings and errors, and the scheduler's state tables.

`python scripts/gen_docs.py` writes them, `--check` only tells (by its exit code) whether they are up to date.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from rddlite import errors  # noqa: E402
from rddlite.base.config import SETTINGS  # noqa: E402
from rddlite.schedule.states import TABLES  # noqa: E402
from scripts.api_page import api_page  # noqa: E402
from scripts.events_page import events_page  # noqa: E402

if TYPE_CHECKING:
    from rddlite.base.config import Setting

DOCS = ROOT / "docs"
_BEGIN = "<!-- tables: made by scripts/gen_docs.py from src/rddlite/schedule/states.py -->\n"
_END = "<!-- end of tables -->\n"
_NOTE = "<!-- Made by scripts/gen_docs.py from {source}: change it there, then run scripts/fix. -->\n\n"

_SETTINGS_INTRO = """\
# Settings

A setting is given when the context is made, as text or as a value of its kind:

```python
from rddlite import Conf, Context

conf = Conf().set("driver.maxResultSize", "256m").set("progress.show", "false")
with Context("local[2]", "settings", conf=conf) as sc:
    assert sc.parallelize(range(10)).sum() == 45
```

An unknown key is a `ConfigError` that names the nearest known one. Sizes are powers of 1024 (`512m`, `2g`),
durations are written `500ms`, `15s`, `2min`.

| setting | kind | default | what it does |
|---|---|---|---|
"""

_ERRORS_INTRO = """\
# Errors

Every exception that rddlite raises on purpose is a `RddliteError`, and also what callers of such an operation expect
(`ValueError`, `FileNotFoundError`, `MemoryError` ...). `str(error)` says what happened and what to do next. All are in
`rddlite.errors`.

```text
"""


def configuration() -> str:
    """The page of all settings."""
    rows = [
        f"| `{setting.key}` | {setting.kind} | {_default(setting)} | {setting.doc.replace('|', chr(92) + '|')} |\n"
        for setting in SETTINGS.values()
    ]
    return _NOTE.format(source="src/rddlite/base/config.py") + _SETTINGS_INTRO + "".join(rows)


def _default(setting: Setting) -> str:
    """As one would write it."""
    match setting.kind, setting.default:
        case _, None:
            return "auto"
        case _, bool(value):
            return f"`{str(value).lower()}`"
        case "bytes", value:
            return f"`{_in_units(value)}`"
        case "seconds", value:
            return f"`{value:g}s`"
        case _, value:
            return f"`{value}`"


def _in_units(size: int) -> str:
    for unit, letter in ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")):
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def errors_page() -> str:
    """The page of the exception tree."""
    drawing = inspect.getdoc(errors) or ""
    tree = drawing.split("\n\n")[1]
    entries = map(_entry, filter(_is_ours, vars(errors).values()))
    page = _NOTE.format(source="src/rddlite/errors.py") + _ERRORS_INTRO + inspect.cleandoc(tree) + "\n```\n\n"
    return page + "\n".join(entries)


def _is_ours(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, errors.RddliteError)


def _entry(cls: type[Exception]) -> str:
    bases = ", ".join(f"`{base.__name__}`" for base in cls.__bases__)
    return f"## {cls.__name__}\n\n{inspect.getdoc(cls)}\n\nIs a: {bases}.\n"


def scheduler_page() -> str:
    """The page on the scheduler, with its tables made anew."""
    text = (ROOT / "docs" / "internals" / "scheduler.md").read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    return head + _BEGIN + "".join(map(_moves, TABLES)) + "\n" + _END + rest.partition(_END)[2]


def _moves(kind: str) -> str:
    rows = [f"| {old.name} | {new.name} | {why} |\n" for (old, new), why in TABLES[kind].items()]
    return f"\n### {kind.capitalize()}\n\n| from | to | when |\n|---|---|---|\n" + "".join(rows)


PAGES = {
    "reference/api.md": api_page,
    "reference/configuration.md": configuration,
    "reference/errors.md": errors_page,
    "reference/events.md": events_page,
    "internals/scheduler.md": scheduler_page,
}


def main() -> int:
    """Exit code: 1 if `--check` found a page that is not up to date."""
    parser = argparse.ArgumentParser(description="Write the generated docs.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not up to date")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    print(f"generated docs: {', '.join(stale) or 'nothing'} {'out of date' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
