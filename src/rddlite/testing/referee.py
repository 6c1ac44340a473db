"""Judges the scheduler by what it was told and what it commands, with books of its own.

It shares no code with the scheduler: it knows which executors it may count on, which outputs are good and which
attempts run, only from the events that were delivered and the commands that came back. `Foul` says what was wrong.
Versions of map outputs it keeps in `versions.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.outcome import (
    FetchFailed,
    InlineResult,
    Killed,
    OutOfMemory,
    Raised,
    Success,
    TaskOutcome,
    WorkerDied,
    assert_never,
)
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StageKey, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.charges import Charges
from rddlite.testing.conduct import Conduct, Task
from rddlite.testing.fakes import Tables
from rddlite.testing.gangs import Gangs
from rddlite.testing.lineages import Lineages
from rddlite.testing.members import ROUNDING, Foul, Members
from rddlite.testing.moving import Moving
from rddlite.testing.plays import Play, Plays
from rddlite.testing.spared import Spared
from rddlite.testing.versions import Delivered, Versions
from rddlite.testing.workload import Workload


class Referee:
    """Watches one run."""

    def __init__(self, work: Workload, options: SchedulerOptions) -> None:
        self._work = work
        self._options = options
        self.members = Members(options)
        self._conduct = Conduct(options, self.members)
        self.moving = Moving(options, self.members)
        self.live: dict[JobId, JobPlan] = {}
        self.ended: dict[JobId, str] = {}
        self.good: dict[tuple[ShuffleId, int], tuple[ExecutorId, AttemptId]] = {}
        self._delivered: Delivered = {}
        self._plays = Plays(options)
        self._gangs = Gangs(options, self.members, self._plays)
        self._charges = Charges(options)
        self._fruitless: Counter[StageKey] = Counter()
        self._fruitless_now: Counter[StageKey] = Counter()
        self._keys: dict[StageId, StageKey] = {}
        self._forgotten: set[ShuffleId] = set()
        self._cancelled: set[JobId] = set()
        self._successes: dict[AttemptId, tuple[Success, Play]] = {}
        self._spoilt: set[AttemptId] = set()
        self._doubtful: set[tuple[ShuffleId, int]] = set()
        self._must_fail: StageKey | None = None
        self._batch: Sequence[ev.Event] = ()
        self._versions = Versions(work)
        self._spared = Spared()
        self._lineages = Lineages(work)

    # What the scheduler is told

    def watch(self, events: Sequence[ev.Event], now: float) -> None:
        """These events are about to be handled together."""
        self._batch = events
        self._successes.clear()
        self._fruitless_now.clear()
        self._gangs.begin()
        self._versions.begin(is_certain=len(events) == 1 and not self._doubtful)
        self._must_fail = None
        for event in events:
            self.members.hear(event, now)
            self.moving.hear(event)
            match event:
                case ev.JobSubmitted(plan):
                    self.live[plan.job_id] = self._lineages.submitted(plan)
                    self._delivered[plan.job_id] = {}
                case ev.JobCancelled(job_id, _):
                    self._cancelled.add(job_id)
                case ev.GroupCancelled(group, _):
                    self._cancelled.update(j for j, plan in self.live.items() if group in (None, plan.group))
                case ev.TaskEnded(executor, attempt, outcome) if executor in self.members.state:
                    self._reported(executor, attempt, outcome, now)
                case ev.Heartbeat(_, progress):
                    self._plays.told(progress)
                case ev.OutputsMoved():
                    self._moved(event)
                case ev.ExecutorLost(executor, _):
                    self._lose(executor)
                case ev.ExecutorReturned(executor, attempts):
                    wanted = [each for each in self._plays.known.values() if each.is_wanted]
                    self._plays.returned(executor, attempts)
                    self._shatter(each.launch.key for each in wanted if each.is_astray)
                case ev.DriverDelayed(seconds):
                    self._gangs.delayed(seconds)
                case ev.OutputsLost(executor, shuffle, indices, _):
                    self._outputs_lost(executor, shuffle, indices)
                case ev.ShuffleForgotten(shuffle):
                    self._forgotten.add(shuffle)
                case ev.CachedFound():
                    self._spared.answered(event)

    def _moved(self, event: ev.OutputsMoved) -> None:
        state = self.members.state.get(event.target)
        for shuffle, index, attempt in event.outputs:
            is_taken = state is not None and not self.members.is_leaving(event.target)
            if is_taken and self.good.get((shuffle, index)) == (event.source, attempt):
                self.good[shuffle, index] = (event.target, attempt)

    def _reported(self, executor: ExecutorId, attempt: AttemptId, outcome: TaskOutcome, now: float) -> None:
        play = self._plays.end(executor, attempt)
        if play is None:
            return
        match outcome:
            case Success():
                self._successes[attempt] = (outcome, play)
                self._versions.reported(outcome, play.launch)
            case FetchFailed(shuffle, index, holder, map_attempt, _):
                self._fruitless[play.launch.key] += 1
                self._fruitless_now[play.launch.key] += 1
                if not play.is_killed and not holder:
                    self._spared.missed(play.launch.key, shuffle)
                if not play.is_killed and self.good.get((shuffle, index)) == (holder, map_attempt):
                    if play.is_astray or len(self._batch) > 1:
                        self._doubtful.add((shuffle, index))
                    else:
                        del self.good[shuffle, index]
                    self._lost_output(shuffle)
        if play.is_wanted and not isinstance(outcome, Success):
            self._shatter([play.launch.key])
        if play.is_wanted and not (isinstance(outcome, Killed) and self.members.is_leaving(executor)):
            self._failed(play, outcome, now)

    def _failed(self, play: Play, outcome: TaskOutcome, now: float) -> None:
        """A wanted attempt ended by itself. One that began later than another, which runs on, is a copy of it, and its
        task is not charged; nor is it for memory while anything of it runs on.
        """
        launch, task = play.launch, play.task
        is_barrier = self._versions.stage_of(launch.key).is_barrier
        others = [each.launch.attempt for each in self._plays.wanted(task)]
        is_counted = not (is_barrier and isinstance(outcome, OutOfMemory))
        if is_counted and all(launch.attempt < other and not isinstance(outcome, OutOfMemory) for other in others):
            is_wanted = not self._versions.is_shaken(launch.key)
            if self._charges.charge(task, outcome, is_wanted=is_wanted):
                self._must_fail = launch.key
        if isinstance(outcome, Raised | OutOfMemory | WorkerDied):
            is_certain = len(self._batch) == 1
            self._conduct.failed(task, launch.executor, now, waits=not others and not is_barrier, is_certain=is_certain)

    def _outputs_lost(self, executor: ExecutorId, shuffle: ShuffleId, indices: Sequence[int]) -> None:
        for index in indices:
            if self.good.get((shuffle, index), ("", 0))[0] == executor:
                del self.good[shuffle, index]
                self._lost_output(shuffle)
        for attempt, (_, play) in self._successes.items():
            launch = play.launch
            if launch.executor == executor and launch.key == MapStage(shuffle) and launch.index in indices:
                self._spoilt.add(attempt)

    def _lose(self, executor: ExecutorId) -> None:
        there = [each for each in self._plays.known.values() if each.launch.executor == executor]
        self._shatter(each.launch.key for each in there if each.is_wanted)
        self._plays.lose(executor)
        for place in [each for each, holder in self.good.items() if holder[0] == executor]:
            self.good.pop(place, None)
            self._lost_output(place[0])

    def _shatter(self, keys: Iterable[StageKey]) -> None:
        """A task of each of these stages is no more."""
        for key in keys:
            if self._versions.stage_of(key).is_barrier:
                self._gangs.shatter(key)

    def _lost_output(self, shuffle: ShuffleId) -> None:
        """One output is lost: of a barrier stage all are."""
        if self._work.shuffles[shuffle].is_barrier:
            self._gangs.shatter(MapStage(shuffle))
            self._drop_outputs(shuffle)

    def _drop_outputs(self, shuffle: ShuffleId) -> None:
        if len(self._batch) > 1:
            self._doubtful.update(place for place in self.good if place[0] == shuffle)
        else:
            self.good = {place: holder for place, holder in self.good.items() if place[0] != shuffle}

    # What it answers

    def judge(self, commands: Sequence[cmd.Command], now: float) -> None:
        """These commands came back.

        Raises:
            Foul: if one of them is wrong, or one is missing.
        """
        self._plays.announce(commands)
        self._spared.announce(commands)
        for command in commands:
            self._judge(command, now)
        started = [command for command in commands if isinstance(command, cmd.GangStarted)]
        self._gangs.after(started, {key: self._versions.stage_of(key) for key in self._keys.values()})
        wants = any(isinstance(command, cmd.WantExecutors) for command in commands)
        if self._must_fail and len(self._batch) == 1 and self._is_needed(self._must_fail):
            raise Foul(f"a task of {self._must_fail} failed beyond hope, and a job goes on")
        kinds = [type(event) for event in self._batch]
        self.members.after(wants, self.live, kinds, now)
        self.moving.after(kinds, now)
        self._conduct.after()
        self._check_plays()
        self._spared.after(self._is_needed)
        self._versions.end()
        self.members.check_causes(commands, is_certain=len(self._batch) == 1)
        ignored = sorted(attempt for attempt, (_, play) in self._successes.items() if play.is_wanted)
        if ignored:
            raise Foul(f"the success of attempts {ignored} was not answered at all")

    def _check_plays(self) -> None:
        """Nothing may go on whose task has an outcome, and something must go on while there is anything to do."""
        settled = [task for task in self._plays.check() if self._is_settled(task)]
        if settled:
            raise Foul(f"attempts of {settled} run, and their outcome is there")
        is_waiting = self._gangs.is_any_waiting() or self._spared.waits
        if self._plays.are_idle() and not is_waiting and self.live and "alive" in self.members.state.values():
            raise Foul(f"jobs {list(self.live)} wait, executors are there, and nothing runs")

    def check_deadline(self, deadline: float, now: float) -> None:
        """The scheduler wants to be woken when something is due, if not earlier.

        Raises:
            Foul: if it would sleep too long.
        """
        deadlines = (self.members.deadlines(self.live), self.moving.deadlines(), self._gangs.deadlines())
        due = min(chain.from_iterable(deadlines), default=None)
        if due is not None and deadline > max(due, now) + ROUNDING:
            raise Foul(f"at {now} the next deadline is {deadline}, but something is due at {due}")

    def check_tables(self, tables: Tables) -> None:
        """What a task is told of its inputs must be where they are.

        Raises:
            Foul: if an output is named that does not count.
        """
        for shuffle, places in tables:
            for index, place in enumerate(places or ()):
                if self.good.get((shuffle, index)) != place and (shuffle, index) not in self._doubtful:
                    raise Foul(f"shuffle {shuffle}, map {index} is said to be at {place}, but is not")

    def _judge(self, command: cmd.Command, now: float) -> None:
        match command:
            case cmd.Launch():
                self._launch(command, now)
            case cmd.SuspectExecutor(executor):
                self.members.suspected(executor, now)
                self.moving.suspected(executor)
            case cmd.ExecutorExcluded(executor, _, seconds):
                self._conduct.exclude(executor, seconds, now, is_certain=len(self._batch) == 1)
            case cmd.MoveOutputs(source):
                self.moving.move(command, self.good, self._doubtful, self._plays.load(source))
            case cmd.ReleaseExecutor(executor):
                good = {place: holder for place, holder in self.good.items() if place not in self._doubtful}
                self.moving.release(executor, good, self._plays.load(executor), now)
            case cmd.Kill(_, attempt):
                self._kill(attempt)
            case cmd.AttemptEnded():
                self._attempt_ended(command)
            case cmd.DeliverResult():
                self._deliver(command)
            case cmd.JobDone(job_id):
                plan = self._end_job(job_id, "done")
                if len(self._delivered[job_id]) != plan.result.n_tasks:
                    raise Foul(f"{command} with results {sorted(self._delivered[job_id])} of {plan.result.n_tasks}")
                self._versions.check_results(plan, self._delivered[job_id])
            case cmd.RolledBack():
                self._versions.noted(command.n_tasks)
            case cmd.JobFailed(job_id, cause):
                plan = self._end_job(job_id, type(cause).__name__)
                if isinstance(cause, cmd.TaskFailedForGood):
                    self._conduct.acquit(cause.key)
                if not self._is_just(plan, cause, now):
                    raise Foul(f"job {job_id} failed without a reason: {cause}")
            case cmd.DropExecutor(executor):
                if self.members.dropped(executor, now):
                    self._lose(executor)
            case cmd.ForgetShuffle(shuffle):
                if shuffle not in self._forgotten or any(shuffle in plan.maps for plan in self.live.values()):
                    raise Foul(f"{command} of a shuffle that may be needed")
                for place in [each for each in self.good if each[0] == shuffle]:
                    del self.good[place]
                self._versions.forgot(shuffle)
            case cmd.ReleaseShuffle(shuffle):
                self._release(shuffle)
            case cmd.ForgetOutput(executor, shuffle, index, attempt):
                place = (shuffle, index)
                if self.good.get(place) == (executor, attempt) and place not in self._doubtful:
                    raise Foul(f"{command} of an output that counts")
            case cmd.StageStarted(stage, key):
                self._keys[stage] = key
            case cmd.GangWaits():
                self._gangs.waits(command, now)
            case cmd.StageEnded():
                ended = self._keys.get(command.stage)
                self._charges.forgive(lambda task: task[0] == ended)
                self._plays.forgive(lambda task: task[0] == ended)
                self._conduct.stage_ended(ended)
                if ended is not None and command.why and self._versions.stage_of(ended).is_barrier:
                    self._broken_off(ended)
                self._gangs.stage_ended(command.stage)

    def _broken_off(self, key: StageKey) -> None:
        """What a barrier stage has made so far does not count any more."""
        if isinstance(key, MapStage):
            self._drop_outputs(key.shuffle)
        else:
            self._delivered[key.job].clear()
        for play in (*self._plays.known.values(), *(play for _, play in self._successes.values())):
            play.is_stale |= play.launch.key == key

    def _release(self, shuffle: ShuffleId) -> None:
        """The program wants that, and no job has it in its plan; or one has, as one that passes, and nothing that is
        missing is made from it.
        """
        plans = [plan for plan in self.live.values() if shuffle in plan.maps]
        is_passing = len(plans) == 1 and shuffle in plans[0].passing and shuffle not in plans[0].result.parents
        is_read = any(shuffle in self._lineages.of(each).parents for each in self._needed())
        is_asked = not plans and ev.ShuffleReleased(shuffle) in self._batch
        if len(self._batch) == 1 and not is_asked and (is_read or not is_passing):
            raise Foul(f"shuffle {shuffle} was released, but is needed")
        if len(self._batch) == 1 and not is_asked and len(self.members.state) != 1:
            raise Foul(f"shuffle {shuffle} was released, though there are executors {list(self.members.state)}")
        for place in [each for each in self.good if each[0] == shuffle]:
            del self.good[place]

    def _launch(self, launch: cmd.Launch, now: float) -> None:
        task = (launch.key, launch.index)
        if self.members.state.get(launch.executor) != "alive":
            raise Foul(f"{launch} on an executor that is {self.members.state.get(launch.executor, 'gone')}")
        plan = self._plan_of(launch.key)
        if plan is None or not 0 <= launch.index < plan.n_tasks:
            raise Foul(f"{launch} for no live job")
        if self._is_settled(task):
            raise Foul(f"{launch} of a task whose outcome is there")
        missing = [each for each in plan.parents if not self._is_complete(each)]
        if not self._spared.may_miss(launch.key, missing):
            raise Foul(f"{launch} while shuffles {missing} are not complete")
        if not self._doubtful and not self._is_needed(launch.key):
            raise Foul(f"{launch} although nothing needs that shuffle")
        if plan.is_barrier:
            self._gangs.launched(launch)
        is_alone = task in self._charges.must_be_alone
        self._plays.launch(launch, plan, self.members.room(launch.executor), is_alone=is_alone)
        was_alone = self._charges.ran_out_of_memory(task)
        self._conduct.launched(task, launch.executor, now, is_alone=is_alone or was_alone)

    def _kill(self, attempt: AttemptId) -> None:
        play = self._plays.known.get(attempt)
        if play is None:
            return
        was_wanted, play.is_killed = play.is_wanted, True
        if not was_wanted:
            return
        key, task = play.launch.key, play.task
        if self._is_settled(task) or len(self._batch) > 1 or key in self._gangs.shattered:
            return
        if self._versions.is_shaken(key):
            if not self._plays.wanted(task):
                self._versions.killed()
            return
        if isinstance(key, ResultStage):
            if key.job in self.live:
                raise Foul(f"attempt {attempt} of live job {key.job} was killed")
        elif key.shuffle in self._needed():
            raise Foul(f"attempt {attempt} for shuffle {key.shuffle} was killed, but a live job needs it")

    def _attempt_ended(self, note: cmd.AttemptEnded) -> None:
        if note.status in ("executor_lost", "not_there"):
            return
        success, play = self._successes.pop(note.attempt, (None, None))
        if not note.accepted:
            if play is not None and play.is_wanted and len(self._batch) == 1:
                raise Foul(f"{note}: the success of a wanted attempt was not accepted")
            return
        if success is None or play is None:
            raise Foul(f"{note}: accepted without a success, or from an executor that is gone")
        if play.is_stale:
            raise Foul(f"{note}: accepted, but what it has read was not there any more")
        key = self._keys[note.stage]
        self._fruitless[key] = self._fruitless_now[key]
        if isinstance(key, MapStage):
            place = (key.shuffle, note.index)
            if place in self.good and place not in self._doubtful:
                raise Foul(f"{note}: a second output was accepted")
            if self._versions.is_other(success, play.launch):
                self._roll_back(key.shuffle)
            self._versions.took(success, play.launch)
            if note.executor in self.members.state and note.attempt not in self._spoilt:
                self.good[place] = (note.executor, note.attempt)
                self._doubtful.discard(place)
                if key in self._gangs.shattered:
                    self._doubtful.add(place)
            else:
                self._lost_output(key.shuffle)

    def _deliver(self, result: cmd.DeliverResult) -> None:
        plan = self.live.get(result.job_id)
        if plan is None or not 0 <= result.index < plan.result.n_tasks:
            raise Foul(f"{result} for no live job")
        if result.index in self._delivered[result.job_id]:
            raise Foul(f"{result} for the second time")
        if not isinstance(result.value, InlineResult):
            raise Foul(f"{result} holds no result")
        value = int(result.value.data)
        self._versions.check_results(plan, {result.index: value})
        self._delivered[result.job_id][result.index] = value

    def _roll_back(self, shuffle: ShuffleId) -> None:
        """Another version of an output counts now: nothing that was made from the first one does any more."""
        inputs = self._versions.inputs_of(shuffle)
        stale = [each for each in self.good if each[0] in inputs and each[0] != shuffle]
        for place in stale:
            del self.good[place]
            self._doubtful.discard(place)
        results = [
            self._delivered[job] for job, plan in self.live.items() if not inputs.isdisjoint(plan.result.parents)
        ]
        self._versions.rolled_back(len(stale) + sum(map(len, results)))
        for delivered in results:
            delivered.clear()
        for play in (*self._plays.known.values(), *(play for _, play in self._successes.values())):
            play.is_stale |= not inputs.isdisjoint(self._versions.stage_of(play.launch.key).parents)

    def _end_job(self, job_id: JobId, how: str) -> JobPlan:
        plan = self.live.pop(job_id, None)
        if plan is None:
            raise Foul(f"job {job_id} ended twice, or before it began")
        self.ended[job_id] = how
        self._lineages.ended(self.live.values())
        # A stage that waits for its inputs is given up without a word.
        self._charges.forgive(lambda task: self._plan_of(task[0]) is None)
        self._plays.forgive(lambda task: self._plan_of(task[0]) is None)
        return plan

    # Judgement

    def _is_just(self, plan: JobPlan, cause: cmd.JobCause, now: float) -> bool:
        job_id = plan.job_id
        match cause:
            case cmd.Cancelled():
                return job_id in self._cancelled
            case cmd.NoExecutorsLeft():
                return self.members.may_give_up(job_id, any(isinstance(e, ev.ProviderFailed) for e in self._batch), now)
            case cmd.StageGaveUp(stage):
                return self._fruitless[self._keys[stage]] >= self._options.stage_max_attempts
            case cmd.TooFewSlots(stage):
                stages = [stage for stage in (plan.result, *plan.maps.values()) if stage.is_barrier]
                return any(self._gangs.lacks_slots(cause, stage, now) for stage in stages)
            case cmd.GangGaveUp(stage):
                return self._gangs.has_broken_enough(self._keys[stage])
            case cmd.TaskFailedForGood() if self._gangs.has_broken_enough(cause.key):
                return True
            case cmd.TaskFailedForGood():
                return self._charges.are_enough((cause.key, cause.index), cause.outcome)
            case _:
                assert_never(cause)

    def _plan_of(self, key: StageKey) -> StagePlan | None:
        if isinstance(key, ResultStage):
            return self.live[key.job].result if key.job in self.live else None
        return next((plan.maps[key.shuffle] for plan in self.live.values() if key.shuffle in plan.maps), None)

    def _is_settled(self, task: Task) -> bool:
        key, index = task
        if isinstance(key, MapStage):
            return (key.shuffle, index) in self.good and (key.shuffle, index) not in self._doubtful
        return key.job in self.live and index in self._delivered[key.job]

    def _is_complete(self, shuffle: ShuffleId) -> bool:
        return all((shuffle, index) in self.good for index in range(self._work.shuffles[shuffle].n_tasks))

    def _is_needed(self, key: StageKey) -> bool:
        return key.job in self.live if isinstance(key, ResultStage) else key.shuffle in self._needed()

    def _needed(self) -> set[ShuffleId]:
        """Shuffles that jobs without all their results reach through nothing but incomplete ones."""
        waiting = [plan.result for job, plan in self.live.items() if len(self._delivered[job]) < plan.result.n_tasks]
        return self._spared.reached(waiting, self._lineages.all(), self._is_complete)
