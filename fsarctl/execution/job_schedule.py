"""What is due, in which order, and who makes it: the one place that decides it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest

from fsarctl.artifacts import Agenda, Due, Outcome, Store, Unit
from fsarctl.artifacts.command import Option, words
from fsarctl.config.plugins import fault_of_part
from fsarctl.datasets.findings import Findings
from fsarctl.errors import FsarctlError
from fsarctl.execution.display import Display
from fsarctl.execution.engine import Ended, Engine, Need, Place, Task, divided
from fsarctl.progress import SILENT, Reporter, counted

__all__ = ["Goal", "Planned", "Scheduler", "planning", "planning_findings", "planning_reporter"]


@dataclass(frozen=True)
class Goal:
    """A unit that is wanted for its own sake; ``title`` is what messages call it."""

    title: str
    unit: Unit


class Planned(Exception):  # noqa: N818 - no error: it ends a command once it is known what it makes
    """What a command would make, in a worker that has been told of a part of that."""

    def __init__(self, store: Store, units: Sequence[Unit]) -> None:
        super().__init__()
        self.store = store
        self.units = units

    def find(self, stage: str, key: str) -> Unit | None:
        """The unit of this key, among these and what they need; None where none is known to have it."""
        agenda = self.store.agenda(self.units)
        return next(
            (each for each in agenda.units.values() if (each.stage, agenda.key(each)) == (stage, key)), None
        )

    def is_waiting(self, stage: str) -> bool:
        """Whether a unit of this stage reads what is not seen here, and so has no key yet."""
        agenda = self.store.agenda(self.units)
        return any(each.stage == stage and agenda.key(each) is None for each in agenda.units.values())


_planning: ContextVar[tuple[Reporter, Findings] | None] = ContextVar("planning", default=None)


@contextmanager
def planning(reporter: Reporter, findings: Findings) -> Iterator[None]:
    """While this lasts, a scheduler says what it would make by raising ``Planned``, and makes nothing.

    ``findings``: what is known of datasets and clips already.
    """
    token = _planning.set((reporter, findings))
    try:
        yield
    finally:
        _planning.reset(token)


def planning_reporter() -> Reporter | None:
    """What is to hear of the work on what is planned now; None outside ``planning``."""
    told = _planning.get()
    return told and told[0]


def planning_findings() -> Findings:
    """What is known of datasets and clips; nothing outside ``planning``."""
    told = _planning.get()
    return told[1] if told else Findings()


@dataclass(frozen=True)
class Scheduler:
    """Makes units: here, one after another, or with an ``engine`` beside each other.

    What is ``apart`` or divides is the engine's, as soon as what it reads is done; everything else is made
    here, since it uses all cores by itself. ``options``, of a verb, are for the words that plan a task: what
    changes no result (device, memory) is not part of a unit's command. ``need`` says what a unit keeps busy.
    ``findings`` of the plan are told to those who make units, so that they need not look at every clip, too.
    """

    store: Store
    engine: Engine | None = None
    options: Callable[[str], Sequence[Option]] = lambda verb: ()
    reporter: Reporter = SILENT
    need: Callable[[Unit], Need] = lambda unit: Need(cores=unit.cores, gpus=int(unit.apart))
    findings: Findings = field(default_factory=Findings)

    @property
    def shares(self) -> bool:
        """Whether others than this process make units, or it is told here what to make for them."""
        return self.engine is not None or planning_reporter() is not None

    def make(
        self,
        units: Sequence[Unit],
        *,
        force: bool = False,
        again: Sequence[Unit] = (),
        upstream: bool = True,
    ) -> list[Outcome]:
        """Find or make units, and with ``upstream`` all that they need; the first failure ends it.

        ``force`` makes the given ones again, ``again`` mends those: see ``Store.realise_all``; here.

        Raises:
            FsarctlError: something could not be made, as its build says.
            UpstreamError: without ``upstream``, something is not done.
        """
        if planning_reporter():
            raise Planned(self.store, units)
        if self.engine is not None and (force or again):
            self.reporter.note("what is made again is made by this process alone")
        if self.engine is None or force or again:
            return self.store.realise_all(units, force=force, again=again, upstream=upstream)
        if not upstream:
            self.store.require_upstream(units)
        states = self.store.plan(units)
        waiting = {state.unit.slot for state in states if state.name != "done"}
        if waiting:
            self.store.foresee(units)
            _Run(self, self.engine, self.store.agenda(units), {}, ends_with_failure=True).work()
            outcomes = self.store.realise_all(units, upstream=upstream)
        else:  # a second look would only cost time
            self.store.clear()
            asked = {unit.slot for unit in units}
            found = [Outcome(each.unit, each.artifact, made=False) for each in states if each.artifact]
            outcomes = [each for each in found if upstream or each.unit.slot in asked]
        return [replace(each, made=each.made or each.unit.slot in waiting) for each in outcomes]

    def attempt(self, goals: Sequence[Goal]) -> dict[str, str]:
        """Make every goal that can be made, with all that it needs; gives why the others failed, by title.

        Raises:
            FsarctlError: all are foreseen to fail.
        """
        if planning_reporter():
            raise Planned(self.store, [goal.unit for goal in goals])
        states, _ = self.store.survey([goal.unit for goal in goals])
        if all(state.name == "done" for state in states):
            self.reporter.note(f"nothing to do: {counted(len(goals), 'run')} up to date")
            return {}
        hopeless = self._hopeless(goals)
        possible = [goal for goal in goals if goal.title not in hopeless]
        made, broken = self._goals_beside(possible, self.engine) if self.engine else (set(), {})
        failures: dict[str, str] = {}
        for number, goal in enumerate(goals, start=1):
            if goal.title in made:
                continue
            reason = hopeless.get(goal.title) or broken.get(goal.title, "")
            if not reason:
                if self.engine is None:
                    self.reporter.note(f"[{number}/{len(goals)}] {goal.title}")
                reason = self._attempt(goal.unit)
            if reason:
                failures[goal.title] = reason
                self.reporter.note(f"failed: {goal.title}: {reason}")
        return failures

    def _hopeless(self, goals: Sequence[Goal]) -> dict[str, str]:
        """Which goals are foreseen to fail, by title, and why.

        Raises:
            FsarctlError: all of them are; it is what the last one says.
        """
        refused = self.store.foresee_each([goal.unit for goal in goals])
        if refused and all(refused):
            assert refused[-1] is not None
            raise refused[-1]
        return {
            goal.title: error.message for goal, error in zip(goals, refused, strict=True) if error is not None
        }

    def _attempt(self, unit: Unit) -> str:
        """Make one goal; "" or why it failed."""
        try:
            self.store.realise_all([unit])
        except Exception as error:  # one goal's bug is no reason to lose the others
            return _reason(error)
        return ""

    def _goals_beside(self, goals: Sequence[Goal], engine: Engine) -> tuple[set[str], dict[str, str]]:
        """Make goals, and what they need, beside each other; the titles of those that are there, and of those
        that failed why."""
        agenda = self.store.agenda([goal.unit for goal in goals])
        needs = agenda.needs([goal.unit for goal in goals])
        titles = {
            identity: goal.title
            for goal, needed in zip(reversed(goals), reversed(needs), strict=True)
            for identity in needed
        }
        run = _Run(self, engine, agenda, titles, ends_with_failure=False)
        run.work()
        made = {
            goal.title for goal, needed in zip(goals, needs, strict=True) if needed.isdisjoint(agenda.left)
        }
        return made, {
            goal.title: next(ended.error for each, ended in run.failed.items() if each in needed)
            for goal, needed in zip(goals, needs, strict=True)
            if not needed.isdisjoint(run.failed)
        }


@dataclass
class _UnderWay:
    """A unit that an engine makes: who asked for it, the task that makes it whole, and tasks before that."""

    due: Due
    whole: Task
    before: int


class _Run:
    """One go at an agenda with an engine; ``titles`` are what messages call an identity, or its slot.

    With ``ends_with_failure``, until something fails, which is raised.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        engine: Engine,
        agenda: Agenda,
        titles: Mapping[str, str],
        *,
        ends_with_failure: bool,
    ) -> None:
        self._scheduler = scheduler
        self._store = scheduler.store
        self._engine = engine
        self._agenda = agenda
        self._titles = titles
        self._ends_with_failure = ends_with_failure
        self._display = Display(scheduler.reporter, prefixed=bool(titles))
        self._under_way: dict[str, _UnderWay] = {}
        self._same: dict[str, list[Due]] = {}
        self.failed: dict[str, Ended] = {}

    def work(self) -> None:
        """Make what can be made."""
        with ExitStack() as stack:
            stack.callback(self._display.end)
            told = self._scheduler.findings.render(self._agenda.looked_at())
            signed = Place.here().signed(self._store.root, told, lasting=self._engine.goes_on)
            self._place = stack.enter_context(signed)
            stack.callback(self._engine.end)
            self._engine.begin(self._display.heard)
            self._begin(self._agenda.due())
            while self._under_way:
                for task, ended in self._engine.ended():
                    if ended.exit_code and (self._ends_with_failure or ended.exit_code == 128 + 2):
                        ended.require_success()
                    self._begin(self._take(task, ended))

    def _take(self, task: Task, ended: Ended) -> list[Due]:
        """Note how a task ended; what can be begun since."""
        state = self._under_way.get(task.key)
        if state is None:  # a part of what has failed already
            return []
        if ended.exit_code:
            del self._under_way[task.key]
            self._fail(state.due, ended)
            return []
        if task.parts:
            state.before -= 1
            if not state.before:
                self._display.close(task)
                self._engine.start([state.whole])
            return []
        del self._under_way[task.key]
        return [due for each in (state.due, *self._same.pop(task.key, ())) for due in self._made(each)]

    def _made(self, due: Due) -> list[Due]:
        """What can be begun now that this is there."""
        freed = self._agenda.made(due.identity)
        if freed is None:
            unseen = f"{due.unit.slot} was made, and is not seen in {self._store.root}"
            self._fail(
                due, Ended(5, unseen, "Look whether all machines see the same cache (docs/cluster.md).")
            )
        return freed or []

    def _fail(self, due: Due, ended: Ended) -> None:
        for each in (due, *self._same.pop(due.key, ())):
            self.failed[each.identity] = ended

    def _begin(self, due: Sequence[Due]) -> None:
        """Have these begun; what is not the engine's is made here, and what that frees is begun likewise."""
        given, mine = [], []
        for each in due:
            if each.key in self._under_way:
                self._same.setdefault(each.key, []).append(each)
            elif each.unit.apart or each.unit.parts:
                given.append(each)
                self._under_way[each.key] = _UnderWay(each, self._task(each), 0)
            else:
                mine.append(each)
        spare = self._engine.jobs // max(1, len(self._under_way))
        # The last shots take the longest and so start first; of units that are divided each has its workers,
        # who go on with what they have loaded.
        divided = [self._tasks(each, spare) for each in reversed(given)]
        tasks = [task for turn in zip_longest(*divided) for task in turn if task]
        if tasks:
            self._engine.start(tasks)
        for each in mine:  # while the engine is at work
            self._begin(self._made_here(each))

    def _made_here(self, due: Due) -> list[Due]:
        """Make it in this process; what can be begun since."""
        try:
            self._store.realise_all([due.unit], upstream=False)
        except Exception as error:
            if self._ends_with_failure:
                raise
            self._fail(due, Ended(1, _reason(error)))
            return []
        return self._made(due)

    def _task(self, due: Due) -> Task:
        command = due.unit.command
        arguments = (*command.arguments, *words(self._scheduler.options(command.verb)))
        title = self._titles.get(due.identity, due.unit.slot)
        need = self._scheduler.need(due.unit)
        return Task(title, due.unit.stage, due.key, arguments, self._place, need=need)

    def _tasks(self, due: Due, spare: int) -> list[Task]:
        """What makes a unit: the whole, or at first its parts, where more can work at it than one."""
        state = self._under_way[due.key]
        parts: Sequence[int] = ()
        divide = due.unit.parts
        if divide and spare > 1 and (due.unit.cores == 1 or self._engine.is_elsewhere):
            with self._store.parts(due.unit) as build:
                parts = self._store.at_parts(build, partial(divide.left, build))
        if len(parts) < 2:
            return [state.whole]
        of_parts = replace(state.whole, need=replace(state.whole.need, cores=1))
        tasks = divided(of_parts, parts, self._engine.tasks_of(len(parts)))
        state.before = len(tasks)
        self._display.open(state.whole, len(parts), due.unit.slot)
        return tasks


def _reason(error: Exception) -> str:
    """Why a build failed, whoever is to blame."""
    fault = error if isinstance(error, FsarctlError) else fault_of_part(error)
    return fault.message if fault else f"{type(error).__name__}: {error}"
