"""Which executor holds which map output of every shuffle that is known: the only place that knows.

Outputs belong to their shuffle, not to a job: they stay until the shuffle is forgotten or their executor is lost. What
outlives them is the fingerprint of the last one of each map, by which `rollback` sees that another one has other
records. Memory is one pair and eight bytes per map output, and one byte per map and reduce partition where that is not
too much. An epoch rises with every change, so that a table of places, once made, can be shared while it stands.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId, StageId
from rddlite.plan.model import StagePlan

Place = tuple[ExecutorId, AttemptId]
"""The executor that holds a map output, and the attempt that wrote it (which names its file)."""

FIRST = AttemptId(0)
MOST_SIZES = 16 << 20
"""Of shuffles with more map outputs times reduce partitions no sizes are kept."""


class ShuffleOutputs:
    """The outputs of one shuffle, by map index.

    `have` holds one byte per map output: 1 where it exists. `holders` lists, per executor, the indices it was given;
    entries there may be out of date and are checked against `places` when they are used. `was_complete` tells whether
    anybody may have read what is, or was, here. Attempts below `valid_from` have read what is not there any more.
    Outputs of a stage that `is_barrier` are made, and lost, all together.
    `sizes` has a row of one byte per reduce partition for each map, in turn.
    """

    __slots__ = (
        "_digests", "_table", "epoch", "forgotten", "have", "holders", "is_barrier", "label", "n_missing", "n_out",
        "parents", "places", "sizes", "stage", "valid_from", "was_complete",
    )  # fmt: skip

    def __init__(self, plan: StagePlan, stage: StageId, valid_from: AttemptId = FIRST) -> None:
        self.stage = stage
        self.label = plan.label
        self.is_barrier = plan.is_barrier
        self.parents = plan.parents
        self.n_out = plan.n_out
        self.valid_from = valid_from
        self.places: list[Place | None] = [None] * plan.n_tasks
        self.have = bytearray(plan.n_tasks)
        self.n_missing = plan.n_tasks
        self.was_complete = not plan.n_tasks
        self.epoch = 0
        self.holders: dict[ExecutorId, array[int]] = {}
        self.forgotten = False
        self.sizes: bytearray | None = None
        self._digests: array[int] | None = None
        self._table: tuple[Place, ...] | None = None

    def is_empty(self) -> bool:
        """Whether not a single output exists although there are maps."""
        return self.n_missing == len(self.places) > 0

    def is_worthless(self) -> bool:
        """Whether nothing is known here that could matter later."""
        is_known = self.is_barrier and self.valid_from > FIRST  # attempts that come too late
        return self.is_empty() and self._digests is None and not is_known

    def add(self, index: int, executor: ExecutorId, attempt: AttemptId, sizes: bytes = b"") -> bool:
        """Take an output; False, and no change, where there is one already."""
        if self.have[index]:
            return False
        self.have[index] = 1
        self.places[index] = (executor, attempt)
        self.n_missing -= 1
        if not self.n_missing:
            self.was_complete = True
        self._hold(index, executor)
        if sizes:
            self._keep_sizes(index, sizes)
        self._changed()
        return True

    def is_other(self, index: int, fingerprint: bytes) -> bool:
        """Whether the last output of that map had another fingerprint than this, which is remembered from now on."""
        if not fingerprint:
            return False
        if self._digests is None:
            self._digests = array("Q", bytes(8 * len(self.places)))
        new = int.from_bytes(fingerprint[:8], "little") or 1
        known, self._digests[index] = self._digests[index], new
        return known not in (0, new)

    def lose(self, index: int) -> None:
        """The output of that map is gone."""
        self.have[index] = 0
        self.places[index] = None
        self.n_missing += 1
        self._changed()

    def move(self, index: int, source: ExecutorId, attempt: AttemptId, target: ExecutorId) -> bool:
        """Another executor has a copy, which counts from now on; False, and no change, if `source`'s does not count."""
        if self.places[index] != (source, attempt):
            return False
        self.places[index] = (target, attempt)
        self._hold(index, target)
        self._changed()
        return True

    def held_by(self, executor: ExecutorId) -> list[tuple[int, AttemptId]]:
        """What this executor holds that counts: map indices and attempts, in order."""
        places = ((index, self.places[index]) for index in sorted({*self.holders.get(executor, ())}))
        return [(index, place[1]) for index, place in places if place is not None and place[0] == executor]

    def lose_all_of(self, executor: ExecutorId) -> list[int]:
        """Everything that this executor held is gone; answers with the indices."""
        lost = []
        for index in self.holders.pop(executor, ()):
            place = self.places[index]
            if place is not None and place[0] == executor:
                self.lose(index)
                lost.append(index)
        return lost

    def lose_all(self, valid_from: AttemptId) -> list[int]:
        """No output is of use any more, nor will be what attempts below `valid_from` make; answers with the indices.
        Nor is what was made from them.
        """
        self.was_complete = not self.places
        return self.drop_all(valid_from)

    def drop_all(self, valid_from: AttemptId) -> list[int]:
        """The same of the outputs alone: what was made from them may be of use."""
        self.valid_from = valid_from
        lost = list(self._existing())
        for index in lost:
            self.lose(index)
        self.holders.clear()
        return lost

    def release(self) -> bool:
        """No output is there any more, though nothing is wrong with them; False, and no change, where there is none."""
        existing = list(self._existing())
        for index in existing:
            self.lose(index)
        self.holders.clear()
        return bool(existing)

    def table(self) -> tuple[Place, ...]:
        """Where every map output is. Asked only while none is missing; made once per epoch.

        Raises:
            LookupError: if an output is missing.
        """
        if self._table is None:
            if self.n_missing:
                raise LookupError(f"{self.n_missing} of {len(self.places)} map outputs are missing")
            self._table = tuple(place for place in self.places if place is not None)
        return self._table

    def _hold(self, index: int, executor: ExecutorId) -> None:
        held = self.holders.get(executor)
        if held is None:
            held = self.holders[executor] = array("I")
        held.append(index)

    def _existing(self) -> Iterator[int]:
        index = self.have.find(1)
        while index >= 0:
            yield index
            index = self.have.find(1, index + 1)

    def _keep_sizes(self, index: int, sizes: bytes) -> None:
        n_out = self.n_out
        if len(sizes) != n_out or len(self.places) * n_out > MOST_SIZES:
            return
        if self.sizes is None:
            self.sizes = bytearray(len(self.places) * n_out)
        self.sizes[index * n_out : (index + 1) * n_out] = sizes

    def _changed(self) -> None:
        self.epoch += 1
        self._table = None


class MapOutputs:
    """The outputs of all shuffles that a live job needs or that hold something.

    `rolled_back_at` is the first attempt after the last roll-back of any of them.
    """

    __slots__ = ("rolled_back_at", "shuffles")

    def __init__(self) -> None:
        self.shuffles: dict[ShuffleId, ShuffleOutputs] = {}
        self.rolled_back_at = FIRST

    def new(self, shuffle: ShuffleId, plan: StagePlan, stage: StageId) -> ShuffleOutputs:
        """Begin with a shuffle of which nothing is known. Attempts of it that run may be older than that."""
        outputs = self.shuffles[shuffle] = ShuffleOutputs(plan, stage, self.rolled_back_at)
        return outputs

    def is_complete(self, shuffle: ShuffleId) -> bool:
        """Whether every map output of a known shuffle is there."""
        return self.shuffles[shuffle].n_missing == 0

    def made_from(self, shuffle: ShuffleId) -> list[ShuffleId]:
        """Every known shuffle that this one went into, directly or through others, the nearest first."""
        readers: dict[ShuffleId, list[ShuffleId]] = {}
        for each, outputs in self.shuffles.items():
            for parent in outputs.parents if outputs.places else ():
                readers.setdefault(parent, []).append(each)
        found: dict[ShuffleId, None] = {shuffle: None}
        todo = [shuffle]
        for current in todo:
            fresh = [reader for reader in readers.get(current, ()) if reader not in found]
            found.update(dict.fromkeys(fresh))
            todo += fresh
        return todo[1:]

    def lose(self, shuffle: ShuffleId, index: int, executor: ExecutorId, attempt: AttemptId | None) -> bool:
        """One output was found missing or damaged; False if it is not the one that counts (any more).

        `attempt` None means whatever this executor holds at that index.
        """
        outputs = self.shuffles.get(shuffle)
        if outputs is None or not 0 <= index < len(outputs.places):
            return False
        place = outputs.places[index]
        if place is None or place[0] != executor or attempt not in (None, place[1]):
            return False
        outputs.lose(index)
        return True

    def move(self, shuffle: ShuffleId, index: int, source: ExecutorId, attempt: AttemptId, target: ExecutorId) -> bool:
        """`target` has a copy of an output of `source`: whether it counts (now, or already)."""
        outputs = self.shuffles.get(shuffle)
        if outputs is None or not 0 <= index < len(outputs.places):
            return False
        return outputs.move(index, source, attempt, target) or outputs.places[index] == (target, attempt)

    def has_moved(self, shuffle: ShuffleId, index: int, executor: ExecutorId, attempt: AttemptId) -> bool:
        """Whether that very output counts, but at another executor than this, from which it was moved."""
        outputs = self.shuffles.get(shuffle)
        place = None if outputs is None or not 0 <= index < len(outputs.places) else outputs.places[index]
        return place is not None and place[0] != executor and place[1] == attempt

    def lose_executor(self, executor: ExecutorId) -> list[tuple[ShuffleId, list[int]]]:
        """Forget all that this executor held; answers with the map indices lost, by shuffle."""
        losses = [(shuffle, outputs.lose_all_of(executor)) for shuffle, outputs in self.shuffles.items()]
        return [(shuffle, indices) for shuffle, indices in losses if indices]
