"""The command line: what it understands, what it refuses and how, and its exit codes."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rddlite.cli import executor
from rddlite.cli.main import main
from rddlite.version import __version__

JOIN = ["executor", "--driver", "tcp://10.0.0.1:7077", "--key-file", "keys"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of arguments that are wrong."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the executor's process would be started with."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(executor, "serve", lambda *given: calls.append(given) or 7)
    monkeypatch.setattr(executor, "usable_cores", lambda: 16)
    return calls


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in [
        (["--version"], f"rddlite {__version__}\n"),
        (["--help"], "explain-log"),
        (["executor", "--help"], "SIGTERM"),
        (["explain-log", "--help"], "--replay"),
    ]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


def test_an_executor_with_everything_given(served: list[tuple[Any, ...]]) -> None:
    more = ["--slots", "3", "--memory", "1.5g", "--host", "blue", "--scratch-dir", "/fast"]
    assert main([*JOIN, *more]) == 7
    assert served == [("tcp://10.0.0.1:7077", "keys", 3, 3 << 29, "blue", "/fast")]


def test_an_executor_takes_the_cores_that_it_may_use(served: list[tuple[Any, ...]]) -> None:
    assert main(JOIN) == 7
    assert served == [("tcp://10.0.0.1:7077", "keys", 16, None, None, None)]


def test_an_endpoint_of_ipv6(served: list[tuple[Any, ...]]) -> None:
    main(["executor", "--driver", "tcp://[::1]:7077", "--key-file", "keys"])
    assert served[0][0] == "tcp://[::1]:7077"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "COMMAND"),
        (["bake"], "invalid choice: 'bake'"),
        (["executor"], "--driver, --key-file"),
        (["executor", "--driver", "10.0.0.1:7077", "--key-file", "k"], "write tcp://host:port"),
        (["executor", "--driver", "tcp://10.0.0.1", "--key-file", "k"], "write tcp://host:port"),
        (["executor", "--driver", "tcp://10.0.0.1:99999", "--key-file", "k"], "write tcp://host:port"),
        (["executor", "--driver", "tcp://:7077", "--key-file", "k"], "write tcp://host:port"),
        ([*JOIN, "--slots", "0"], "a number of 1 or more, not '0'"),
        ([*JOIN, "--slots", "many"], "a number of 1 or more, not 'many'"),
        ([*JOIN, "--memory", "lots"], "not a size in bytes: 'lots' (write for instance 512m or 2g)"),
        (["explain-log"], "LOG"),
        (["explain-log", "x", "--job", "1", "--replay"], "not allowed with"),
        (["explain-log", "x", "--job", "first"], "invalid int value: 'first'"),
        (["explain-log", "x", "--check"], "--check goes with --replay"),
    ],
)
def test_what_is_asked_wrongly_ends_with_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert text in refusal(capsys, *arguments)


def test_an_executor_needs_memory_for_each_worker(
    served: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*JOIN, "--slots", "2", "--memory", "128m"]) == 7
    assert main([*JOIN, "--slots", "2", "--memory", "127m"]) == 2
    text = "--memory 127.0 MiB is 63.5 MiB for each worker, and each needs at least 64.0 MiB: "
    assert text in capsys.readouterr().err
    assert main([*JOIN, "--memory", "1k"]) == 2
    assert len(served) == 1


@pytest.mark.parametrize("why", ["No module named 'msgpack'", "\n  zmq was not compiled\n\n  more of it"])
def test_a_python_without_what_is_needed_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    def lack(*given: object) -> int:
        raise ImportError(why)

    monkeypatch.setattr(executor, "serve", lack)
    assert main(JOIN) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rddlite executor: {sys.executable} cannot run an executor: {why.split()[0]}")
    assert "install rddlite for that Python" in line


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "serve", interrupt)
    assert main(JOIN) == 130
