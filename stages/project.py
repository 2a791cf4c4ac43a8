"""A project in a notebook or script: the stages, results and predictions of the command line, as objects."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsarctl.artifacts import Artifact, Outcome, Store, Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.setting_field import whole_number
from fsarctl.config.settings import Settings, load_settings
from fsarctl.errors import ConfigError, InputError, PartialError
from fsarctl.execution.bars import Bars
from fsarctl.execution.device import Machine
from fsarctl.execution.job_schedule import Scheduler
from fsarctl.progress import Reporter
from fsarctl.results.evaluated import called
from fsarctl.results.interval_text import legend, with_interval
from fsarctl.stages.describe import labels_asked
from fsarctl.stages.plan import Pipeline, RunOptions

if TYPE_CHECKING:
    from fsarctl.predict.event_rules import EventRules
    from fsarctl.predict.predictor import Prediction
    from fsarctl.predict.recogniser import Recogniser
    from fsarctl.results.result import Result
    from fsarctl.stages.predict import Ready
    from fsarctl.stages.spot import Watched
    from fsarctl.text.corpus import SubActions

__all__ = ["Project", "Results"]


@dataclass(frozen=True)
class Results(Sequence["Result"]):
    """Finished evaluations, in the order of their shots; a notebook shows them as a table."""

    found: tuple["Result", ...] = ()
    titles: tuple[str, ...] = ()
    """What each result's model is called."""

    def __getitem__(self, place: Any) -> Any:
        return self.found[place]

    def __len__(self) -> int:
        return len(self.found)

    def rows(self) -> list[dict[str, Any]]:
        """A dictionary for each result, e.g. for a pandas DataFrame; accuracies from 0 to 1.

        ``low`` and ``high`` are of the 95 % interval that is to be told, over episodes, clips or groups as
        ``over`` says; ``half_width`` is of the one over episodes.
        """
        return [
            {
                "shot": each.record["shot"],
                "model": title,
                "accuracy": each.accuracy.mean,
                **{end: each.record["intervals"][each.record["headline"]][end] for end in ("low", "high")},
                "over": each.record["headline"],
                "half_width": each.record["half_width"],
                "chance": each.record["chance"],
                "episodes": each.record["episodes"],
            }
            for each, title in zip(self.found, self.titles, strict=True)
        ]

    def _cells(self) -> list[tuple[str, str, str]]:
        """Shot, model and accuracy with its interval, as tables have them."""
        return [
            (
                str(each.record["shot"]),
                title,
                with_interval(f"{100 * each.accuracy.mean:.1f}", each.record),
            )
            for each, title in zip(self.found, self.titles, strict=True)
        ]

    def __str__(self) -> str:
        return "\n".join(f"{shot}-shot {model}: {accuracy} %" for shot, model, accuracy in self._cells())

    def _repr_html_(self) -> str:
        cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._cells())
        rows = "".join(f"<tr>{row}</tr>" for row in cells)
        table = f"<table><tr><th>shots</th><th>model</th><th>accuracy, %</th></tr>{rows}</table>"
        return f"{table}<p>{escape(legend(each.record for each in self.found))}</p>" if self.found else table


@dataclass(frozen=True)
class Project:
    """The project that a folder is in, as the command line finds it: fsarctl.toml there or above.

    What a command does a method does: finished work is found in the store and never done twice, and what
    one leaves unfinished the other goes on with.

    Args:
        path: where to look for fsarctl.toml.
        overrides: settings for this object alone, ``{"train.lr": 0.01}``; they enter keys like the file's.
        cache: the artifact store; by default $FSARCTL_CACHE, or cache/ in the project.
        device: auto, cpu, cuda or cuda:N.
        workers: decoding processes.
        reporter: where progress goes; bars that suit a notebook by default, ``fsarctl.progress.SILENT`` for
            none.

    Raises:
        ConfigError: there is no such project, or its settings are wrong.
    """

    path: Path | str = "."
    overrides: Mapping[str, Any] = field(default_factory=dict)
    cache: Path | str | None = None
    device: str = "auto"
    workers: int = 1
    reporter: Reporter = field(default_factory=Bars)
    settings: Settings = field(init=False)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        whole_number("workers", self.workers, 1)
        settings = load_settings(Path(self.path), self._set)
        place = Path(self.cache or os.environ.get("FSARCTL_CACHE") or settings.root / "cache")
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "store", Store(place, reporter=self.reporter, project=settings.root))

    def describe(self) -> dict[str, "SubActions"]:
        """The sub-actions of every class of the project, asked for where the settings say so.

        Raises:
            PartialError: a language model did not describe some labels; the others are kept.
            InputError: a label has no description.
        """
        from fsarctl.text.corpus import load_descriptions

        units = self._pipeline().describe()
        self._ask(units)
        described: dict[str, SubActions] = {}
        for artifact in self._make(units):
            described |= load_descriptions(artifact.path)
        return described

    def extract(self) -> list[Artifact]:
        """The frames of every clip, decoded once: an artifact for each split that is read."""
        return self._make(self._pipeline().extract())

    def train(self, shots: Iterable[int] | None = None) -> list[Artifact]:
        """What is trained, for each of ``shots`` ([train] shots by default), with all that it needs.

        Raises:
            ConfigError: the method trains nothing, or its loss is no longer finite.
            InputError: the base classes are too few or too small.
        """
        return self._make(self._pipeline().train(self._shots(shots, "train")))

    def evaluate(self, shots: Iterable[int] | None = None) -> Results:
        """Accuracy on novel classes for each of ``shots`` ([eval] shots by default), and all it needs."""
        return self._results(self._pipeline().evaluate(self._shots(shots, "eval")))

    run = evaluate

    def results(self, shots: Iterable[int] | None = None) -> Results:
        """What is evaluated already with the present settings; nothing is computed."""
        units = self._pipeline().evaluate(self._shots(shots, "eval"))
        found = (self.store.find(unit) for unit in units)
        return _loaded(each for each in found if each is not None)

    def status(self) -> dict[str, str]:
        """Every artifact that the settings have a use for -> done, missing, stale or waiting."""
        pipeline = self._pipeline()
        units = pipeline.everything(self._shots(None, "eval"))
        return {each.unit.slot: each.name for each in self.store.plan(units)}

    def predict(
        self,
        support: Path | str,
        clips: Path | str | Iterable[Path | str],
        *,
        shot: int | None = None,
        frozen: bool = False,
        always: bool = False,
    ) -> "list[Prediction]":
        """Which class of the support set each clip shows; one that cannot be read says why.

        ``support`` is a folder of classes, or what `fsarctl predict --save-support` wrote; ``clips`` are
        files or folders of them, or one alone. ``shot`` chooses the adapters, ``frozen`` none. A clip may
        show none of the classes, unless one is ``always`` to be named.

        Raises:
            UpstreamError: nothing is trained with these settings; the message says what trains it.
            InputError: the support is none, or there is no such clip, or none at all.
        """
        return list(self.predictions(support, clips, shot=shot, frozen=frozen, always=always))

    def predictions(
        self,
        support: Path | str,
        clips: Path | str | Iterable[Path | str],
        *,
        shot: int | None = None,
        frozen: bool = False,
        always: bool = False,
    ) -> "Iterator[Prediction]":
        """As :meth:`predict`, one at a time as they come."""
        from fsarctl.datasets.clip_files import clip_files

        if shot is not None:
            shot = whole_number("shot", shot, 1)
        files = clip_files(_paths("clips", clips), self.reporter.note)
        ready = self._ready(support, shot=shot, frozen=frozen, always=always)
        yield from ready.predictor.predict(ready.support, files)

    def spot(
        self,
        support: Path | str,
        videos: Path | str | Iterable[Path | str],
        *,
        lengths: Iterable[float] | None = None,
        stride: float | None = None,
        rules: "EventRules | None" = None,
        shot: int | None = None,
        frozen: bool = False,
        always: bool = False,
    ) -> "list[Watched]":
        """When the actions of the support set happen in long videos; one that cannot be read says why.

        Args:
            support: as of :meth:`predict`.
            videos: files or folders of them, or one alone.
            lengths: of windows, seconds; by default the quartiles of the examples' lengths.
            stride: from one window to the next, seconds; by default an eighth of each length.
            rules: how scores become events, see :class:`~fsarctl.predict.event_rules.EventRules`.
            shot: chooses the adapters.
            frozen: none.
            always: a class is always named; else none of them may be the answer.

        Raises:
            UpstreamError: nothing is trained with these settings; the message says what trains it.
            InputError: the support is none, there is no such video, or none at all, or there are no lengths
                and the support is a saved one.
        """
        from fsarctl.datasets.clip_files import clip_files
        from fsarctl.predict.event_rules import EventRules
        from fsarctl.stages.spot import watch, window_sizes

        files = clip_files(_paths("videos", videos), self.reporter.note)
        sizes = window_sizes(Path(support), list(lengths) if lengths is not None else None, stride)
        ready = self._ready(support, shot=shot, frozen=frozen, always=always)
        return [
            watch(
                self.store,
                ready.predictor,
                ready.support,
                each,
                sizes,
                rules or EventRules(),
                Command("spot", (Option("", (str(each.path),)),)),
                self.reporter.note,
            )
            for each in files
        ]

    def recogniser(
        self, support: Path | str, *, shot: int | None = None, frozen: bool = False, always: bool = False
    ) -> "Recogniser":
        """What :meth:`predict` and :meth:`spot` do, loaded once to answer many times.

        Args:
            support: as of :meth:`predict`.
            shot: chooses the adapters.
            frozen: none.
            always: a class is always named; else none of them may be the answer.

        Raises:
            UpstreamError: nothing is trained with these settings; the message says what trains it.
            InputError: the support is none.
        """
        from fsarctl.predict.recogniser import Recogniser
        from fsarctl.stages.spot import window_sizes

        if shot is not None:
            shot = whole_number("shot", shot, 1)
        ready = self._ready(support, shot=shot, frozen=frozen, always=always)
        return Recogniser(ready.predictor, ready.support, lambda: window_sizes(Path(support), None, None))

    def _ready(self, support: Path | str, *, shot: int | None, frozen: bool, always: bool) -> "Ready":
        from fsarctl.stages.predict import Setup

        machine = Machine(self.device)
        setup = Setup(
            self.settings, self._pipeline(), self.store, machine, self.workers, reporter=self.reporter
        )
        return setup.ready(Path(support), shot=shot, frozen=frozen, says_none=not always)

    @property
    def _set(self) -> list[str]:
        """The overrides as --set has them."""
        return [f"{key}={_toml(value)}" for key, value in self.overrides.items()]

    def _pipeline(self) -> Pipeline:
        flags = tuple(Option("--set", (each,)) for each in self._set)
        options = RunOptions(
            workers=self.workers, machine=Machine(self.device), flags=flags, note=self.reporter.note
        )
        return Pipeline(self.settings, self.store.records, options)

    def _shots(self, given: object, table: str) -> list[int]:
        """``given``, each once, or the file's.

        Raises:
            ConfigError: they are no whole numbers of 1 or more, or none.
        """
        if given is None:
            return list(getattr(self.settings.config, table).shots)
        shots: list[object] = [] if isinstance(given, str) or not isinstance(given, Iterable) else [*given]
        if not shots:
            raise ConfigError(
                f"shots is {given!r}; it must be a list of whole numbers", next_step="For example: [1, 5]."
            )
        return list(dict.fromkeys(whole_number("a shot", each, 1) for each in shots))

    def _ask(self, units: Sequence[Unit]) -> None:
        undone = [unit for unit in units if self.store.find(unit) is None]
        asked = self._pipeline().ask(undone, self.reporter) if any(map(labels_asked, undone)) else None
        if asked is not None and asked.failed:
            label, reason = next(iter(asked.failed.items()))
            raise PartialError(
                f"{len(asked.failed)} labels are not described, {label!r} among them: {reason}",
                next_step="Call it again: only these are asked for.",
            )

    def _make(self, units: Sequence[Unit]) -> list[Artifact]:
        self._ask([unit for unit in units if unit.stage == "describe"])
        outcomes: list[Outcome] = Scheduler(self.store, reporter=self.reporter).make(units)
        made = {each.unit.slot: each.artifact for each in outcomes}
        return [made[unit.slot] for unit in units]

    def _results(self, units: Sequence[Unit]) -> Results:
        return _loaded(self._make(units))


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _paths(name: str, given: Path | str | Iterable[Path | str]) -> list[Path]:
    """One path or several.

    Raises:
        InputError: there is none, or one is empty.
    """
    paths: list[Path | str] = [given] if isinstance(given, (Path, str)) else [*given]
    if not paths or "" in paths:
        raise InputError(
            f"{name} names no file" if not paths else f"{name} has an empty path",
            next_step="Give a video file, a folder of them, or a list of these.",
        )
    return [Path(each) for each in paths]


def _loaded(artifacts: Iterable[Artifact]) -> Results:
    from fsarctl.results.result import load_result

    found = [(each, load_result(each.path)) for each in artifacts]
    return Results(
        tuple(result for _, result in found),
        tuple(called(result.record["model"], each.manifest.config) for each, result in found),
    )
