"""Downloads of broadcasts from each other's files, with everything real but the network."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rddlite.base.ids import BroadcastId, ExecutorId, parse_block
from rddlite.driver.broadcasts import Broadcasts
from rddlite.errors import BroadcastDestroyed, BroadcastUnavailable
from rddlite.net.samehost import make_token
from rddlite.net.transfer import Arrival, BlockMissing, ByteRange, NoSuchBlock, NotAnswered, Source, Unreachable, Wanted
from rddlite.shared.download import Downloader, Network
from rddlite.shared.held import Partial, find_piece, remove_broadcast
from rddlite.shared.pieces import HAVE, PART, PIECE_BYTES, BroadcastSpec, file_of
from rddlite.shared.store import BroadcastStore
from rddlite.shared.stored import read_value, write_value
from rddlite.testing.clock import ManualClock

VALUE = bytes(range(256)) * (5 * PIECE_BYTES // 512)
CHUNK = PIECE_BYTES // 3


class World:
    """A driver and executors in directories of their own, which reach each other by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = {"driver": str(root / "driver")}
        self.tokens: dict[str, str] = {}
        self.down: set[str] = set()
        self.damage: Callable[[str, int, bytes], bytes] = lambda name, piece, data: data
        self.sent: Counter[str] = Counter()
        self.on_block: Callable[[str, int], None] = lambda name, piece: None
        self.clock = ManualClock()
        self.broadcasts = Broadcasts(self.scratch["driver"], self.clock)
        self.broadcasts.connect(self.place_of, lambda broadcast, told: told(), lambda: None)

    def place_of(self, executor: ExecutorId) -> tuple[str, str, str]:
        scratch = self.scratch.get(executor, "")
        return (scratch, f"tcp://{executor}", self.tokens.get(executor, "")) if scratch else ("", "", "")

    def broadcast(self, value: object = VALUE) -> BroadcastSpec:
        return self.broadcasts.add(lambda path: write_value(path, value))

    def join(self, executor: str, *, shares: bool = False) -> None:
        self.scratch[executor] = str(self.root / executor)
        os.makedirs(self.scratch[executor], exist_ok=True)
        if shares:
            self.tokens[executor] = make_token(self.scratch[executor])

    def obtain(self, spec: BroadcastSpec, executor: str) -> str:
        if executor not in self.scratch:
            self.join(executor)
        network = Network(Source("driver", "tcp://driver"), "", lambda: Wire(self))
        return Downloader(self.scratch[executor], executor, network).obtain(spec)

    def read(self, source: Source, wanted: Wanted) -> bytes:
        name = source.address.removeprefix("tcp://")
        if name in self.down:
            raise Unreachable(source, "nobody is there")
        self.on_block(name, wanted.part)
        try:
            place = self.find(name, wanted)
        except (NoSuchBlock, OSError) as error:
            raise BlockMissing(source, wanted, str(error)) from error
        with open(place.path, "rb") as file:
            file.seek(place.start)
            data = file.read(place.length)
        self.sent[name] += 1
        return self.damage(name, wanted.part, data)

    def find(self, name: str, wanted: Wanted) -> ByteRange:
        if name == "driver":
            return self.broadcasts.find(wanted.block, wanted.part)
        block = parse_block(wanted.block)
        return find_piece(self.scratch[name], block.broadcast, wanted.part)  # type: ignore[union-attr]


class Wire:
    """A fetcher of this world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def stream(self, lists: Sequence[tuple[Source, Sequence[Wanted]]]) -> Pieces:
        return Pieces(self._world, lists)

    def ask(self, source: Source, topic: str, body: bytes = b"") -> bytes:
        if "driver" in self._world.down:
            raise Unreachable(source, "nobody is there")
        try:
            return self._world.broadcasts.answer(topic, body)
        except NoSuchBlock as error:
            raise NotAnswered(source, str(error)) from error

    def close(self) -> None:
        """Nothing is open."""


class Pieces:
    def __init__(self, world: World, lists: Sequence[tuple[Source, Sequence[Wanted]]]) -> None:
        self._flows = [self._flow(world, source, wanted) for source, wanted in lists]

    def _flow(self, world: World, source: Source, wanted: Sequence[Wanted]) -> Iterator[Arrival | OSError]:
        for item, each in enumerate(wanted):
            try:
                data = world.read(source, each)
            except OSError as error:
                yield error
                continue
            for start in range(0, len(data), CHUNK):
                yield Arrival(item, len(data), 0, start, memoryview(data[start : start + CHUNK]))

    def take(self, index: int) -> Arrival:
        arrival = next(self._flows[index])
        if isinstance(arrival, OSError):
            raise arrival
        return arrival

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def value_at(path: str, spec: BroadcastSpec) -> object:
    return read_value(path, spec.size, lambda size: None)


def test_from_the_driver(world: World) -> None:
    spec = world.broadcast()
    path = world.obtain(spec, "a")
    assert value_at(path, spec) == VALUE
    assert world.sent == {"driver": spec.n_pieces}
    assert world.obtain(spec, "a") == path
    assert world.sent == {"driver": spec.n_pieces}
    assert sorted(os.listdir(os.path.dirname(path))) == [f"broadcast-{spec.id}", f"broadcast-{spec.id}.lock"]


def test_the_second_gets_it_from_the_first(world: World) -> None:
    spec = world.broadcast()
    world.obtain(spec, "a")
    assert value_at(world.obtain(spec, "b"), spec) == VALUE
    assert world.sent == {"driver": spec.n_pieces, "a": spec.n_pieces}


def test_from_a_neighbour_on_this_host_by_a_link(world: World) -> None:
    spec = world.broadcast()
    world.join("a", shares=True)
    first, second = world.obtain(spec, "a"), world.obtain(spec, "b")
    assert os.path.samefile(first, second)
    assert world.sent == {"driver": spec.n_pieces}
    remove_broadcast(world.scratch["a"], spec.id)
    assert value_at(second, spec) == VALUE


def test_who_was_interrupted_goes_on_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = world.broadcast()

    def stop_after_two(name: str, piece: int) -> None:
        if world.sent["driver"] == 2:
            raise KeyboardInterrupt

    world.on_block = stop_after_two
    with pytest.raises(KeyboardInterrupt):
        world.obtain(spec, "a")
    world.on_block = lambda name, piece: None
    monkeypatch.setattr("rddlite.shared.download.time.sleep", lambda seconds: world.clock.advance(5))
    world.obtain(spec, "b")
    assert world.sent == {"driver": 2 + spec.n_pieces}, "the driver has not heard of those that came"
    assert value_at(world.obtain(spec, "a"), spec) == VALUE
    assert world.sent == {"driver": 2 + spec.n_pieces, "b": spec.n_pieces - 2}, "what had come was not fetched again"


def test_two_at_once_trade(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first gets its pieces from the driver, the second gets others, and then those of the first."""
    spec = world.broadcast(VALUE * 5)
    world.join("b")
    state = {"nested": False}

    def let_the_other(name: str, piece: int) -> None:
        if not state["nested"] and world.sent["driver"] == 4:
            state["nested"] = True
            world.obtain(spec, "b")

    def finish_the_first(seconds: float) -> None:
        raise AssertionError("nobody has to wait here")

    world.on_block = let_the_other
    monkeypatch.setattr("rddlite.shared.download.time.sleep", finish_the_first)
    with pytest.raises(AssertionError, match="nobody has to wait"):
        world.obtain(spec, "a")
    assert world.sent["driver"] >= 4 + (spec.n_pieces - 8), "all that nobody had was given to the second"


def test_who_has_to_wait_for_others_asks_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = world.broadcast(b"one piece" * 10_000)
    world.join("a")
    world.join("b")

    def first_asks(name: str, piece: int) -> None:
        world.on_block = lambda name, piece: None
        world.obtain(spec, "b")

    def first_gets_it(seconds: float) -> None:
        if not os.path.exists(file_of(world.scratch["a"], spec.id)):
            os.link(file_of(world.scratch["driver"], spec.id), file_of(world.scratch["a"], spec.id))
            wire = Wire(world)
            wire.ask(Source("driver", ""), "holders", b'[%d, "a", "1", []]' % spec.id)

    world.on_block = first_asks
    monkeypatch.setattr("rddlite.shared.download.time.sleep", first_gets_it)
    world.obtain(spec, "a")
    assert world.sent == {"a": 1, "driver": 1}


def test_a_holder_that_is_gone_or_lies_costs_nothing_but_a_try(world: World) -> None:
    spec = world.broadcast()
    for name in "abc":
        world.obtain(spec, name)
    world.down.add("a")
    world.damage = lambda name, piece, data: data[:-1] + b"?" if name == "b" else data
    os.truncate(file_of(world.scratch["c"], spec.id), 100)
    assert value_at(world.obtain(spec, "d"), spec) == VALUE
    assert world.sent["driver"] == 2 * spec.n_pieces


@pytest.mark.parametrize("during", ["question", "piece"])
def test_the_driver_is_asked_again_when_it_could_not_be_reached(
    world: World, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    spec = world.broadcast()
    naps: list[float] = []

    def away(name: str, piece: int) -> None:
        world.on_block = lambda name, piece: None
        world.down.add("driver")
        raise Unreachable(Source("driver", ""), "it broke off")

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            world.down.clear()

    monkeypatch.setattr("rddlite.shared.download.time.sleep", nap)
    if during == "piece":
        world.on_block = away
    else:
        world.down.add("driver")
    assert value_at(world.obtain(spec, "a"), spec) == VALUE
    assert len(naps) == 3
    assert world.sent == {"driver": spec.n_pieces}


def test_when_nobody_can_be_reached_the_error_says_who_was_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rddlite.shared.download._PATIENCE", -1.0)
    spec = world.broadcast()
    world.obtain(spec, "a")
    world.down |= {"a", "driver"}
    with pytest.raises(BroadcastUnavailable, match=r"the driver: .*nobody is there"):
        world.obtain(spec, "b")
    world.down = {"a"}
    world.damage = lambda name, piece, data: b"?" + data[1:]
    with pytest.raises(BroadcastUnavailable, match=r"executor a: .*nobody is there.*the driver: piece . was damaged"):
        world.obtain(spec, "b")
    assert not os.path.exists(file_of(world.scratch["b"], spec.id))
    world.damage = lambda name, piece, data: data
    assert value_at(world.obtain(spec, "b"), spec) == VALUE


def test_one_that_was_destroyed_is_told_so(world: World) -> None:
    spec = world.broadcast()
    world.obtain(spec, "a")
    world.broadcasts.destroy(spec.id, blocking=True)
    with pytest.raises(BroadcastDestroyed, match="keep it until"):
        world.obtain(spec, "b")
    assert not os.path.exists(file_of(world.scratch["driver"], spec.id))


def test_one_that_is_destroyed_meanwhile_is_told_so(world: World) -> None:
    spec = world.broadcast()

    def destroy(name: str, piece: int) -> None:
        world.broadcasts.destroy(spec.id, blocking=False)

    world.on_block = destroy
    with pytest.raises(BroadcastDestroyed):
        world.obtain(spec, "a")


def test_after_unpersist_it_comes_from_the_driver_again(world: World) -> None:
    spec = world.broadcast()
    world.obtain(spec, "a")
    world.broadcasts.unpersist(spec.id, blocking=True)
    remove_broadcast(world.scratch["a"], spec.id)
    assert value_at(world.obtain(spec, "b"), spec) == VALUE
    assert world.sent == {"driver": 2 * spec.n_pieces}


def test_pieces_are_here_once_they_are_marked(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "broadcast")
    scratch, broadcast, size = str(tmp_path), BroadcastId(3), PIECE_BYTES + 5
    partial = Partial(scratch, broadcast, size)
    partial.write(1, 0, memoryview(b"ab"))
    partial.write(1, 2, memoryview(b"cde"))
    for piece in (-1, 0, 1, 2):
        with pytest.raises(FileNotFoundError):
            find_piece(scratch, broadcast, piece)
    partial.mark(1)
    place = find_piece(scratch, broadcast, 1)
    assert (place.path, place.start, place.length) == (file_of(scratch, broadcast) + PART, PIECE_BYTES, 5)
    assert partial.have == [False, True]
    partial.close()
    again = Partial(scratch, broadcast, size)
    assert again.have == [False, True]
    again.mark(0)
    again.publish()
    again.close()
    assert find_piece(scratch, broadcast, 1).path == file_of(scratch, broadcast)
    with pytest.raises(FileNotFoundError):
        find_piece(scratch, broadcast, 2)
    assert not os.path.exists(file_of(scratch, broadcast) + HAVE)
    remove_broadcast(scratch, broadcast)
    remove_broadcast(scratch, broadcast)
    assert os.listdir(tmp_path / "broadcast") == []
    with pytest.raises(FileNotFoundError):
        find_piece(scratch, broadcast, 0)


class Way:
    """To the files, by a function."""

    def __init__(self, obtain: Callable[[BroadcastSpec], str]) -> None:
        self.obtain = obtain

    def rest(self) -> None:
        """Nothing is open."""


def test_a_small_one_comes_with_the_first_answer(world: World) -> None:
    spec = world.broadcast([1, 2, 3])
    path = world.obtain(spec, "a")
    assert value_at(path, spec) == [1, 2, 3]
    assert not world.sent
    assert sorted(os.listdir(os.path.dirname(path))) == [f"broadcast-{spec.id}", f"broadcast-{spec.id}.lock"]


def test_a_small_one_that_is_gone_damaged_or_out_of_reach(world: World) -> None:
    spec = world.broadcast([1, 2, 3])
    world.down.add("driver")
    with pytest.raises(BroadcastUnavailable, match="nobody is there"):
        world.obtain(spec, "a")
    world.down.clear()
    with open(file_of(world.scratch["driver"], spec.id), "r+b") as file:
        file.write(b"?")
    with pytest.raises(BroadcastUnavailable, match="damaged"):
        world.obtain(spec, "a")
    os.unlink(file_of(world.scratch["driver"], spec.id))
    with pytest.raises(BroadcastDestroyed):
        world.obtain(spec, "a")
    world.broadcasts.destroy(spec.id, blocking=False)
    with pytest.raises(BroadcastDestroyed):
        world.obtain(spec, "a")


def test_connections_are_closed_when_a_task_ends(world: World) -> None:
    made: list[Wire] = []
    closed: list[Wire] = []

    class Watched(Wire):
        def close(self) -> None:
            closed.append(self)

    def make() -> Watched:
        made.append(Watched(world))
        return Watched(world)

    world.join("a")
    downloader = Downloader(world.scratch["a"], "a", Network(Source("driver", "tcp://driver"), "", make))
    store = BroadcastStore(None, downloader, 1 << 30, lambda size: None)
    for n in range(3):
        assert store.value(world.broadcast(n)) == n
    assert (len(made), len(closed)) == (1, 0)
    store.task_ended()
    store.task_ended()
    assert (len(made), len(closed)) == (1, 1)


class TestStore:
    def test_values_are_made_once_and_forgotten(self, world: World) -> None:
        spec = world.broadcast([1, 2])
        store = BroadcastStore(world.scratch["driver"], None, 1 << 30, lambda size: None)
        value = store.value(spec)
        assert value == [1, 2]
        assert store.value(spec) is value
        store.forget(spec.id)
        assert store.value(spec) is not value

    def test_those_used_last_are_kept(self, world: World) -> None:
        specs = [world.broadcast([n]) for n in range(3)]
        store = BroadcastStore(world.scratch["driver"], None, 2 * specs[0].size, lambda size: None)
        first, second = store.value(specs[0]), store.value(specs[1])
        assert store.value(specs[0]) is first
        store.value(specs[2])
        assert store.value(specs[0]) is first
        assert store.value(specs[1]) is not second

    def test_a_file_of_our_own_that_was_damaged_is_fetched_again(self, world: World) -> None:
        spec = world.broadcast()
        store = BroadcastStore(None, Way(lambda spec: world.obtain(spec, "a")), 1 << 30, lambda size: None)
        os.truncate(world.obtain(spec, "a"), 100)
        assert store.value(spec) == VALUE
        assert world.sent == {"driver": 2 * spec.n_pieces}

    def test_a_file_that_is_removed_just_then_is_fetched_again(self, world: World) -> None:
        spec = world.broadcast()

        def obtain_and_lose(spec: BroadcastSpec) -> str:
            path = world.obtain(spec, "a")
            if world.sent["driver"] == spec.n_pieces:
                world.broadcasts.unpersist(spec.id, blocking=False)
                remove_broadcast(world.scratch["a"], spec.id)
            return path

        assert BroadcastStore(None, Way(obtain_and_lose), 1 << 30, lambda size: None).value(spec) == VALUE

    def test_what_was_destroyed_is_told_so(self, world: World) -> None:
        spec = world.broadcast()
        world.broadcasts.destroy(spec.id, blocking=False)
        with pytest.raises(BroadcastDestroyed):
            BroadcastStore(world.scratch["driver"], None, 1 << 30, lambda size: None).value(spec)

    def test_without_a_way_to_the_driver_it_is_unavailable(self, world: World) -> None:
        with pytest.raises(BroadcastUnavailable, match="can be reached"):
            BroadcastStore(None, None, 1 << 30, lambda size: None).value(world.broadcast())
