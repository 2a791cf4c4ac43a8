"""report: what the store holds for the present settings, as one document and the unit of its pictures.

Nothing is computed here but counts over stored predictions. The document (schema fsarctl.report/1) has
every number that the page shows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fsarctl import __version__
from fsarctl.artifacts import Artifact, Store, Unit
from fsarctl.artifacts.command import Command, Option, joined
from fsarctl.config.settings import Settings
from fsarctl.errors import ConfigError, FsarctlError, InputError, UpstreamError
from fsarctl.execution.device import Machine
from fsarctl.models.strategies import FROZEN
from fsarctl.stages import illustrate
from fsarctl.stages.evaluate import is_of_file
from fsarctl.stages.plan import Pipeline
from fsarctl.stages.slots import Slot

if TYPE_CHECKING:
    from fsarctl.report.sections import Found

__all__ = ["Report", "Source", "illustrations"]

AIM = ("model.strategy=aim", "model.sub_actions=none", "model.alignment=none")
"""AIM as in Table 3, for the attention maps of Figure 11."""
WAYS = "fig9"
DATA_STAGES = ("describe", "render", "extract")
OTHER_MODE = {"joint": "independent", "independent": "joint"}
SHARED = (
    "way",
    "query",
    "query_mode",
    "episodes",
    "seed",
    "split",
    "chance",
    "clips",
    "clips_failed",
    "clips_expected",
)

Pipelines = Callable[[Settings, Sequence[str]], Pipeline]
"""Makes the units of settings that came of some overrides."""


@dataclass(frozen=True)
class Source:
    """Where a report comes from; ``pipeline`` makes the units of settings that came of some overrides."""

    store: Store
    settings: Settings
    pipeline: Pipelines
    shots: Sequence[int]
    machine: Machine

    def variant(self, *overrides: str) -> Pipeline:
        """The pipeline with more ``--set`` arguments on top of the settings."""
        return self.pipeline(self.settings.changed(overrides), overrides)


class Report:
    """What there is to report.

    Raises:
        UpstreamError: the store has no result of the present settings.
        InputError: the dataset's clips do not suffice for any of the shots.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipeline = source.variant()
        self._strategy = source.settings.config.model.trained_name
        self._units = self._evaluations(source.shots)
        self._found = self._results(self._units)
        if not self._found:
            commands = " && ".join(_lines(unit.command for unit in self._units))
            raise UpstreamError(self._why_nothing(), next_step=f"Run: {commands}")

    @property
    def results(self) -> list[Artifact]:
        """The results that there are."""
        return [each.artifact for each in self._found.values()]

    @property
    def missing(self) -> list[str]:
        """The commands that make those that there are not."""
        return _lines(u.command for u in self._units if u.slot not in self._found)

    @property
    def has_pictures(self) -> bool:
        """Whether the strategy's own model was evaluated, so that there is something to draw."""
        return any(each.model == self._strategy for each in self._found.values())

    @property
    def illustration(self) -> Unit:
        """The unit that draws episodes of the strategy's result with the fewest shots."""
        config = self._source.settings.config
        result, shot = self._drawn
        pipeline, frozen = self._pipeline, self._pipeline.tested_text(frozen=True)
        subjects = [illustrate.Subject(FROZEN, config.model, None, frozen)]
        rival = self._aim_unit
        if rival is not None and self._source.store.find(rival) is not None:
            aim = self._source.settings.changed(AIM).config.model
            text = self._source.variant(*AIM).tested_text()
            subjects.append(illustrate.Subject("aim", aim, rival, text))
        adapters, frames = (result.inputs.get(name) for name in ("adapters", "frames"))
        if self._strategy != FROZEN:
            assert adapters is None or isinstance(adapters, Unit)
            subjects.append(
                illustrate.Subject(self._strategy, config.model, adapters, pipeline.tested_text())
            )
        assert isinstance(frames, Unit)
        return illustrate.unit(
            pipeline.novel,
            shot,
            config.eval,
            subjects,
            root=self._source.settings.root,
            result=result,
            frames=frames,
            groups=pipeline.data.groups(pipeline.novel, config.eval.split),
            command=replace(result.command, verb="report"),
            machine=self._source.machine,
        )

    def document(self, pictures: Mapping[str, Any] | None) -> dict[str, Any]:
        """Every number of the report; ``pictures`` is what ``illustrate`` says, None without."""
        from fsarctl.report import sections
        from fsarctl.report.paper import paper_numbers, published_on
        from fsarctl.results.sweeps import benchmark_of

        settings, novel = self._source.settings, self._pipeline.novel
        benchmark = benchmark_of(settings, novel)
        found = list(self._found.values())
        record = found[0].result.record
        made = self._made
        trained = [each for each in made if each.manifest.stage == "train"]
        text = next((each for each in made if each.manifest.slot == self._text_slot), None)
        return {
            "schema": "fsarctl.report/1",
            "fsarctl": __version__,
            "dataset": novel,
            "trained_on": self._pipeline.base if trained else None,
            "benchmark": benchmark,
            "strategy": self._strategy,
            "backbone": settings.config.model.backbone,
            "episodes": {name: record[name] for name in SHARED} | {"classes": len(record["classes"])},
            "warnings": self._warnings(record["classes_missing"]),
            "results": sections.result_rows([*found, *self._from_files(found)]),
            "missing": self.missing,
            "paper": paper_numbers(settings, benchmark),
            "published": published_on(settings, benchmark),
            "query_modes": self._query_modes(),
            "calibration": self._calibration(),
            "film": self._film(),
            "training": [curve for curve in map(sections.training_curve, trained) if curve["epochs"]],
            "classes": sections.class_tables(found, self._strategy),
            "pictures": _numbers(pictures) if pictures else None,
            "aim": self._aim_command,
            "ablations": self._ablations,
            "ways": self._ways(),
            "descriptions": sections.descriptions(text) if text else None,
            "undescribed": self._pipeline.undescribed,
            "texts": self._pipeline.texts_read._asdict(),
            "data": [self._clip_counts(each) for each in made if each.manifest.stage == "extract"],
            "provenance": sections.provenance(made),
        }

    def _evaluations(self, shots: Sequence[int]) -> list[Unit]:
        """The evaluations of those shots that the clips suffice for.

        Raises:
            InputError: they suffice for none.
        """
        units: list[Unit] = []
        for number, shot in enumerate(shots, start=1):
            try:
                units += self._pipeline.evaluate([shot])
            except InputError:
                if number == len(shots) and not units:
                    raise
        return units

    def _results(self, units: Iterable[Unit]) -> "dict[str, Found]":
        """Slot -> result, for those that are there."""
        from fsarctl.report.sections import Found

        pairs = [(unit.slot, self._source.store.find(unit)) for unit in units]
        return {slot: Found.load(artifact) for slot, artifact in pairs if artifact is not None}

    def _from_files(self, found: "Sequence[Found]") -> "list[Found]":
        """Results of `eval --adapters` on the same episodes, the newest of each file."""
        from fsarctl.report.sections import Found
        from fsarctl.results.result import same_episodes

        store = self._source.store
        slots = {each.manifest.slot: each for each in store.artifacts() if is_of_file(each.manifest)}
        others = [Found.load(store.checked(each)) for _, each in sorted(slots.items())]
        return [each for each in others if any(same_episodes(each.result, own.result) for own in found)]

    def _why_nothing(self) -> str:
        """Why no result is found: without what went into a result it cannot be told from another's."""
        states = self._source.store.plan(self._units)
        gone = [
            each.unit.slot
            for each in states
            if each.unit.stage in DATA_STAGES and each.name in ("missing", "waiting")
        ]
        if gone and any(each.unit.stage == "evaluate" and each.artifact for each in states):
            return (
                f"there are results, but {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} no longer"
                " in the store, without which they cannot be told to be those of the present settings"
            )
        return "nothing is evaluated yet with the present settings, so there is nothing to report"

    @cached_property
    def _made(self) -> list[Artifact]:
        """All that went into the results, upstream first, by the names that datasets have by now."""
        done = [unit for unit in self._units if unit.slot in self._found]
        states = self._source.store.plan([*done, *self._films])
        return [
            replace(each.artifact, manifest=replace(each.artifact.manifest, slot=each.unit.slot))
            for each in states
            if each.artifact is not None and each.name == "done"
        ]

    def _clip_counts(self, artifact: Artifact) -> dict[str, Any]:
        from fsarctl.report.sections import clip_counts

        slot = Slot.read(artifact.manifest.slot)
        return clip_counts(artifact, slot.of, self._pipeline.data.dataset(slot.dataset), slot.split)

    def _warnings(self, missing: Sequence[str]) -> list[str]:
        """Why the results are not what they seem."""
        some = (
            "1 class of this split has" if len(missing) == 1 else f"{len(missing)} classes of this split have"
        )
        lacks = f"{some} no clips: {', '.join(missing)}"
        remarks = dict.fromkeys(remark for each in self._found.values() for remark in each.result.remarks)
        return [*self._pipeline.warnings(), *remarks, *([lacks] if missing else [])]

    @property
    def _text_slot(self) -> str:
        texts = (unit.inputs.get("text") for unit in self._units)
        return next((each.slot for each in texts if isinstance(each, Unit)), "")

    @property
    def _drawn(self) -> tuple[Unit, int]:
        """The result that is drawn, and its shot."""
        units = {unit.slot: unit for unit in self._units}
        slot, found = min(
            ((slot, each) for slot, each in self._found.items() if each.model == self._strategy),
            key=lambda pair: pair[1].shot,
        )
        return units[slot], found.shot

    def _query_modes(self) -> dict[str, Any]:
        from fsarctl.report.sections import query_mode_rows

        mode = self._source.settings.config.eval.query_mode
        shots = sorted({each.shot for each in self._found.values()})
        units = self._source.variant(f"eval.query_mode={OTHER_MODE[mode]}").evaluate(shots)
        rows = query_mode_rows([*self._found.values()], [*self._results(units).values()])
        return {"rows": rows, "commands": [] if rows else _lines(unit.command for unit in units)}

    def _calibration(self) -> dict[str, Any]:
        """How sure predictions of the strategy's model may be, or the command that measures it."""
        from fsarctl.report.sections import calibration_row

        rows: list[dict[str, Any]] = []
        commands: list[Command] = []
        for each in self._found.values():
            if each.model != self._strategy:
                continue
            frozen = each.model == FROZEN
            try:
                told = self._pipeline.calibration(each.shot, frozen=frozen)
                asked = self._pipeline.unseen(each.shot, frozen=frozen)
            except FsarctlError:  # no validation classes, or too few
                continue
            found = [self._source.store.find(unit) for unit in (told, asked)]
            if found[0] is not None and found[1] is not None:
                rows.append(calibration_row(each, found[0], found[1]))
            else:
                commands.append(asked.command)
        return {"rows": rows, "commands": [str(each) for each in joined(commands)]}

    def _film(self) -> dict[str, Any] | None:
        """What is found in a film, or the command that looks; None where there is no film."""
        from fsarctl.report.sections import film_row

        if not self._films:
            return None
        found = [(unit, self._source.store.find(unit)) for unit in self._films]
        return {
            "rows": [film_row(artifact, self._strategy) for _, artifact in found if artifact is not None],
            "commands": _lines(unit.command for unit, artifact in found if artifact is None),
        }

    @cached_property
    def _films(self) -> list[Unit]:
        return self._pipeline.film(sorted({each.shot for each in self._found.values()}))

    @cached_property
    def _aim_unit(self) -> Unit | None:
        """AIM's adapters for the shot that is drawn; None where AIM is the strategy, or cannot be."""
        if self._strategy in ("aim", FROZEN) or self._source.settings.config.model.other_method:
            return None
        try:
            return self._source.variant(*AIM).train([self._drawn[1]])[0]
        except ConfigError:  # something else in [model] does not go with it
            return None

    @property
    def _aim_command(self) -> str | None:
        """What adds AIM to the pictures, None where it is there or cannot be."""
        unit = self._aim_unit if self.has_pictures else None
        return str(unit.command) if unit is not None and self._source.store.find(unit) is None else None

    @cached_property
    def _ablations(self) -> list[dict[str, Any]]:
        """Every table in the store."""
        from fsarctl.report.ablations import ablation_tables
        from fsarctl.results.sweeps import benchmark_of
        from fsarctl.stages import ablate

        listed = self._source.store.artifacts()
        ours = (ablate.STAGE, ablate.VERSION)
        tables = [
            self._source.store.checked(each)
            for each in listed
            if (each.manifest.stage, each.manifest.version) == ours
        ]
        benchmark = benchmark_of(self._source.settings, self._pipeline.novel)
        return ablation_tables([(each, ablate.load_table(each)) for each in tables], listed, benchmark)

    def _ways(self) -> dict[str, Any]:
        """Figure 9, or the command that makes it."""
        from fsarctl.report.sections import way_curves

        for table in self._ablations:
            if table["name"] == WAYS and table["first"]:
                return way_curves(table)
        options = [each for each in self._units[0].command.options if each.name != "--shots"]
        command = Command("ablate", (Option("", (WAYS,)), *options))
        return {"curves": [], "command": str(command)}


def _lines(commands: Iterable[Command]) -> list[str]:
    """What makes results with all that they need, whatever is there."""
    runs = (replace(each, verb="run") if each.verb == "eval" else each for each in commands)
    return list(map(str, joined(runs)))


def illustrations(store: Store, settings: Settings, pipelines: Callable[[str], Pipelines]) -> list[Unit]:
    """The pictures that reports of the project's datasets show; ``pipelines`` are those of a dataset."""
    units = []
    for name in settings.config.datasets:
        try:
            found = Report(Source(store, settings, pipelines(name), settings.config.eval.shots, Machine()))
        except FsarctlError:  # nothing is evaluated on it
            continue
        units += [found.illustration] if found.has_pictures else []
    return units


def _numbers(pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What illustrate says, without the names of its files."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items() if k not in ("picture", "attention")}
        return [plain(each) for each in value] if isinstance(value, list) else value

    numbers: dict[str, Any] = plain(pictures)
    return numbers
