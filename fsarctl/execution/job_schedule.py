"""What is due, in which order, and in which process: the one place that decides it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fsarctl.artifacts import Outcome, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.plugins import fault_of_part
from fsarctl.errors import FsarctlError
from fsarctl.execution.local import Ended, require_success, run_commands
from fsarctl.progress import SILENT, Reporter, counted

__all__ = ["Goal", "Scheduler"]


@dataclass(frozen=True)
class Goal:
    """A unit that is wanted for its own sake; ``title`` is what messages call it.

    ``command`` makes it in another process, where that is not the unit's own command.
    """

    title: str
    unit: Unit
    command: Command | None = None


@dataclass(frozen=True)
class Scheduler:
    """Makes units, ``jobs`` at a time where they are many.

    What is ``apart`` is made in processes of its own, each with one thread, as soon as what it reads is done;
    everything else here, before, since it uses all cores by itself. ``options`` are for the commands of these
    processes: what changes no result (device, memory) is not part of a unit's command.
    """

    store: Store
    jobs: int = 1
    options: tuple[Option, ...] = ()
    reporter: Reporter = SILENT

    def make(
        self,
        units: Sequence[Unit],
        *,
        force: bool = False,
        again: Sequence[Unit] = (),
        upstream: bool = True,
    ) -> list[Outcome]:
        """Find or make units, and with ``upstream`` all that they need; the first failure ends it.

        ``force`` makes the given ones again, ``again`` mends those: see ``Store.realise_all``.

        Raises:
            FsarctlError: something could not be made, as its build says; or a process failed.
            UpstreamError: without ``upstream``, something is not done.
        """
        if self.jobs == 1 or force:
            return self.store.realise_all(units, force=force, again=again, upstream=upstream)
        states = self.store.plan(units)
        waiting = {state.unit.slot for state in states if state.name != "done"}
        if waiting:
            self._beside(units, {}, lambda unit: unit.command, check=require_success)
            outcomes = self.store.realise_all(units, upstream=upstream)
        else:  # a second look would only cost time
            asked = {unit.slot for unit in units}
            found = [Outcome(each.unit, each.artifact, made=False) for each in states if each.artifact]
            outcomes = [each for each in found if upstream or each.unit.slot in asked]
        return [replace(each, made=each.made or each.unit.slot in waiting) for each in outcomes]

    def attempt(self, goals: Sequence[Goal]) -> dict[str, str]:
        """Make every goal that can be made, with all that it needs; gives why the others failed, by title.

        Raises:
            FsarctlError: what several goals share could not be made, or all are foreseen to fail.
        """
        states, _ = self.store.survey([goal.unit for goal in goals])
        if all(state.name == "done" for state in states):
            self.reporter.note(f"nothing to do: {counted(len(goals), 'run')} up to date")
            return {}
        hopeless = self._hopeless(goals)
        possible = [goal for goal in goals if goal.title not in hopeless]
        broken = self._goals_beside(possible) if self.jobs > 1 else {}
        failures: dict[str, str] = {}
        for number, goal in enumerate(goals, start=1):
            reason = hopeless.get(goal.title) or next(
                (broken[each] for each in _commands(goal) if each in broken), ""
            )
            if not reason:
                if self.jobs == 1:
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
        hopeless: dict[str, str] = {}
        for goal in goals:
            try:
                self.store.foresee([goal.unit])
            except FsarctlError as error:
                hopeless[goal.title] = error.message
                if len(hopeless) == len(goals):
                    raise
        return hopeless

    def _attempt(self, unit: Unit) -> str:
        """Make one goal; "" or why it failed."""
        try:
            self.store.realise_all([unit])
        except FsarctlError as error:
            return error.message
        except Exception as error:  # one goal's bug is no reason to lose the others
            fault = fault_of_part(error)
            return fault.message if fault else f"{type(error).__name__}: {error}"
        return ""

    def _goals_beside(self, goals: Sequence[Goal]) -> dict[Command, str]:
        """Make what goals share here, then the rest in processes; why a command failed."""
        titles = {command: goal.title for goal in reversed(goals) for command in _commands(goal)}
        own = {id(goal.unit): goal.command for goal in goals}
        broken: dict[Command, str] = {}

        def note(ended: Mapping[Command, Ended]) -> None:
            broken.update({command: each.error for command, each in ended.items() if each.exit_code})

        self._beside(
            [goal.unit for goal in goals], titles, lambda unit: own.get(id(unit)) or unit.command, check=note
        )
        return broken

    def _beside(
        self,
        units: Sequence[Unit],
        titles: Mapping[Command, str],
        command_of: Callable[[Unit], Command],
        *,
        check: Callable[[Mapping[Command, Ended]], None],
    ) -> None:
        """Make what is not ``apart`` here, then wave after wave what is due; ``check`` hears how it ended.

        A command is due once none of the units that it makes waits for another. What waits after the last
        wave is downstream of a failure.
        """
        self.store.foresee(units)
        everything = [state.unit for state in self.store.plan(units)]
        self.store.realise_all([unit for unit in everything if not unit.apart])
        given = {id(unit): unit for unit in everything}
        tried: set[Command] = set()
        while True:
            states: dict[Command, set[str]] = {}
            stages: dict[Command, str] = {}
            for state in self.store.plan(given.values()):
                if state.unit.apart:
                    command = command_of(state.unit)
                    states.setdefault(command, set()).add(state.name)
                    stages[command] = state.unit.stage
            due = [
                command
                for command, names in states.items()
                if command not in tried and names != {"done"} and "waiting" not in names
            ]
            if not due:
                return
            tried.update(due)
            if titles:
                named = " and ".join(dict.fromkeys(stages[command] for command in due))
                self.reporter.note(f"{named}: {len(due)} to do, {self.jobs} at a time")
            # The last shots take the longest and so start first.
            commands = {command: titles.get(command, "") for command in reversed(due)}
            check(run_commands(commands, self.jobs, self.reporter, self.options))


def _commands(goal: Goal) -> Iterable[Command]:
    """The commands that a goal comes from: its own, and of all that it reads."""
    seen: dict[int, Unit] = {}
    pending = [goal.unit]
    while pending:
        unit = pending.pop()
        if id(unit) not in seen:
            seen[id(unit)] = unit
            pending += [each for each in unit.inputs.values() if isinstance(each, Unit)]
    return [goal.command if unit is goal.unit and goal.command else unit.command for unit in seen.values()]
