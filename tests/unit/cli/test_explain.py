"""`rddlite explain-log`: the story and the replay of a log, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rddlite.base.config import Settings
from rddlite.cli.main import main
from rddlite.observe import replay
from rddlite.observe.eventlog import EventLog
from rddlite.schedule import events as ev
from rddlite.schedule.invariants import InvariantBroken
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.clock import ManualClock
from tests.helpers.scheduling import Rig, job, map_stage, raised

Said = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two jobs, an error and a lost executor, as a driver would have written them."""
    rig = Rig()
    log = EventLog(
        str(tmp_path), "local-7", Settings({"app.name": "mine"}), SchedulerOptions(launch_ahead=0), ManualClock()
    )
    log.start()
    handle_all = log.recording(rig.scheduler.handle_all)
    rig.scheduler.handle_all = handle_all  # type: ignore[method-assign,assignment]
    rig.join("0")
    rig.join("1")
    rig.submit(job(0, 2, map_stage(0)))
    rig.end(rig.running()[0], raised("'x'"))
    rig.finish()
    rig.tell(ev.JobSubmitted(job(1, 4)), after=2.0)
    rig.tell(ev.DriverDelayed(3.0))
    rig.lose("1")
    rig.finish()
    log.close()
    return tmp_path / "local-7.jsonl"


def said(capsys: Said, *arguments: object) -> str:
    """What is printed, when all is well."""
    assert main(["explain-log", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def spoilt(log: Path, old: str, new: str) -> Path:
    """The same log with something else in it."""
    text = log.read_text()
    assert old in text
    log.write_text(text.replace(old, new, 1))
    return log


def test_the_story(log: Path, capsys: Said) -> None:
    text = said(capsys, log)
    assert text.startswith("mine (local-7), process ")
    for part in [
        "2.0 s, 2 jobs, 2 executors; the log is complete",
        "executor 0 on host-0, 2 slots, ",
        " attempts, 1 failed, from 0.000 s\n",
        "executor 1 on host-1, 2 slots, ",
        " attempts, from 0.000 s to 2.000 s: lost: signal 9\n",
        "at 0.000 s:\njob 0 job 0: ",
        "partition 0 on executor 0: ValueError: no, at job.py:1, record 'x'",
        "at 2.000 s:\njob 1 job 1: ",
        "what ran on executor 1 was lost with it (2 times)",
        "besides:\n",
        "the driver's loop got no time for 3.0 s",
    ]:
        assert part in text


def test_one_job_alone(log: Path, capsys: Said) -> None:
    text = said(capsys, log, "--job", 1)
    assert "job 1 job 1" in text
    assert "job 0 job 0" not in text
    assert main(["explain-log", str(log), "--job", "5"]) == 2
    assert "the log has no job 5; it has jobs 0 to 1" in capsys.readouterr().err


def test_the_story_for_programs(log: Path, capsys: Said) -> None:
    told = json.loads(said(capsys, log, "--json"))
    assert told["application"]["application"] == "local-7"
    assert told["application"]["ending"] == {"kind": "complete", "why": ""}
    assert [(each["id"], each["why"]) for each in told["executors"]] == [("0", ""), ("1", "lost: signal 9")]
    assert [(each["id"], each["state"]) for each in told["jobs"]] == [(0, "succeeded"), (1, "succeeded")]
    assert [each["what"] for each in told["jobs"][0]["incidents"]] == ["failed"]
    assert {"late", "blocks lost"} <= {each["what"] for each in told["incidents"]}


def test_a_replay_reproduces_every_command(log: Path, capsys: Said) -> None:
    n_batches = log.read_text().count("\n") - 2
    text = said(capsys, log, "--replay", "--check")
    assert text.startswith(f"reproduced: {n_batches} batches, {n_batches} events, ")
    assert text.endswith(" commands, 0 differences\n")
    told = json.loads(said(capsys, log, "--replay", "--json"))
    assert (told["reproduced"], told["batches"], told["difference"]) == (True, n_batches, None)


def test_the_first_difference_is_shown_and_is_a_failure(log: Path, capsys: Said) -> None:
    spoilt(log, '["Launch","1",1,', '["Launch","1",111,')
    assert main(["explain-log", str(log), "--replay"]) == 1
    text = capsys.readouterr().out
    for part in [
        f"not reproduced: batch 3, at 0.000 s, line 4 of {log}\n",
        "  before, at 0.000 s: ExecutorJoined -> nothing\n",
        "events:\n  ['JobSubmitted', ",
        "  recorded: ['Launch', '1', 111, ",
        "  replayed: ['Launch', '1', 1, ",
    ]:
        assert part in text
    assert main(["explain-log", str(log), "--replay", "--json"]) == 1
    difference = json.loads(capsys.readouterr().out)["difference"]
    assert f"recorded, the first {difference['position']} of them reproduced\n" in text
    assert difference["line"] == 4
    assert (difference["recorded"][2], difference["replayed"][2]) == (111, 1)


def test_a_missing_command_is_shown_as_such(log: Path, capsys: Said) -> None:
    spoilt(log, '["StageStarted",0,', '["JobDone",9],["StageStarted",0,')
    assert main(["explain-log", str(log), "--replay"]) == 1
    assert "recorded: ['JobDone', 9]" in capsys.readouterr().out


def test_an_error_of_the_scheduler_is_shown_on_both_sides(log: Path, capsys: Said) -> None:
    lines = log.read_text().splitlines(keepends=True)
    broken = lines[2].replace("}\n", ""","error":"RuntimeError('a bug')"}\n""")
    log.write_text("".join([*lines[:2], broken]))
    assert main(["explain-log", str(log), "--replay"]) == 1
    text = capsys.readouterr().out
    assert "recorded: the scheduler failed: RuntimeError('a bug')" in text
    assert "replayed: nothing more" in text
    assert "the scheduler failed: RuntimeError('a bug')" in said(capsys, log)


def test_broken_invariants_are_shown_and_a_failure(log: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scheduler: object) -> None:
        raise InvariantBroken("a table")

    monkeypatch.setattr(replay, "check", broken)
    assert "0 differences" in said(capsys, log, "--replay")
    assert main(["explain-log", str(log), "--replay", "--check"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("reproduced, but the scheduler's invariants are broken: batch 1, ")
    assert text.endswith("  then: InvariantBroken('a table')\n")


def test_a_log_that_is_cut_off_is_told_and_replayed_as_far_as_it_goes(log: Path, capsys: Said) -> None:
    n_batches = log.read_text().count("\n") - 3
    log.write_text(log.read_text()[:-60])
    why = "unfinished: its last line is cut off: the driver was killed"
    assert f"the log is {why}" in said(capsys, log)
    text = said(capsys, log, "--replay")
    assert text.startswith(f"reproduced: {n_batches} batches, ")
    assert text.endswith(f"the log is {why}\n")
    told = json.loads(said(capsys, log, "--replay", "--json"))
    assert told["ending"]["kind"] == "unfinished"


def test_a_log_of_another_version_is_replayed_with_a_warning(log: Path, capsys: Said) -> None:
    header, _, rest = log.read_text().partition("\n")
    log.write_text(json.dumps({**json.loads(header), "rddlite": "9.9"}) + "\n" + rest)
    assert main(["explain-log", str(log), "--replay"]) == 0
    assert "warning: rddlite 9.9 wrote this log" in capsys.readouterr().err


def test_what_is_no_log_is_one_line_without_a_traceback(log: Path, capsys: Said, tmp_path: Path) -> None:
    for path, text in [
        (tmp_path / "nowhere.jsonl", "rddlite explain-log: there is no event log "),
        (spoilt(log, '"format":1', '"format":2'), "it has format 2, and rddlite "),
    ]:
        assert main(["explain-log", str(path)]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert text in captured.err
        assert captured.err.count("\n") == 1


def test_many_incidents_are_cut_in_text_and_whole_in_json(tmp_path: Path, capsys: Said) -> None:
    log = EventLog(str(tmp_path), "local-8", Settings(), SchedulerOptions(), ManualClock())
    log.start()
    record = log.recording(lambda events, now: [])
    record([ev.ExecutorJoined("0", "h", 1)], 0.0)
    for i in range(50):
        record([ev.DriverDelayed(1.0 + i), ev.ExecutorSuspected("0", f"{i}")], float(i))
    log.close()
    path = tmp_path / "local-8.jsonl"
    text = said(capsys, path)
    assert "and 10 more (--json has them)" in text
    assert "and 40 more turns (--json has them)" in text
    told = json.loads(said(capsys, path, "--json"))
    assert (len(told["incidents"]), len(told["executors"][0]["turns"])) == (50, 50)
