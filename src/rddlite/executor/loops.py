"""Fused loops: a chain of operations and what takes its records, compiled into one Python function.

A loop depends only on the `Shape`: kinds of operations, recognised idioms, sink and source. Functions of the user are
arguments, so loops are compiled once per process and shape, and kept for the most recent shapes. The source is
registered with `linecache`: tracebacks, debuggers and profilers show it.

A compiled loop is called with an iterator of batches, its `Piece`, and what its shape needs by name.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from rddlite.executor.blame import FUSED
from rddlite.executor.chain import Body, ChainWriter, Token, names_of
from rddlite.executor.combining import Combine, Combining
from rddlite.executor.comprehension import fits, write_comprehension
from rddlite.executor.kernels import NAMESPACE
from rddlite.executor.loopcode import CURRENT_RECORD, LoopCode, Record
from rddlite.executor.sinks import Accumulate, Call, Emit, Gather, Sink, Tally, Yield, bound_names

Form = Literal["stream", "emit", "collect", "count", "foreach", "reduce", "fold", "combine"]

Source = Literal["batches", "iterable", "columns"]
"""What the loop reads: batches that are lists, or any iterables, or pairs of a list of keys and one of values."""

_KEPT_SHAPES = 256
_numbers = itertools.count(1)


class Shape(NamedTuple):
    """All that the source of a loop depends on. `merge` is the idiom of a merging consumer, `n_bound` says how many
    arguments the function of a consumer is given before the record.
    """

    form: Form
    source: Source
    tokens: tuple[Token, ...]
    merge: str | None = None
    combining: Combining | None = None
    n_bound: int = 0


@lru_cache(maxsize=_KEPT_SHAPES)
def loop_of(shape: Shape) -> Callable[..., Any]:
    """The compiled loop of a shape."""
    code = _source(shape)
    filename = f"{FUSED}{next(_numbers)}>"
    scope = {**NAMESPACE, "SPOTS": code.spots, "__name__": "rddlite.fused"}
    exec(compile(code.text, filename, "exec", dont_inherit=True), scope)
    # Without a cycle through its globals, a loop that is no longer kept goes at once, and its source with it.
    loop: Callable[..., Any] = scope.pop("fused")
    linecache.cache[filename] = (len(code.text), None, code.text.splitlines(keepends=True), filename)
    weakref.finalize(loop, linecache.cache.pop, filename, None).atexit = False
    return loop


def _source(shape: Shape) -> LoopCode:
    sink = _sink(shape)
    sink.position = len(shape.tokens)
    code = LoopCode([token.kind.label for token in shape.tokens])
    names = [name for i, token in enumerate(shape.tokens) for name in names_of(i, token)]
    code.line(f"def fused(batches, piece, {', '.join([*names, *_extra_names(shape)])}):")
    with code.block():
        sink.start(code)
        write = _write_emit if isinstance(sink, Emit) else _write_consume
        code.line("try:")
        with code.block():
            write(code, shape, sink)
        code.line("except EXPECTED as error:")
        with code.block():
            code.line("explain(error)")
            code.line("raise")
        sink.finish(code)
    return code


def _extra_names(shape: Shape) -> list[str]:
    """Arguments beyond the functions of the operations."""
    match shape.form:
        case "foreach":
            return ["consume", *bound_names(shape.n_bound)]
        case "reduce":
            return [] if shape.merge else ["merge"]
        case "fold":
            return ["total"] if shape.merge else ["total", "merge"]
        case "combine":
            assert shape.combining is not None
            first, merge = shape.combining
            calls = [] if merge or first in ("list", "lists") else ["merge"]
            given = {"zero": ["zero"], "loaded": ["zero"], "create": ["create"]}.get(first, [])
            return ["table", *calls, *given]
    return []


def _sink(shape: Shape) -> Sink:
    match shape.form:
        case "stream":
            return Yield()
        case "emit":
            return Emit()
        case "collect":
            return Gather()
        case "count":
            return Tally()
        case "foreach":
            return Call(shape.n_bound)
        case "reduce" | "fold":
            return Accumulate(shape.merge, start_given=shape.form == "fold")
        case "combine":
            assert shape.combining is not None
            return Combine(shape.combining)


def _write_consume(code: LoopCode, shape: Shape, sink: Sink) -> None:
    tokens, writer = shape.tokens, ChainWriter(code, shape.tokens, sink)
    if shape.source == "columns":
        code.risky("for keys, values in batches:", -1, "read")
        with code.block():
            if not tokens and sink.takes_columns():
                sink.take_columns(code, "keys", "values")
                return
            code.line("for k, v in zip(keys, values):")
            with code.block():
                writer.write(0, Record(None, "k", "v"))
        return
    code.risky("for part in batches:", -1, "read")
    with code.block():
        is_list = shape.source == "batches"
        if sink.takes_all(tokens):
            sink.take_all(code, "part", -1, None)
        elif is_list and fits(tokens[:-1]) and sink.takes_all(tokens[-1:]):
            code.line("it = iter(part)")
            write_comprehension(code, "items = ", tokens[:-1])
            sink.take_all(code, "items", sink.position, None)
        elif is_list and isinstance(sink, Gather) and fits(tokens):
            code.line("it = iter(part)")
            write_comprehension(code, "out += ", tokens)
        elif is_list and not tokens and sink.splits_pairs:
            code.line("it = iter(part)")
            code.risky("for k, v in it:", sink.position, "unpack", CURRENT_RECORD, CURRENT_RECORD.name or "")
            with code.block():
                writer.write(0, Record(CURRENT_RECORD.name, "k", "v"))
        else:
            body = Body("r", lambda: writer.write(0, Record("r")))
            sink.loop(code, "part", body, -1, None, not writer.multiplies)


def _write_emit(code: LoopCode, shape: Shape, sink: Sink) -> None:
    tokens, writer = shape.tokens, ChainWriter(code, shape.tokens, sink)
    if shape.source == "batches" and not writer.multiplies:
        _write_emit_sliced(code, tokens, writer)
        return
    code.line("out = []")
    code.line("limit = room = 1")
    code.risky("for part in batches:", -1, "read")
    with code.block():
        if sink.takes_all(tokens):
            sink.take_all(code, "part", -1, None)
        else:
            body = Body("r", lambda: writer.write(0, Record("r")))
            sink.loop(code, "part", body, -1, None, not writer.multiplies)
    code.line("if out: yield out")


def _write_emit_sliced(code: LoopCode, tokens: Sequence[Token], writer: ChainWriter) -> None:
    """At most one record out for one in: a batch out for a batch in, or for a slice of it where records are large."""
    code.line("limit = 1")
    code.risky("for batch in batches:", -1, "read")
    with code.block():
        code.line("at = 0")
        code.line("while at < len(batch):")
        with code.block():
            code.line("part = batch[at:at + limit] if at or limit < len(batch) else batch")
            code.line("at += len(part)")
            if fits(tokens):
                code.line("it = iter(part)")
                write_comprehension(code, "out = ", tokens)
            else:
                code.line("out = []")
                code.line("for r in part:")
                with code.block():
                    writer.write(0, Record("r"))
            code.line("if out:")
            with code.block():
                code.line("limit = next_limit(out, limit)")
                code.line("yield out")
