"""What appears on the terminal, character by character."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest

from rddlite.observe import progress as module
from rddlite.observe.progress import Progress
from tests.unit.observe.test_bar import job


class Terminal(io.StringIO):
    """Shows what a terminal would: \\r goes back to the start of the line, and text there is written over."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        return 7

    def rows(self) -> list[str]:
        shown = []
        for line in self.getvalue().split("\n"):
            row: list[str] = []
            for part in line.split("\r"):
                row[: len(part)] = part
            shown.append("".join(row).rstrip())
        return shown


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((100, 20)))
    return Terminal()


@pytest.fixture
def progress(terminal):
    return Progress(None, terminal)


def test_a_bar_comes_and_goes_and_a_summary_stays(progress, terminal):
    progress.draw(0, [job()])
    (row,) = terminal.rows()
    assert row.startswith("job 3 collect at x.py:12  ━━━")
    assert len(row) <= 99
    progress.draw(0.2, [job(done=46, failed=1)])
    assert "46/200" in terminal.rows()[0]
    progress.job_ended(job())
    assert terminal.rows() == ["job 3 collect at x.py:12: 4.2 s", ""]


def test_a_shorter_line_leaves_nothing_of_a_longer_one(progress, terminal):
    progress.draw(0, [job(failed=1000, lost=1000)])
    progress.draw(0, [job(job_id=4, description="x", tasks=1, done=0, running=0)])
    assert terminal.rows()[0].endswith("stage 2 of 3: 0/1 tasks, 4.2 s")


def test_nothing_is_written_when_nothing_changed(progress, terminal):
    progress.draw(0, [job()])
    before = terminal.getvalue()
    progress.draw(1, [job()])
    assert terminal.getvalue() == before


def test_short_jobs_are_not_shown(progress, terminal):
    progress.draw(0, [])
    progress.draw(0, [_short()])
    progress.job_ended(_short())
    assert terminal.getvalue() == ""


def _short():
    return replace(job(), seconds=0.4)


def test_the_oldest_long_job_is_shown(progress, terminal):
    progress.draw(0, [_short(), job(4), job(5)])
    assert "job 4" in terminal.rows()[0]
    assert "(+1 more)" in terminal.rows()[0]


def test_the_end_of_one_job_leaves_the_bar_to_the_next(progress, terminal):
    progress.draw(0, [job(3), job(4)])
    progress.job_ended(job(3))
    progress.draw(1, [job(4)])
    rows = terminal.rows()
    assert rows[0] == "job 3 collect at x.py:12: 4.2 s"
    assert rows[1].startswith("job 4")


def test_a_line_of_a_task_stands_above_the_bar(progress, terminal):
    progress.draw(0, [job()])
    (bar,) = terminal.rows()
    progress.write_line("stderr", "hello")
    assert terminal.rows() == ["hello", bar]
    progress.erase()
    assert terminal.rows() == ["hello", ""]
    progress.write_line("stderr", "again")
    assert terminal.rows() == ["hello", "again", ""]


def test_a_line_for_stdout_goes_to_stdout(progress, terminal, capsys):
    progress.draw(0, [job()])
    bar = terminal.rows()
    progress.write_line("stdout", "hello")
    assert capsys.readouterr().out == "hello\n"
    assert terminal.rows() == bar
    progress.erase()
    progress.write_line("stdout", "again")
    assert capsys.readouterr().out == "again\n"


def test_an_ended_job_that_nobody_knows_takes_the_bar_away(progress, terminal):
    progress.draw(0, [job()])
    progress.job_ended(None)
    assert terminal.rows() == [""]


def test_off_by_setting(terminal):
    off = Progress(False, terminal)
    assert not off.is_shown
    off.draw(0, [job()])
    off.job_ended(job())
    assert terminal.getvalue() == ""
    off.write_line("stderr", "hello")
    assert terminal.getvalue() == "hello\n"


def test_off_where_there_is_no_terminal():
    stream = io.StringIO()
    off = Progress(None, stream)
    assert not off.is_shown
    off.draw(0, [job()])
    assert stream.getvalue() == ""


def test_forced_on_without_a_terminal_there_are_plain_lines_now_and_then():
    stream = io.StringIO()
    on = Progress(True, stream)
    assert on.is_shown
    for tenth in range(120):
        on.draw(tenth / 10, [job(done=tenth)])
    on.job_ended(job())
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert [line.split("tasks")[0] for line in lines[:-1]] == [
        f"job 3 collect at x.py:12: stage 2 of 3: {done}/200 " for done in (0, 50, 100)
    ]
    assert lines[-1] == "job 3 collect at x.py:12: 4.2 s"


def test_a_terminal_that_knows_ascii_only(terminal):
    terminal.encoding = "ascii"
    shown = Progress(None, terminal)
    shown.draw(0, [job(description="zählen")])
    shown.write_line("stderr", "größer")
    assert "####" in terminal.rows()[1]
    assert terminal.rows()[0] == "gr??er"


def test_a_notebook_gets_the_same_text(monkeypatch):
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    shown = Progress(None, notebook)
    assert shown.is_shown
    shown.draw(0, [job()])
    assert notebook.getvalue().startswith("\rjob 3")


def test_an_unknown_width_is_taken_as_80(terminal, monkeypatch):
    def refuse(fd):
        raise OSError(25, "not a terminal")

    monkeypatch.setattr(os, "get_terminal_size", refuse)
    Progress(None, terminal).draw(0, [job()])
    assert len(terminal.rows()[0]) <= 79


def test_a_broken_terminal_does_not_end_a_job(progress, terminal, monkeypatch):
    def refuse(text):
        raise BrokenPipeError(32, "broken pipe")

    monkeypatch.setattr(terminal, "write", refuse)
    progress.draw(0, [job()])
    progress.job_ended(job())


def test_no_stream_at_all(monkeypatch):
    monkeypatch.setattr(module.sys, "stderr", None)
    shown = Progress(True)
    assert not shown.is_shown
    shown.draw(0, [job()])
    shown.write_line("stderr", "hello")
    shown.job_ended(job())


def test_a_closed_stream(progress, terminal):
    terminal.close()
    assert not progress.is_shown
    progress.draw(0, [job()])
    progress.job_ended(job())
