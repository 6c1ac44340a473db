"""Exceptions as data and back: the original type where it can be had, and never another error on the way."""

from __future__ import annotations

import builtins
import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

import rddlite
from rddlite.errors import ConfigError, JobFailed, NotPicklable, RemoteError
from rddlite.serde import closures, failure
from rddlite.serde.failure import capture, restore
from rddlite.serde.records import encode_records


class TwoArguments(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")
        self.first = first


class Prefixed(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"bad {name}")


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class StrRaises(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class ReduceRaises(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Holding(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class Liar(Exception):
    def __reduce__(self) -> Any:
        return ValueError, ("something else",)


def raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as caught:
        return capture(caught)


def there_and_back(error: BaseException) -> BaseException:
    # as a Failure travels: by fields
    return restore(raised(error))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        KeyError(("a", 1)),
        FileNotFoundError(2, "No such file", "here"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        json.JSONDecodeError("Expecting value", "doc", 0),
        StopIteration(5),
        ConfigError("wrong"),
        JobFailed("failed", stage="s", partition=3),
        TwoArguments("one", "two"),
        Prefixed("name"),
        KeywordOnly(code=7),
        Liar("truth"),
        KeyboardInterrupt(),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_original_type_comes_back(error: BaseException) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert vars(back) == vars(error)


def test_an_address_in_the_text_does_no_harm() -> None:
    back = there_and_back(KeyError(object()))
    assert type(back) is KeyError


def test_attributes_that_cannot_travel_stay_behind() -> None:
    back = there_and_back(Holding("it broke"))
    assert type(back) is Holding
    assert str(back) == "it broke"
    assert not hasattr(back, "lock")


def test_classes_of_functions_come_back() -> None:
    class Local(Exception):
        pass

    assert type(there_and_back(Local("x"))) is Local


@pytest.mark.parametrize("error", [ValueError(threading.Lock()), ValueError("x" * (2 << 20))])
def test_what_cannot_travel_is_stood_in_for(error: Exception) -> None:
    data = raised(error)
    assert data.pickled is None
    back = restore(data)
    assert isinstance(back, RemoteError)
    assert str(back).startswith("ValueError: ")


def test_what_exists_on_executors_only_is_stood_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    data = raised(TwoArguments("one", "two"))
    monkeypatch.delattr(sys.modules[__name__], "TwoArguments")
    back = restore(data)
    assert isinstance(back, RemoteError)
    assert str(back) == f"{__name__}.TwoArguments: one and two"


def test_a_pickle_of_something_else_is_stood_in_for() -> None:
    data = raised(ValueError("x"))
    for wrong in (closures.dumps(5), closures.dumps((int, (), {})), b"garbage"):
        assert isinstance(restore(type(data)("E", "", "", "", wrong)), RemoteError)
    assert str(restore(type(data)("E", "", "", ""))) == "E"


def test_hostile_exceptions_are_captured() -> None:
    data = raised(StrRaises("x"))
    assert data.message == "<its str raises SystemExit>"
    assert data.type_name == f"{__name__}.StrRaises"
    assert "StrRaises" in data.user_traceback
    assert type(there_and_back(ReduceRaises("x"))) is ReduceRaises


def test_the_users_frames_alone() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def fused(f):\n    return f()\n", "<rddlite fused 12>", "exec"), namespace)
    package_file = str(Path(rddlite.__file__).parent / "executor" / "runner.py")
    exec(compile("def run(f, g):\n    return f(g)\n", package_file, "exec"), namespace)

    def users() -> float:
        return 1 / 0

    try:
        namespace["run"](namespace["fused"], users)
    except ZeroDivisionError as error:
        data = capture(error, record="7", operation="map(users) at job.py:3", call_site="map at job.py:3")
    assert "in users" in data.user_traceback
    assert "return 1 / 0" in data.user_traceback
    assert "rddlite fused" not in data.user_traceback
    assert "runner.py" not in data.user_traceback
    assert "rddlite fused" in data.full_traceback
    assert "runner.py" in data.full_traceback
    assert data.user_traceback.endswith("ZeroDivisionError: division by zero\n")
    assert data.location == f"{__file__}:{users.__code__.co_firstlineno + 1}"
    assert (data.record, data.operation, data.call_site) == ("7", "map(users) at job.py:3", "map at job.py:3")


def test_the_machinery_of_with_goes_with_the_frames_that_used_it() -> None:
    @contextlib.contextmanager
    def users() -> Iterator[None]:
        yield

    namespace: dict[str, Any] = {"users": users}
    exec(compile("def fused():\n    with users():\n        f()\n", "<rddlite fused 12>", "exec"), namespace)
    with pytest.raises(NameError) as caught:
        namespace["fused"]()
    assert "contextlib" not in capture(caught.value).user_traceback


def test_no_frame_left() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def fused(f):\n    return f()\n", "<rddlite fused 12>", "exec"), namespace)
    try:
        namespace["fused"](3)
    except TypeError as error:
        data = capture(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    assert data.user_traceback == "TypeError: 'int' object is not callable\n"
    assert data.location == ""
    assert capture(ValueError("never raised")).user_traceback.endswith("ValueError: never raised\n")


def test_the_location_is_in_the_users_code_not_in_the_library_it_called() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        data = capture(error)
    assert data.location.startswith(f"{__file__}:")
    assert "json/decoder.py" in data.user_traceback


def test_a_library_is_better_than_no_location() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        inside = error.__traceback__ and error.__traceback__.tb_next
        data = capture(error.with_traceback(inside))
    assert "json" in data.location


def test_causes_contexts_and_notes_are_told() -> None:
    def first() -> None:
        raise KeyError("first")

    def second() -> None:
        try:
            first()
        except KeyError as error:
            raise ValueError("second") from error

    try:
        try:
            second()
        finally:
            raise OSError("third")
    except OSError as error:
        if sys.version_info >= (3, 11):
            error.add_note("a note")
        data = capture(error)
    for text in ("KeyError: 'first'", "ValueError: second", "OSError: third", "direct cause", "in first"):
        assert text in data.user_traceback
    assert ("a note" in data.user_traceback) is (sys.version_info >= (3, 11))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_groups() -> None:
    def member() -> None:
        raise KeyError("inner")

    try:
        member()
    except KeyError as error:
        inner = error
    group = builtins.ExceptionGroup("several", [inner])
    data = raised(group)
    assert "several" in data.user_traceback
    assert "in member" in data.user_traceback
    assert type(restore(data)) is type(group)


def test_endless_recursion_is_shown_in_short() -> None:
    def down(n: int) -> int:
        return down(n + 1)

    try:
        down(0)
    except RecursionError as error:
        data = capture(error)
    assert "more times" in data.user_traceback
    assert type(restore(data)) is RecursionError


def test_giant_texts_are_cut() -> None:
    data = raised(ValueError("x" * 1_000_000))
    assert len(data.message) < 110_000
    assert len(data.user_traceback) < 110_000
    assert "characters left out" in data.message


def test_a_traceback_that_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: BaseException) -> None:
        raise MemoryError

    monkeypatch.setattr(failure.traceback.TracebackException, "from_exception", fail)
    assert "cannot be shown: MemoryError" in raised(ValueError("x")).user_traceback


@pytest.mark.parametrize(
    ("error", "is_transient"),
    [(ConnectionResetError(), True), (URLError("no route"), True), (TimeoutError(), True), (ValueError(), False)],
)
def test_errors_of_the_world_are_marked(error: Exception, is_transient: bool) -> None:
    assert capture(error).is_transient is is_transient


def wrap(error: Exception, is_explicit: bool) -> Exception:
    """What comes out where a library catches one exception and raises another."""
    try:
        try:
            raise error
        except type(error) as caught:
            if is_explicit:
                raise ValueError("wrapped") from caught
            raise ValueError("wrapped")  # noqa: B904 - as many do
    except ValueError as wrapped:
        return wrapped


@pytest.mark.parametrize("is_explicit", [True, False])
def test_errors_of_the_world_are_marked_however_often_they_are_wrapped(is_explicit: bool) -> None:
    once = wrap(ConnectionResetError("reset"), is_explicit)
    assert capture(once).is_transient
    assert capture(wrap(once, is_explicit)).is_transient
    assert not capture(wrap(wrap(KeyError("x"), is_explicit), is_explicit)).is_transient


def test_errors_of_the_world_that_somebody_dealt_with_do_not_count() -> None:
    error = wrap(ConnectionResetError("reset"), False)
    error.__suppress_context__ = True
    assert not capture(error).is_transient


def test_a_circle_of_exceptions_has_an_end() -> None:
    error = wrap(KeyError("x"), True)
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    assert not capture(error).is_transient


def test_what_cannot_be_pickled_is_told_without_the_way_of_pickle() -> None:
    try:
        encode_records([threading.Lock()])
    except NotPicklable as error:
        told = capture(error)
    assert "rddlite.errors.NotPicklable: record <unlocked _thread.lock object" in told.user_traceback
    assert "cloudpickle" not in told.user_traceback
    assert "cloudpickle" in told.full_traceback
