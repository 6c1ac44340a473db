"""Functions to bytes and back, and the path to what cannot be pickled."""

from __future__ import annotations

import functools
import json
import sys
import threading
import types
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from typing import Any, NewType

import pytest

from rddlite.errors import NestedRDD, NotPicklable
from rddlite.serde import closures
from rddlite.serde.closures import dumps, dumps_function, explain_unpicklable, largest_captures, loads, loads_function

LOCK = threading.Lock()
SETTINGS = {"depth": [1, {"lock": LOCK}]}
Pair = namedtuple("Pair", "left right")


def shipped(f: Callable[..., Any]) -> Callable[..., Any]:
    return loads_function(dumps_function(f, "the function"))


def refused(f: Callable[..., Any]) -> str:
    with pytest.raises(NotPicklable) as error:
        dumps_function(f, "the function of map at job.py:12")
    assert error.value.__cause__ is not None
    text = str(error.value)
    assert text.startswith("the function of map at job.py:12 cannot be sent to other processes: ")
    return text


class Client:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.myself = self

    def fetch(self, x: int) -> int:
        return x


class Slotted:
    __slots__ = ("client",)

    def __init__(self) -> None:
        self.client = Client()


class WithState:
    def __getstate__(self) -> Any:
        raise KeyError("no state")


def default_lock(x: int, lock: Any = LOCK) -> int:
    return x


def test_importable_functions_go_by_reference() -> None:
    assert shipped(json.dumps) is json.dumps
    assert shipped(len) is len
    assert shipped(str.upper) is str.upper
    assert len(dumps_function(json.dumps, "f")) < 60


def test_closures_lambdas_partials_and_methods() -> None:
    factor = 3

    def scaled(x: int, *, by: int = 2) -> int:
        return x * by * factor + inner(x)

    def inner(x: int) -> int:
        return 0 if x <= 0 else inner(x - 1)

    assert shipped(scaled)(2) == 12
    assert shipped(lambda x: [y + factor for y in x])([1]) == [4]
    assert shipped(functools.partial(scaled, by=1))(2) == 6

    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def add(self, x: int) -> int:
            return x + self.n

        __call__ = add

    assert shipped(Adder(5).add)(1) == 6
    assert shipped(Adder(5))(1) == 6


def test_each_load_is_a_copy_of_its_own() -> None:
    seen: list[int] = []
    blob = dumps_function(lambda x: seen.append(x) or seen, "f")
    loads_function(blob)(1)
    assert loads_function(blob)(2) == [2]
    assert seen == []


def test_success_pickles_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        pickled = 0

        def __reduce__(self) -> Any:
            type(self).pickled += 1
            return int, ()

    counted = Counted()
    monkeypatch.setattr(closures, "find_culprit", None)
    dumps_function(lambda: counted, "f")
    assert Counted.pickled == 1


def parse_with_closure() -> Callable[[int], int]:
    client = Client()

    def parse(x: int) -> int:
        return client.fetch(x)

    return parse


def deep_in_functions() -> Callable[[], Any]:
    lock = LOCK
    helper = functools.partial(lambda a, b: (a, b, lock), 1)
    return lambda: [helper(2)]


def with_nested_code() -> Callable[[], Any]:
    return lambda: [[SETTINGS for _ in range(2)] for _ in range(3)]


def with_generator() -> Callable[[], Any]:
    numbers = (i for i in range(3))
    return lambda: next(numbers)


def with_large_list() -> Callable[[], Any]:
    many: list[Any] = list(range(20_000))
    many[12_345] = LOCK
    return lambda: many


def with_local_class() -> Callable[[], Any]:
    class Config:
        lock = LOCK

        @property
        def value(self) -> Any:
            return self.lock

    return lambda: Config


def capturing(value: Any) -> Callable[[], Any]:
    return lambda: value


VALUE = "closure variable 'value' -> "


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (parse_with_closure, "parse() -> closure variable 'client' -> attribute '_lock'"),
        (deep_in_functions, " -> closure variable 'helper' -> lambda at "),
        (with_nested_code, "global 'SETTINGS' -> ['depth'] -> [1] -> ['lock']"),
        (with_large_list, "closure variable 'many' -> [12345]"),
        (with_local_class, "closure variable 'Config' -> class attribute 'lock'"),
        (lambda: Client().fetch, "fetch() -> the object it is bound to -> attribute '_lock'"),
        (lambda: functools.partial(max, 1, key=LOCK), "partial of max() -> argument 'key'"),
        (lambda: functools.partial(max, LOCK), "partial of max() -> argument 0"),
        (lambda: capturing(Slotted()), VALUE + "attribute 'client' -> attribute '_lock'"),
        (lambda: capturing(Pair(1, LOCK)), VALUE + "field 'right'"),
        (lambda: capturing(OrderedDict(a=deque([LOCK]))), VALUE + "['a'] -> [0]"),
        (lambda: capturing({frozenset({LOCK})}), VALUE + "an element -> an element"),
        (lambda: capturing({LOCK: 1}), VALUE + "key <unlocked"),
        (lambda: capturing(staticmethod(default_lock.__get__(LOCK))), "the object it is bound to"),
        (lambda: capturing(property(parse_with_closure())), "getter -> closure variable 'client'"),
    ],
)
def test_the_path_to_the_culprit(make: Callable[[], Any], path: str) -> None:
    text = refused(make())
    assert "cannot pickle '_thread.lock' object: reached through " in text
    assert path in text
    assert "mapPartitions" in text


def test_defaults_and_attributes() -> None:
    def local(x: int, y: Any = LOCK, *, z: Any = None) -> None: ...

    assert "local() -> default of parameter 'y'" in refused(local)

    def keyword(*, z: Any = LOCK) -> None: ...

    assert "default of parameter 'z'" in refused(keyword)

    def marked() -> None: ...

    marked.client = Client()
    assert "marked() -> attribute 'client' -> attribute '_lock'" in refused(marked)


def test_other_culprits() -> None:
    assert "cannot pickle 'generator' object" in refused(with_generator())
    state = WithState()
    text = refused(lambda: state)
    assert "WithState' object (KeyError: 'no state'): reached through " in text


def test_a_cycle_through_the_culprit_does_not_mislead() -> None:
    class Node:
        pass

    first, second = Node(), Node()
    first.other, second.other = second, first
    first.lock = LOCK
    assert refused(lambda: first).count("->") == 2
    assert "'lock'" in refused(lambda: second)


def test_too_deep() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    text = refused(lambda: deep)
    assert "the list object is nested too deeply to be pickled: lambda at " in text
    assert "closure variable 'deep'" in text
    while deep:
        deep = deep[0]


class Handle:
    def __reduce__(self) -> Any:
        raise NestedRDD("an RDD cannot be used inside a task")


def test_errors_on_purpose_keep_their_type_and_learn_the_path() -> None:
    handles = [Handle()]
    with pytest.raises(NestedRDD, match="an RDD cannot be used inside a task") as error:
        dumps_function(lambda: handles, "the function of map at job.py:3")
    assert "closure variable 'handles' -> [0], in the function of map at job.py:3" in str(error.value)
    assert error.value.__cause__ is None


def test_memory_errors_are_not_explained() -> None:
    class Hungry:
        def __reduce__(self) -> Any:
            raise MemoryError

    hungry = Hungry()
    with pytest.raises(MemoryError):
        dumps_function(lambda: hungry, "f")


def test_nothing_to_explain() -> None:
    assert explain_unpicklable(lambda: 1, "f()") is None
    culprit = explain_unpicklable([Client()], "result")
    assert culprit is not None
    assert (culprit.path, culprit.type_name) == ("result -> [0] -> attribute '_lock'", "_thread.lock")


def test_largest_captures() -> None:
    table, small = b"x" * 100_000, [1, 2, 3]

    def look(x: int, default: Any = small) -> Any:
        return table, SETTINGS, x

    (name, size), *others = largest_captures(look)
    assert name == "closure variable 'table'"
    assert 100_000 <= size < 101_000
    assert ("global 'SETTINGS'", 0) in others
    assert [name for name, _ in others[:1]] == ["default of parameter 'default'"]
    assert ("argument 0", size) in largest_captures(functools.partial(look, table))
    assert largest_captures(len) == []


class Holder:
    def __init__(self) -> None:
        self.table = b"x" * 5000

    def method(self, x: int) -> int:
        return x

    def __call__(self) -> None: ...


def test_captures_of_methods_and_callable_objects() -> None:
    assert largest_captures(Holder().method)[0][0] == "the object it is bound to"
    assert largest_captures(Holder()) == [("attribute 'table'", len(dumps(b"x" * 5000)))]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(
        "import functools, enum, typing, dataclasses\n"
        "@functools.lru_cache(maxsize=7, typed=True)\n"
        "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "class Colour(enum.Enum):\n"
        "    RED = 1\n"
        "UserId = typing.NewType('UserId', int)\n"
        "def use(n: UserId): return fib(n), Colour.RED.name\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Key:\n"
        "    name: str\n",
        module.__dict__,
    )
    return module


def test_what_the_users_script_defines_travels_by_value(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [dumps_function(script.use, "f"), dumps_function(script.fib, "f"), dumps(script.Key("a"))]
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    use, fib, key = map(loads, blobs)
    assert use(10) == (55, "RED")
    assert fib(20) == 6765
    assert fib.cache_parameters() == {"maxsize": 7, "typed": True}
    assert key.name == "a"


def test_importable_caches_and_types_go_by_reference() -> None:
    assert loads(dumps(cached)) is cached
    assert loads(dumps(Meters)) is Meters


@functools.lru_cache
def cached(x: int) -> int:
    return x


Meters = NewType("Meters", int)
