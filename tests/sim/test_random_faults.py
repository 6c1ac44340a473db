"""Thousands of simulated clusters, each with faults drawn from its seed: every answer exact, every rule kept.

`RDDLITE_SIM_SEEDS` sets how many seeds are tried, `RDDLITE_SIM_FIRST` the first of them.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.testing.coverage import CountingTurn, Row, all_rows
from rddlite.testing.faultplan import CLUSTER_FAULTS, TASK_FAULTS
from rddlite.testing.simulation import FakeCluster

FIRST = int(os.environ.get("RDDLITE_SIM_FIRST", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("RDDLITE_SIM_SEEDS", "2000")))

UNIT = Path(__file__).resolve().parents[1] / "unit" / "schedule"

RARE: dict[Row, str] = {
    # Rows that a run of 2,000 seeds may miss, and the unit test that takes each for certain.
    ("stage", "WAITING", "DONE"): "test_late.py::test_late_outputs_complete_a_stage_that_waits_for_its_inputs",
    ("task", "ALONE", "DONE"): "test_late.py::test_a_late_success_settles_a_task_that_waits_to_run_alone",
    (
        "task",
        "DONE",
        "ALONE",
    ): "test_memory.py::test_a_lost_output_after_running_out_of_memory_is_made_alone_again",
    ("task", "WARY", "DONE"): "test_wary.py::test_a_late_success_settles_a_task_that_waits_for_another_executor",
    ("attempt", "STRAY", "KILLING"): "test_returned.py::test_a_stray_that_is_there_after_all_is_killed",
}


@dataclass
class Tally:
    """What all runs together did."""

    rows: Counter[Row] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    copied_again: int = 0
    without_fault: list[int] = field(default_factory=list)
    without_shuffle: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, seed: int) -> None:
        turn = CountingTurn()
        cluster = FakeCluster(seed, turn=turn)
        try:
            cluster.run()
        except Exception:
            self.failures.append(f"FakeCluster({seed}).run():\n{traceback.format_exc(limit=-3)}")
            return
        self.rows += turn.rows
        self.told += cluster.told
        for commands in cluster.answers:
            self.answered.update(type(command).__name__ for command in commands)
        self.copied_again += _n_copied_again(cluster)
        self.faults += cluster.faults.fired
        self.endings.update(cluster.referee.ended.values())
        if not cluster.faults.fired:
            self.without_fault.append(seed)
        if not any(plan.maps for _, plan in cluster.work.submissions):
            self.without_shuffle.append(seed)

    def __str__(self) -> str:
        lines = [f"{len(SEEDS)} simulated clusters", "events:"]
        lines += _columns(self.told)
        lines += ["commands:", *_columns(self.answered), "faults:", *_columns(self.faults)]
        lines += ["jobs ended:", *_columns(self.endings), "transitions:"]
        lines += _columns(
            Counter({f"{kind} {old} > {new}": self.rows[kind, old, new] for kind, old, new in all_rows()})
        )
        return "\n".join(lines)


def _n_copied_again(cluster: FakeCluster) -> int:
    """How many copies were made of attempts that had one before, or are one."""
    known: set[str] = set()
    n = 0
    for note in (
        command for commands in cluster.answers for command in commands if isinstance(command, cmd.TaskCopied)
    ):
        original = note.why.split()[1]
        n += original in known
        known |= {original, str(note.attempt)}
    return n


def _columns(counts: Counter[str]) -> list[str]:
    cells = [f"{name:<28}{count:>8}" for name, count in counts.most_common()]
    return ["  " + "   ".join(cells[at : at + 3]) for at in range(0, len(cells), 3)]


@pytest.fixture(scope="module")
def tally() -> Tally:
    total = Tally()
    for seed in SEEDS:
        total.add(seed)
    return total


def test_every_cluster_ends_with_exact_answers(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{tally}")
    shown = "\n".join(tally.failures[:5])
    assert not tally.failures, f"{len(tally.failures)} of {len(SEEDS)} seeds failed\n{shown}"


def test_every_run_had_a_shuffle_and_a_fault(tally: Tally) -> None:
    assert tally.without_shuffle == []
    assert tally.without_fault == []


def test_every_kind_of_event_was_handled(tally: Tally) -> None:
    names = {event.__name__ for event in ev.Event.__args__}
    assert names - tally.told.keys() == set()


def test_every_kind_of_command_was_given(tally: Tally) -> None:
    names = {command.__name__ for command in cmd.Command.__args__}
    assert names - tally.answered.keys() == set()


def test_every_fault_happened(tally: Tally) -> None:
    others = {"bad machine", "executor left", "output not adopted", "no answer to a move", "cached partitions evicted"}
    wanted = {*TASK_FAULTS, *CLUSTER_FAULTS, *others, "late message", "repeated message"}
    assert wanted - tally.faults.keys() == set()


def test_what_is_left_of_two_attempts_is_copied_again(tally: Tally) -> None:
    assert tally.copied_again


def test_jobs_ended_in_every_way(tally: Tally) -> None:
    ways = {"done", "TaskFailedForGood", "StageGaveUp", "GangGaveUp", "TooFewSlots", "NoExecutorsLeft", "Cancelled"}
    assert ways - tally.endings.keys() == set()


def test_every_transition_was_used(tally: Tally) -> None:
    missed = {row for row in all_rows() if not tally.rows[row]}
    assert missed - RARE.keys() == set()


def test_rare_transitions_exist_and_so_do_their_unit_tests() -> None:
    assert RARE.keys() <= set(all_rows())
    for place in RARE.values():
        name, _, function = place.partition("::")
        assert f"def {function}(" in (UNIT / name).read_text()
