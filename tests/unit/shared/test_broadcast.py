"""The handle of a broadcast: on the driver, in functions, in tasks."""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rddlite.base.ids import BroadcastId
from rddlite.errors import BroadcastDestroyed, ContextStopped, DriverOnly
from rddlite.serde.closures import dumps, loads
from rddlite.shared.broadcast import Broadcast
from rddlite.shared.current import CurrentTask, current_task
from rddlite.shared.pieces import FOLDER, BroadcastSpec, file_of
from rddlite.shared.store import BroadcastStore
from rddlite.shared.stored import write_value


class Driver:
    """Notes what it is told."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        (scratch / FOLDER).mkdir()
        self.told: list[tuple[str, int]] = []
        self.is_stopped = False
        self._n = 1000

    def broadcast(self, value: Any) -> Broadcast[Any]:
        self._n += 1
        broadcast = BroadcastId(self._n)
        size, checksums = write_value(file_of(str(self.scratch), broadcast), value)
        return Broadcast(BroadcastSpec(broadcast, size, checksums), value, self)

    def unpersist(self, broadcast: BroadcastId, blocking: bool) -> None:
        self.told.append(("unpersist", broadcast))

    def destroy(self, broadcast: BroadcastId, blocking: bool) -> None:
        self.told.append(("destroy", broadcast))

    def dropped(self, broadcast: BroadcastId) -> None:
        self.told.append(("dropped", broadcast))

    def check_usable(self) -> None:
        if self.is_stopped:
            raise ContextStopped("it is over")


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


@contextmanager
def task(driver: Driver) -> Iterator[None]:
    store = BroadcastStore(str(driver.scratch), None, 1 << 30, lambda size: None)
    token = current_task.set(CurrentTask(0, 0, 0, 0, broadcasts=store))
    try:
        yield
    finally:
        current_task.reset(token)


def test_the_drivers_value_is_the_object_itself(driver: Driver) -> None:
    value = [1]
    made = driver.broadcast(value)
    assert made.value is value
    value.append(2)
    assert made.value == [1, 2]


def test_tasks_have_the_value_of_the_moment_of_broadcast(driver: Driver) -> None:
    value = [1]
    made = driver.broadcast(value)
    value.append(2)
    with task(driver):
        copy = loads(dumps(made))
        assert copy.value == [1]
        copy.value.append(9)
        assert loads(dumps(copy)).value == [1, 9], "tasks of one worker share it"
        assert copy.id == made.id
    assert made.value == [1, 2]


def test_once_read_a_tasks_handle_is_still_one(driver: Driver) -> None:
    made = driver.broadcast([1])
    with task(driver):
        copy = loads(dumps(made))
        assert copy.value is copy.value
        assert isinstance(copy, Broadcast)
        assert repr(copy) == repr(made)
        with pytest.raises(AttributeError, match="cannot be set"):
            copy.value = [2]  # type: ignore[misc]
        assert loads(dumps(copy)).value is copy.value
        assert pickle.loads(pickle.dumps(copy)).value == [1]
        for method in (copy.unpersist, copy.destroy):
            with pytest.raises(DriverOnly):
                method()
    with pytest.raises(AttributeError):
        made.value = [2]  # type: ignore[misc]
    assert loads(dumps(copy)) is made


def test_in_a_task_only_the_first_look_calls_anything(driver: Driver) -> None:
    with task(driver):
        copy = loads(dumps(driver.broadcast({"a": 1})))
        calls = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event == "call"

        copy.value  # noqa: B018
        sys.setprofile(count)
        try:
            for _ in range(100):
                copy.value  # noqa: B018
        finally:
            sys.setprofile(None)
    assert calls == 0


def test_little_travels(driver: Driver) -> None:
    made = driver.broadcast(bytes(1 << 20))
    assert len(dumps(made)) < 200


def test_back_on_the_driver_it_is_itself(driver: Driver) -> None:
    made = driver.broadcast(1)
    assert pickle.loads(pickle.dumps(made)) is made
    with task(driver):
        again = dumps(loads(dumps(made)))
    assert loads(again) is made


def test_where_nobody_knows_it_it_has_no_value(driver: Driver) -> None:
    blob = dumps(driver.broadcast(1))
    gc.collect()
    with pytest.raises(BroadcastDestroyed):
        loads(blob).value  # noqa: B018


def test_after_destroy_it_cannot_be_used(driver: Driver) -> None:
    made = driver.broadcast(1)
    made.destroy()
    assert driver.told == [("destroy", made.id)]
    for use in (lambda: made.value, lambda: dumps(made), made.unpersist, made.destroy):
        with pytest.raises(BroadcastDestroyed, match="make a new one"):
            use()


def test_after_unpersist_it_can_be_used(driver: Driver) -> None:
    made = driver.broadcast(1)
    made.unpersist()
    assert made.value == 1
    assert driver.told == [("unpersist", made.id)]


def test_a_dropped_one_is_told_of(driver: Driver) -> None:
    made = driver.broadcast(1)
    number = made.id
    del made
    gc.collect()
    assert driver.told == [("dropped", number)]


def test_only_the_driver_ends_it(driver: Driver) -> None:
    made = driver.broadcast(1)
    with task(driver):
        for handle in (made, loads(dumps(made))):
            for method in (handle.unpersist, handle.destroy):
                with pytest.raises(DriverOnly, match="on the driver only"):
                    method()


def test_after_the_context_has_stopped_it_does_not_travel(driver: Driver) -> None:
    made = driver.broadcast(1)
    driver.is_stopped = True
    with pytest.raises(ContextStopped):
        dumps(made)
    assert made.value == 1


def test_it_can_be_subscripted_and_shown(driver: Driver) -> None:
    assert Broadcast[int] is not None
    made = driver.broadcast(1)
    assert repr(made) == f"<Broadcast {made.id}>"
