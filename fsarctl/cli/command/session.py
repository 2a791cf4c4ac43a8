"""One run of the command line: the project it is in, its store, and how it talks.

``command`` gives a function a name in the command tree, a ``Session``, and the options that every
command has (--project, --cache, --set, --debug).
"""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import Project, start_of
from fsarctl.cli.command.variadic import VariadicCommand
from fsarctl.cli.terminal.console import echo, keeping_stdout, make_reporter, print_json, say
from fsarctl.cli.terminal.signals import LAST_WORDS
from fsarctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from fsarctl.artifacts import Artifact, Outcome, Store, Unit
    from fsarctl.artifacts.command import Option
    from fsarctl.config.setting_field import EngineName
    from fsarctl.config.settings import Settings
    from fsarctl.datasets.findings import Findings
    from fsarctl.execution.device import Machine
    from fsarctl.execution.job_schedule import Scheduler
    from fsarctl.progress import Reporter
    from fsarctl.results.texts_read import TextsRead
    from fsarctl.stages.plan import Pipeline

__all__ = ["Command", "Session", "command", "shareable"]

INTERRUPTED = "interrupted: what is finished is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Command:
    """One command, ready to be put into the tree."""

    name: str
    example: str
    run: Callable[..., None]

    def add_to(self, group: typer.Typer) -> None:
        """Put it there; its options are read off its signature."""
        group.command(self.name, cls=VariadicCommand, epilog=f"Example: {self.example}")(self.run)


def command(
    name: str, *, example: str, needs_project: bool = True, of_methods: bool = False
) -> Callable[[Callable[..., None]], Command]:
    """Make a function whose first parameter is the session the command ``name``.

    Unless it ``needs_project``, it also works where no fsarctl.toml is. One ``of_methods`` has several, and
    finds --set of a method's options in ``Session.options``.
    """

    def common(
        project: Project = None,
        cache: Annotated[
            Path | None, typer.Option("--cache", help="The artifact store; default: cache/ in the project.")
        ] = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. train.lr=0.01."),
        ] = None,
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    ) -> None: ...

    def register(function: Callable[..., None]) -> Command:
        own = list(inspect.signature(function).parameters.values())[1:]
        shared = list(inspect.signature(common).parameters.values())

        @keeping_stdout()
        def run(**words: Any) -> None:
            options = {each.name: words.pop(each.name) for each in shared}
            try:
                where = (options["project"], options["cache"], options["overrides"] or [])
                session = Session.open(*where, needs_project=needs_project, of_methods=of_methods)
                LAST_WORDS[:] = [INTERRUPTED]
                function(session, **words)
            except KeyboardInterrupt:
                LAST_WORDS.clear()
                say(INTERRUPTED)
                raise typer.Exit(130) from None

        # Typer reads a command's options off its signature.
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
        run.__doc__ = function.__doc__
        return Command(name, example, run)

    return register


@dataclass(frozen=True)
class Session:
    """What every command works on."""

    settings: "Settings"
    store: "Store"
    reporter: "Reporter"
    flags: "tuple[Option, ...]"
    """What names this project, store and overrides on any other command line."""
    findings: "Findings"
    """What is known of datasets and clips: in a worker, what it was told."""
    options: "Mapping[str, str]" = field(default_factory=dict)
    """Option of a method -> the --set argument, where a command has several methods."""

    @classmethod
    def open(
        cls,
        project: Path | None,
        cache: Path | None,
        overrides: Sequence[str],
        *,
        needs_project: bool = True,
        of_methods: bool = False,
    ) -> "Session":
        """The project that ``project``, $FSARCTL_PROJECT or the working directory is in.

        Raises:
            ConfigError: there is none and the command ``needs_project``, or its settings are wrong.
        """
        from fsarctl.artifacts import Store
        from fsarctl.artifacts.command import Option
        from fsarctl.config.read_settings import options_apart
        from fsarctl.config.settings import load_settings
        from fsarctl.execution.job_schedule import planning_findings, planning_reporter

        overrides, options = options_apart(overrides) if of_methods else (overrides, {})
        settings = load_settings(start_of(project), overrides, required=needs_project)
        place = cache or Path(os.environ.get("FSARCTL_CACHE") or settings.root / "cache")
        reporter = planning_reporter() or make_reporter()
        places = {"--project": project, "--cache": cache}
        flags = [Option(name, (str(path),)) for name, path in places.items() if path]
        remote = settings.config.cache.remote
        store = Store(place, reporter=reporter, project=settings.root, remote=remote)
        words = (*flags, *_overrides(overrides))
        return cls(settings, store, reporter, words, planning_findings(), options)

    def overridden(self, values: Mapping[str, str]) -> "Session":
        """This session with some settings replaced, as further --set arguments would.

        Raises:
            ConfigError: a value is none of that setting.
        """
        from fsarctl.config.read_settings import override

        overrides = [override(key, value) for key, value in values.items()]
        flags = (*self.flags, *_overrides(overrides))
        return replace(self, settings=self.settings.changed(overrides), flags=flags)

    def pipeline(self, *, dataset: str | None = None, workers: int = 1, **options: Any) -> "Pipeline":
        """The project's units, for what the flags say to run."""
        from fsarctl.stages.plan import Pipeline, RunOptions

        given = {"note": say, "findings": self.findings, **options}
        run_options = RunOptions(workers=workers, flags=self.flags, **given)
        return Pipeline(self.settings, self.store.records, run_options, dataset=dataset)

    def pipelines(
        self,
        machine: "Machine",
        workers: int = 1,
        dataset: str | None = None,
        note: Callable[[str], None] = say,
    ) -> "Callable[[Settings, Sequence[str]], Pipeline]":
        """What makes the units of settings that came of some overrides, whose commands name these."""
        from fsarctl.stages.plan import Pipeline, RunOptions

        shared = RunOptions(workers=workers, machine=machine, note=note, findings=self.findings)

        def pipeline(settings: "Settings", overrides: Sequence[str]) -> Pipeline:
            flags = (*self.flags, *_overrides(overrides))
            return Pipeline(settings, self.store.records, replace(shared, flags=flags), dataset=dataset)

        return pipeline

    def shots(self, given: list[int] | None, table: str) -> list[int]:
        """The shots of --shots, each once, or those of the file's ``table``."""
        return list(dict.fromkeys(given or getattr(self.settings.config, table).shots))

    def make(
        self,
        units: Sequence["Unit"],
        *,
        dry_run: bool,
        force: bool,
        as_json: bool,
        again: Sequence["Unit"] = (),
        scheduler: "Scheduler | None" = None,
    ) -> None:
        """Make units, whose upstream must be done, and say where they are; or only what would be made.

        ``again`` are made again though they are done. ``scheduler``: who makes them, if not this process.
        """
        if dry_run:
            self._say_states(units, as_json=as_json)
            for unit in again:
                say(f"{unit.slot}: what failed by bad luck would be tried again")
            return
        summaries = self.realise(units, force=force, as_json=as_json, again=again, scheduler=scheduler)
        if as_json:
            print_json({"schema": "fsarctl.make/1", "artifacts": summaries})

    def realise(
        self,
        units: Sequence["Unit"],
        *,
        force: bool,
        as_json: bool,
        again: Sequence["Unit"] = (),
        scheduler: "Scheduler | None" = None,
    ) -> list[dict[str, Any]]:
        """Make units and say where they are; gives what JSON says of them."""
        from fsarctl.execution.job_schedule import Scheduler

        scheduler = scheduler or Scheduler(self.store, reporter=self.reporter)
        outcomes = self._make(units, scheduler, force=force, upstream=False, again=again)
        for each in outcomes if not as_json else ():
            echo(f"{each.unit.slot}: {_relative(each.artifact.path)}")
        return [_summary(each) for each in outcomes]

    def make_results(
        self,
        units: Sequence["Unit"],
        results: Sequence["Unit"],
        *,
        upstream: bool,
        warnings: Sequence[str] = (),
        undescribed: Sequence[str] = (),
        texts: "TextsRead",
        scheduler: "Scheduler",
        dry_run: bool,
        force: bool,
        as_json: bool,
    ) -> None:
        """Make ``units`` (and with ``upstream`` what they need), then print the accuracies of ``results``.

        ``undescribed`` are the classes that nobody described, ``texts`` what is read of them, and
        ``scheduler`` makes the units.
        """
        self.warn(warnings)
        if dry_run:
            self._say_states(units, as_json=as_json)
            return
        from fsarctl.cli.terminal.results import print_results
        from fsarctl.results.result import load_result
        from fsarctl.stages.evaluate import model_of

        outcomes = self._make(units, scheduler, force=force, upstream=upstream)
        trained = self.settings.config.model.trained_name
        artifacts = {each.unit.slot: each.artifact for each in outcomes}
        chosen = [artifacts[unit.slot] for unit in results]
        loaded = [
            (artifact, load_result(artifact.path, called=model_of(unit, trained)))
            for artifact, unit in zip(chosen, results, strict=True)
        ]
        remarks = list(dict.fromkeys(remark for _, each in loaded for remark in each.remarks))
        if not any(each.made for each in outcomes):  # what is made now has said it itself
            self.warn(remarks)
        print_results(loaded, [*warnings, *remarks], undescribed, texts, as_json=as_json)

    def warn(self, warnings: Sequence[str]) -> None:
        """Say what makes results other than they seem, before the work that leads to them."""
        for each in warnings:
            say(f"warning: {each}")

    def artifact(self, key: str) -> "Artifact":
        found = self.store.named(key) if key else []
        if len(found) != 1:
            raise InputError(
                f"{len(found) or 'no'} artifacts have a key that begins with {key!r}",
                next_step="`fsarctl cache ls` lists the keys.",
            )
        return found[0]

    def result(self, name: str) -> "Artifact":
        """The result that a key's beginning or a slot names; of a slot's several, the newest.

        Raises:
            InputError: there is none, or it is no result.
            IntegrityError: it is damaged.
        """
        slots = [each for each in self.store.artifacts() if each.manifest.slot == name]
        artifact = slots[-1] if slots else self.artifact(name)
        if "result.json" not in artifact.manifest.files:
            raise InputError(
                f"{artifact.manifest.slot} is no evaluation, so it has no accuracy to compare",
                next_step="`fsarctl cache ls` lists the keys; those of `eval` artifacts can be compared.",
            )
        return self.store.checked(artifact)

    def _say_states(self, units: Sequence["Unit"], *, as_json: bool) -> None:
        from fsarctl.cli.terminal.states import print_states

        print_states([self.store.state(unit) for unit in units], why=False, as_json=as_json)

    def scheduler(
        self,
        machine: "Machine | None" = None,
        engine: "EngineName | None" = None,
        jobs: int | None = None,
        ray_address: str | None = None,
        decoding: "Sequence[Option]" = (),
    ) -> "Scheduler":
        """What makes units in this store with the ``engine``, or the settings' one, and so many ``jobs``.

        ``ray_address`` stands in for that of the settings. ``decoding``: the options of `fsarctl extract`, or
        `predict`, that a worker is told of.
        """
        from fsarctl.cli.command.options import CORES
        from fsarctl.execution.device import Machine
        from fsarctl.execution.engines import engine_of
        from fsarctl.execution.job_schedule import Scheduler, planning_reporter

        machine = machine or Machine()
        execution = self.settings.config.execution
        jobs = execution.jobs if jobs is None else jobs
        if ray_address:
            execution = replace(execution, ray=replace(execution.ray, address=ray_address))
        place = (machine.device, CORES, self.store.root)
        planned = planning_reporter() is not None  # in a worker, which makes what it is told
        chosen = None if planned else engine_of(engine or execution.engine, execution, jobs, *place)
        computing = machine.options

        def options(verb: str) -> "Sequence[Option]":
            return decoding if verb in ("extract", "predict") else computing

        return Scheduler(self.store, chosen, options, self.reporter, machine.need, self.findings)

    def detach(self, engine: "EngineName | None", *, as_json: bool) -> None:
        """Submit this command as a job, without its --detach, and say its number.

        Raises:
            UsageError: the engine has no jobs.
            ConfigError: it is not installed, or refused.
        """
        from fsarctl.cli.command.options import CORES
        from fsarctl.execution.engines import engine_of
        from fsarctl.execution.slurm import detach

        execution = self.settings.config.execution
        if (engine or execution.engine) != "slurm":
            raise UsageError(
                "--detach is for jobs of Slurm", next_step="Add --engine slurm, or leave it out."
            )
        engine_of("slurm", execution, 0, "cpu", CORES, self.store.root)
        words = [word for word in sys.argv[1:] if word != "--detach"]
        job = detach(execution.slurm, self.store.root, words)
        if as_json:
            print_json(
                {"schema": "fsarctl.detached/1", "jobs": [job.job], "command": job.title, "log": job.log}
            )
        else:
            echo(job.job)
        say(f"job {job.job}: {job.title}; `fsarctl status` says how far it is, and its log is {job.log}")

    def _make(
        self,
        units: Sequence["Unit"],
        scheduler: "Scheduler",
        *,
        force: bool,
        upstream: bool,
        again: Sequence["Unit"] = (),
    ) -> list["Outcome"]:
        """Make units, and say what is worth saying of their artifacts and how many are new."""
        from fsarctl.stages.extract import failure_note, retry_hint

        asked = {unit.slot for unit in units}
        outcomes = scheduler.make(units, force=force, again=again, upstream=upstream)
        for each in outcomes:
            old = not each.made and each.unit.slot in asked  # what is made now has said it itself
            notes = [failure_note(each.artifact) if old else "", retry_hint(each.artifact, each.unit.command)]
            for note in filter(None, notes):
                say(note)
        new = sum(each.made for each in outcomes)
        if new == 0:
            say(f"nothing to do: all {len(outcomes)} artifacts are up to date")
        else:
            say(f"{new} artifact{'' if new == 1 else 's'} made, {len(outcomes) - new} were up to date")
        return outcomes


def shareable(override: str) -> str:
    """An override as manifests and messages may repeat it: an address without the password in it."""
    from fsarctl.errors.addresses import public_address, public_text

    key, equals, value = override.partition("=")
    if key.strip() == "describe.base_url":
        return f"{key}{equals}{public_address(value)}"
    return public_text(override)


def _overrides(overrides: Sequence[str]) -> "list[Option]":
    from fsarctl.artifacts.command import Option

    return [Option("--set", (shareable(each),)) for each in overrides]


def _summary(outcome: "Outcome") -> dict[str, Any]:
    manifest = outcome.artifact.manifest
    return {
        "slot": outcome.unit.slot,
        "stage": manifest.stage,
        "key": manifest.key,
        "digest": manifest.digest,
        "path": str(outcome.artifact.path),
        "made": outcome.made,
        "facts": manifest.facts,
    }


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
