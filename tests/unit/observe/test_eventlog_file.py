"""The file of an event log: what it says of itself, how it ends, and that nothing about it can harm the driver."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite.base.clock import SystemClock
from rddlite.base.config import Settings
from rddlite.base.log import logger
from rddlite.errors import ConfigError, CorruptInput, PathNotFound, PathUnreadable
from rddlite.observe import eventlog
from rddlite.observe.eventlog import EventLog
from rddlite.observe.logreader import LogReader
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import SchedulerOptions

APPLICATION = "local-1"
OPTIONS = SchedulerOptions(max_deaths=7)


def new_log(directory: Path, **given: Any) -> EventLog:
    log = EventLog(str(directory), APPLICATION, Settings(given), OPTIONS, SystemClock())
    log.start()
    return log


def answer(events: Any, now: float) -> list[cmd.Command]:
    return [cmd.WantExecutors(type(event).__name__) for event in events]


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the log warns of, from whichever thread."""
    found: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Keeping(logging.WARNING)
    logger("eventlog").addHandler(handler)
    yield found
    logger("eventlog").removeHandler(handler)


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    record = log.recording(answer)
    assert record([ev.Tick(), ev.ProviderFailed("x")], 1.5) == [
        cmd.WantExecutors("Tick"),
        cmd.WantExecutors("ProviderFailed"),
    ]
    record([], 2.0)
    log.close()
    reader = LogReader(str(only_file(tmp_path)))
    first, second = reader
    assert (first.events, first.now, first.error) == ((ev.Tick(), ev.ProviderFailed("x")), 1.5, "")
    assert first.commands == (cmd.WantExecutors("Tick"), cmd.WantExecutors("ProviderFailed"))
    assert (second.events, second.commands, second.now) == ((), (), 2.0)
    assert 0 <= first.wall - reader.header.started < 60
    assert reader.ending.kind == "complete"
    assert [batch.now for batch in reader] == [1.5, 2.0]


def test_a_call_that_raises_is_recorded_with_its_error(tmp_path: Path) -> None:
    def fail(events: Any, now: float) -> list[cmd.Command]:
        raise ZeroDivisionError("by this event")

    log = new_log(tmp_path)
    with pytest.raises(ZeroDivisionError):
        log.recording(fail)([ev.Tick()], 1.0)
    log.close()
    (batch,) = LogReader(str(only_file(tmp_path)))
    assert (batch.events, batch.commands) == ((ev.Tick(),), ())
    assert batch.error == "ZeroDivisionError('by this event')"


def test_the_header_tells_what_ran_and_hides_secrets(tmp_path: Path) -> None:
    log = new_log(tmp_path, **{"app.name": "mine", "storage.options": '{"s3": {"secret": "KEY"}}'})
    log.close()
    path = only_file(tmp_path)
    assert "KEY" not in path.read_text()
    header = LogReader(str(path)).header
    assert (header.application, header.name, header.pid, header.options) == (APPLICATION, "mine", os.getpid(), OPTIONS)
    assert header.is_of_this_version
    assert header.settings["storage.options"] == "(hidden)"
    assert header.settings["task.maxDeaths"] == 4
    assert header.settings["local.dir"] is None


def test_files_are_private_and_have_their_final_name_only_when_complete(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "logs"
    log = new_log(directory)
    log.recording(answer)([ev.Tick()], 1.0)
    wait_until(lambda: directory.exists() and any(path.stat().st_size for path in directory.iterdir()))
    assert only_file(directory).name == f"{APPLICATION}.jsonl.inprogress"
    log.close()
    path = only_file(directory)
    assert path.name == f"{APPLICATION}.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def wait_until(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_no_log_replaces_another(tmp_path: Path) -> None:
    for _ in range(3):
        new_log(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "local-1-2.jsonl", "local-1-3.jsonl", "local-1.jsonl",
    ]  # fmt: skip


def test_large_batches_are_written_whole(tmp_path: Path) -> None:
    events = [ev.ExecutorLost(str(i), "gone") for i in range(1000)]
    log = new_log(tmp_path)
    log.recording(answer)(events, 1.0)
    log.close()
    (batch,) = LogReader(str(only_file(tmp_path)))
    assert list(batch.events) == events
    assert len(batch.commands) == 1000


# What goes wrong


def test_a_directory_that_cannot_be_made_costs_the_log_and_one_warning(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").touch()
    log = new_log(tmp_path / "file" / "logs")
    record = log.recording(answer)
    for _ in range(3):
        assert record([ev.Tick()], 1.0)
    log.close()
    assert record([ev.Tick()], 1.0)
    (text,) = warnings
    assert "file/logs is not written (any more): Not a directory; jobs go on" in text


def test_a_full_disk_ends_the_log_after_its_last_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    write, writes = os.write, itertools.count()

    def limited(fd: int, data: Any) -> int:
        match next(writes):
            case 5:
                return write(fd, data[: len(data) // 2])
            case 6:
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", limited)
    monkeypatch.setattr(eventlog, "_WRITE_BYTES", 1)
    log = new_log(tmp_path)
    record = log.recording(answer)
    for i in range(100):
        assert record([ev.ProviderFailed("x" * 50)], float(i))
    wait_until(lambda: warnings)
    log.close()
    assert "No space left on device; jobs go on" in warnings[0]
    assert len(warnings) == 1
    reader = LogReader(str(only_file(tmp_path)))
    nows = [batch.now for batch in reader]
    assert nows == [0.0, 1.0, 2.0, 3.0]
    assert (reader.ending.kind, reader.ending.why) == ("truncated", "No space left on device")


def test_a_disk_that_is_too_slow_costs_the_log_and_not_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    write, may_write = os.write, threading.Event()

    def late(fd: int, data: Any) -> int:
        may_write.wait(60)
        return write(fd, data)

    monkeypatch.setattr(os, "write", late)
    monkeypatch.setattr(eventlog, "MOST_WAITING", 100_000)
    log = new_log(tmp_path)
    record = log.recording(answer)
    for i in range(1000):
        assert record([ev.Tick()], float(i))
    assert len(warnings) == 1
    assert "more than 97.7 KiB wait to be written; jobs go on without it" in warnings[0]
    may_write.set()
    log.close()
    reader = LogReader(str(only_file(tmp_path)))
    nows = [batch.now for batch in reader]
    assert 50 < len(nows) < 100
    assert nows == [float(i) for i in range(len(nows))]
    assert reader.ending.kind == "truncated"
    assert "as fast as things happened" in reader.ending.why


def test_a_value_that_has_no_form_costs_the_log_and_says_so(tmp_path: Path, warnings: list[str]) -> None:
    log = new_log(tmp_path)
    log.recording(answer)([ev.ProviderFailed(object())], 1.0)  # type: ignore[arg-type]
    log.close()
    assert "please report this" in warnings[0]
    reader = LogReader(str(only_file(tmp_path)))
    assert list(reader) == []
    assert reader.ending.kind == "truncated"


def test_a_log_that_was_never_started_can_be_closed(tmp_path: Path) -> None:
    EventLog(str(tmp_path), APPLICATION, Settings(), OPTIONS, SystemClock()).close()
    assert list(tmp_path.iterdir()) == []


def test_urls_are_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"eventlog\.dir.*must be a directory of this host"):
        Settings({"eventlog.dir": "s3://bucket/logs"})
    assert Settings({"eventlog.dir": Path("/tmp/x")})["eventlog.dir"] == "/tmp/x"
    assert Settings()["eventlog.dir"] is None


# Reading


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    log = new_log(tmp_path / "made")
    record = log.recording(answer)
    for i in range(3):
        record([ev.Tick()], float(i))
    log.close()
    return only_file(tmp_path / "made").read_text().splitlines(keepends=True)


def read(tmp_path: Path, text: str) -> LogReader:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    return LogReader(str(path))


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_a_last_line_that_is_cut_off_is_left_out_and_said(tmp_path: Path, lines: list[str], cut: int) -> None:
    reader = read(tmp_path, "".join(lines[:4])[:-cut])
    assert [batch.now for batch in reader] == [0.0, 1.0]
    assert (reader.ending.kind, reader.ending.why) == ("unfinished", "its last line is cut off: the driver was killed")


def test_a_missing_end_is_said(tmp_path: Path, lines: list[str]) -> None:
    reader = read(tmp_path, "".join(lines[:4]))
    assert [batch.now for batch in reader] == [0.0, 1.0, 2.0]
    assert reader.ending.kind == "unfinished"
    assert "still running, or was killed" in reader.ending.why


def test_damage_in_the_middle_is_an_error_with_the_line(tmp_path: Path, lines: list[str]) -> None:
    for damage, text in [
        ("{", "line 3: "),
        ("[]", "line 3: not an object"),
        ('{"x": 1}', "line 3: neither a batch nor an end"),
        ('{"events": [["Eclipse"]], "commands": [], "now": 1, "wall": 1}', "line 3: not one of .*Eclipse"),
        ('{"events": [], "now": 1, "wall": 1}', "line 3: a batch without 'commands'"),
    ]:
        reader = read(tmp_path, lines[0] + lines[1] + damage + "\n" + lines[3])
        with pytest.raises(CorruptInput, match=text):
            list(reader)


def test_what_is_no_log_is_refused(tmp_path: Path, lines: list[str]) -> None:
    header = json.loads(lines[0])
    for text, why in [
        ("", "no first line"),
        ("hello\n", "line 1: this is not the first line of an event log"),
        ('{"events": []}\n', "not the first line of an event log"),
        (
            json.dumps({**header, "format": 99, "rddlite": "9.9"}) + "\n",
            "format 99, .* reads format 1: use rddlite 9.9",
        ),
        (json.dumps({key: header[key] for key in header if key != "pid"}) + "\n", "incomplete: KeyError.*pid"),
    ]:
        with pytest.raises(CorruptInput, match=why):
            read(tmp_path, text)
    with pytest.raises(PathNotFound, match=r"there is no event log .*nowhere"):
        LogReader(str(tmp_path / "nowhere"))
    with pytest.raises(PathUnreadable):
        LogReader(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    with pytest.raises(PathUnreadable, match="cannot be read as an event log"):
        LogReader(str(tmp_path / "binary"))


def test_unreadable_values_of_another_version_name_it(tmp_path: Path, lines: list[str]) -> None:
    header = json.dumps({**json.loads(lines[0]), "rddlite": "9.9"})
    row = '{"events": [["Eclipse"]], "commands": [], "now": 1, "wall": 1}'
    with pytest.raises(CorruptInput, match=r"written by rddlite 9\.9"):
        list(read(tmp_path, f"{header}\n{row}\n"))
