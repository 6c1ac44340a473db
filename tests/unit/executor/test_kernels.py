"""Sizes of batches, and what is kept of compiled loops."""

from __future__ import annotations

import gc
import linecache
import sys
import weakref

from rddlite.executor import kernels, loops
from rddlite.executor.chain import Token, token
from rddlite.executor.comprehension import fits
from rddlite.lineage.ops import Filter, FlatMap, KeyBy, Keys, Map, MapValues, Values
from tests.helpers.chains import user


def test_batches_grow_while_records_are_small():
    limits = [1]
    for _ in range(6):
        limits.append(kernels.next_limit([7] * limits[-1], limits[-1]))
    assert limits == [1, 8, 64, 512, 4096, 4096, 4096]


def test_batches_shrink_when_records_are_large():
    assert kernels.next_limit([bytes(1 << 20)] * 4, 4096) == 4096  # too few to look at
    assert kernels.next_limit([bytes(1 << 20)] * 300, 4096) in range(2, 5)
    assert kernels.next_limit([bytes(1 << 25)], 1) == 1
    assert kernels.next_limit([("key", [bytes(1 << 20)])], 8) == 64  # only so deep does it look
    assert kernels.next_limit([("key", bytes(1 << 20))], 8) in range(2, 5)
    assert kernels.next_limit([memoryview(bytes(1 << 20))], 8) in range(2, 5)


def test_loops_of_one_shape_are_compiled_once():
    def shape(*functions):
        return loops.Shape("collect", "batches", tuple(token(Map(user(f))) for f in functions))

    assert loops.loop_of(shape(str, len)) is loops.loop_of(shape(int, repr))
    assert loops.loop_of(shape(str)) is not loops.loop_of(shape(str, len))
    assert loops.loop_of(shape(lambda x: x)) is not loops.loop_of(shape(str))


def test_a_loop_that_is_no_longer_kept_takes_its_source_with_it():
    loop = loops.loop_of.__wrapped__(loops.Shape("stream", "batches", (Token(Map),) * 5))
    filename = loop.__code__.co_filename
    assert linecache.getline(filename, 1).startswith("def fused(batches, piece, f0")
    gone = weakref.ref(loop)
    del loop
    assert gone() is None  # at once: it is part of no cycle
    assert filename not in linecache.cache
    gc.collect()


def test_short_chains_are_comprehensions_where_no_pair_is_built_for_nothing():
    def tokens(*ops):
        return [token(op) for op in ops]

    f = user(str)
    assert fits(tokens(Map(f)))
    assert fits(tokens(Filter(f), Map(f), KeyBy(f)))
    assert fits(tokens(Keys(), MapValues(f)))
    assert not fits([])
    assert not fits(tokens(FlatMap(f)))
    assert not fits(tokens(KeyBy(f), MapValues(f)))
    assert not fits(tokens(Map(user(lambda x: (x, 1))), Values()))
    assert not fits(tokens(*[Map(f)] * 17))


def test_counting_is_done_in_c():
    assert sys.implementation.name != "cpython" or type(kernels.count_elements) is type(len)
