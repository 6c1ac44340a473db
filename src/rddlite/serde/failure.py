"""Exceptions as data, and back to exceptions in another process.

`capture` runs where a task failed and must not fail itself, whatever the exception is like: its str or repr may raise,
its class may exist in that process only, its constructor may take other arguments than it keeps. `restore` runs on the
driver and gives the original type where that can be rebuilt. Called by the executor's runner and by the driver's jobs.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import Any

from rddlite.base.outcome import Failure
from rddlite.errors import NotPicklable, RemoteError
from rddlite.serde import closures
from rddlite.serde.shortrepr import type_name

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FUSED = "<rddlite "
"""Names of generated code begin with this."""
_WITH = os.path.abspath(contextlib.__file__)
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_LONGEST_TEXT = 100_000
_LARGEST_PICKLE = 1 << 20
"""A failure travels in a control message: an exception that drags a data set along is left behind."""

_ATOMS = (str, bytes, int, float, complex, type(None))

_Unsafe = (Exception, SystemExit, GeneratorExit)
"""What the user's code may raise while it is being shown or pickled; an interrupt still gets through."""


def capture(
    exc: BaseException, *, record: str | None = None, operation: str | None = None, call_site: str | None = None
) -> Failure:
    """An exception as data. Never raises.

    `record` is text made by `short_repr`.
    """
    user, full = _tracebacks(exc)
    return Failure(
        type_name=type_name(type(exc)),
        message=_message(exc),
        user_traceback=user,
        full_traceback=full,
        pickled=_pickled(exc),
        location=_location(exc),
        record=record,
        operation=operation,
        call_site=call_site,
        is_transient=_is_transient(exc),
    )


def restore(failure: Failure) -> BaseException:
    """The exception, of its original type if that can be had in this process; else a RemoteError with its text."""
    if failure.pickled is not None:
        try:
            exc = _rebuild(failure.pickled)
        except _Unsafe:  # a class or module that exists on the executors only
            exc = None
        if isinstance(exc, BaseException):
            return exc
    return RemoteError(f"{failure.type_name}: {failure.message}" if failure.message else failure.type_name)


def is_user_frame(filename: str) -> bool:
    """Whether a frame of this file belongs into the user's traceback: not rddlite's own, not generated."""
    return not (filename.startswith((_PACKAGE, _FUSED)))


def _is_ours(filename: str, caller: str) -> bool:
    """Whether a frame is no matter of the user: rddlite's, generated, or the machinery of a `with` of these."""
    is_with = filename == _WITH and caller != "" and not is_user_frame(caller)
    return is_with or not is_user_frame(filename)


def _is_transient(exc: BaseException) -> bool:
    """Whether the world did it: an OSError, or what somebody made of one."""
    done: set[int] = set()
    pending: list[BaseException | None] = [exc]
    while pending:
        one = pending.pop()
        if one is None or id(one) in done:
            continue
        if isinstance(one, OSError):
            return True
        done.add(id(one))
        pending.append(one.__cause__ if one.__suppress_context__ else one.__context__)
    return False


def _message(exc: BaseException) -> str:
    try:
        text = str(exc)
    except _Unsafe as error:
        return f"<its str raises {type_name(type(error))}>"
    return _cut(text)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _tracebacks(exc: BaseException) -> tuple[str, str]:
    """The user's frames alone, and all frames; with causes, contexts and notes."""
    try:
        story = traceback.TracebackException.from_exception(exc)
        full = "".join(story.format())
        _drop_frames(story, set())
        if isinstance(exc, NotPicklable):
            # Its text tells the culprit and the way to it; how pickle came upon it is no matter of the user's.
            story.__cause__ = story.__context__ = None
        user = "".join(story.format())
    except _Unsafe as error:
        text = f"{type_name(type(exc))}: {_message(exc)} (its traceback cannot be shown: {type_name(type(error))})\n"
        return text, text
    return _cut(user), _cut(full)


def _drop_frames(story: traceback.TracebackException, done: set[int]) -> None:
    """Leave only the user's frames in an exception, its causes and contexts and the members of its group."""
    pending = [story]
    while pending:
        one = pending.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        callers = ["", *(frame.filename for frame in one.stack)]
        frames = [
            frame for frame, caller in zip(one.stack, callers, strict=False) if not _is_ours(frame.filename, caller)
        ]
        one.stack = traceback.StackSummary.from_list(frames)
        linked = [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]
        pending += [other for other in linked if other is not None]


def _location(exc: BaseException) -> str:
    """`file:line` of the deepest frame of the user's own code, or of a library where no such frame is left."""
    own = foreign = ""
    step = exc.__traceback__
    while step is not None:
        filename = step.tb_frame.f_code.co_filename
        if is_user_frame(filename):
            foreign = f"{filename}:{step.tb_lineno}"
            if not _is_library(filename):
                own = foreign
        step = step.tb_next
    return own or foreign


def _is_library(filename: str) -> bool:
    is_installed = f"{os.sep}site-packages{os.sep}" in filename
    return is_installed or filename.startswith((_STANDARD_LIBRARY, "<frozen "))


def _pickled(exc: BaseException) -> bytes | None:
    """The exception in a form that `_rebuild` was seen to rebuild, or None."""
    for form in (_as_it_pickles, _by_its_fields, _by_its_arguments):
        try:
            blob = closures.dumps(form(exc))
            if len(blob) <= _LARGEST_PICKLE and _is_same(_rebuild(blob), exc):
                return blob
        except _Unsafe:  # another form may do; none is an answer too
            continue
    return None


def _as_it_pickles(exc: BaseException) -> Any:
    return exc


def _by_its_fields(exc: BaseException) -> Any:
    """Rebuilt without calling a constructor that wants other arguments than the exception keeps."""
    return type(exc), exc.args, vars(exc)


def _by_its_arguments(exc: BaseException) -> Any:
    """Without its attributes: one of them may be a lock or a connection."""
    return type(exc), exc.args, {}


def _rebuild(blob: bytes) -> Any:
    loaded = closures.loads(blob)
    if not isinstance(loaded, tuple):
        return loaded
    kind, arguments, state = loaded
    exc = kind.__new__(kind, *arguments)
    vars(exc).update(state)
    return exc


def _is_same(rebuilt: Any, exc: BaseException) -> bool:
    """Whether a rebuilt exception says what the original said. Texts with addresses in them differ rightly."""
    if type(rebuilt) is not type(exc) or len(rebuilt.args) != len(exc.args):
        return False
    for new, old in zip(rebuilt.args, exc.args, strict=True):
        if type(new) is not type(old) or (isinstance(old, _ATOMS) and new != old and old == old):
            return False
    is_plain = all(isinstance(argument, _ATOMS) for argument in exc.args)
    return not is_plain or _message(rebuilt) == _message(exc)
