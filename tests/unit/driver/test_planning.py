"""Who plans waits for nobody who plans; who cuts a lineage waits for all of them but itself."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from rddlite.driver.planning import Planning

LONG = 60.0


def node() -> Any:
    return SimpleNamespace(successor=None, deps=("parent",))


def test_others_plan_meanwhile() -> None:
    planning = Planning()

    def plan() -> None:
        with planning:
            pass

    with planning:
        other = threading.Thread(target=plan)
        other.start()
        other.join(LONG)
        assert not other.is_alive()


def test_a_lineage_is_cut_when_nobody_plans() -> None:
    planning, cut, after = Planning(), node(), node()
    cutter = threading.Thread(target=planning.cut_off, args=(cut, after))
    with planning:
        with planning:
            cutter.start()
        assert (cut.successor, cut.deps) == (None, ("parent",))
    cutter.join(LONG)
    assert (cut.successor, cut.deps) == (after, ())


def test_who_plans_may_cut() -> None:
    planning, cut = Planning(), node()
    with planning:
        planning.cut_off(cut, node())
    assert cut.deps == ()
