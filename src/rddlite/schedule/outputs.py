"""Which executor holds which map output of every shuffle that is known: the only place that knows.

Outputs belong to their shuffle, not to a job: they stay until the shuffle is forgotten or their executor is lost.
Memory is one pair per map output; nothing has an entry per map and reduce partition. An epoch rises with every change,
so that a table of places, once made, can be shared for as long as the epoch stands.
"""

from __future__ import annotations

from array import array

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId, StageId

Place = tuple[ExecutorId, AttemptId]
"""The executor that holds a map output, and the attempt that wrote it (which names its file)."""


class ShuffleOutputs:
    """The outputs of one shuffle, by map index.

    `have` holds one byte per map output: 1 where it exists. `holders` lists, per executor, the indices it was given;
    entries there may be out of date and are checked against `places` when they are used.
    """

    __slots__ = ("_table", "epoch", "forgotten", "have", "holders", "n_missing", "places", "stage")

    def __init__(self, n_maps: int, stage: StageId) -> None:
        self.stage = stage
        self.places: list[Place | None] = [None] * n_maps
        self.have = bytearray(n_maps)
        self.n_missing = n_maps
        self.epoch = 0
        self.holders: dict[ExecutorId, array[int]] = {}
        self.forgotten = False
        self._table: tuple[Place, ...] | None = None

    def is_empty(self) -> bool:
        """Whether not a single output exists although there are maps."""
        return self.n_missing == len(self.places) > 0

    def add(self, index: int, executor: ExecutorId, attempt: AttemptId) -> bool:
        """Take an output; False, and no change, where there is one already."""
        if self.have[index]:
            return False
        self.have[index] = 1
        self.places[index] = (executor, attempt)
        self.n_missing -= 1
        self._hold(index, executor)
        self._changed()
        return True

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

    def _changed(self) -> None:
        self.epoch += 1
        self._table = None


class MapOutputs:
    """The outputs of all shuffles that a live job needs or that hold something."""

    __slots__ = ("shuffles",)

    def __init__(self) -> None:
        self.shuffles: dict[ShuffleId, ShuffleOutputs] = {}

    def is_complete(self, shuffle: ShuffleId) -> bool:
        """Whether every map output of a known shuffle is there."""
        return self.shuffles[shuffle].n_missing == 0

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

    def lose_executor(self, executor: ExecutorId) -> list[tuple[ShuffleId, list[int]]]:
        """Forget all that this executor held; answers with the map indices lost, by shuffle."""
        losses = [(shuffle, outputs.lose_all_of(executor)) for shuffle, outputs in self.shuffles.items()]
        return [(shuffle, indices) for shuffle, indices in losses if indices]
