"""The page on the scheduler knows every event, command and outcome. (Its tables of states are generated.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from rddlite.base.outcome import TaskOutcome
from rddlite.schedule.commands import Command
from rddlite.schedule.events import Event

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "internals" / "scheduler.md").read_text()


@pytest.mark.parametrize("kind", [*Event.__args__, *Command.__args__, *TaskOutcome.__args__])
def test_the_page_names_it(kind: type) -> None:
    assert f"`{kind.__name__}`" in PAGE


def test_the_page_names_every_file() -> None:
    files = (ROOT / "src" / "rddlite" / "schedule").glob("*.py")
    unnamed = [path.name for path in files if f"`schedule/{path.name}`" not in PAGE]
    assert sorted(unnamed) == ["__init__.py", "options.py", "views.py"]
