"""report: what the store holds for the present settings, as one document and the pictures that go with it.

Nothing is computed here but sums over stored predictions; the pictures come from ``stages.illustrate``.
The document (schema fsarctl.report/1) has every number that the page shows.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fsarctl import __version__
from fsarctl.artifacts import Artifact, Store, Unit
from fsarctl.artifacts.store import joined_commands
from fsarctl.errors import ConfigError, UpstreamError
from fsarctl.machine import Machine
from fsarctl.models.strategies import TITLES
from fsarctl.settings import Settings
from stages import ablate, illustrate
from stages.plan import Pipeline

if TYPE_CHECKING:
    from fsarctl.results import Comparison, Result

__all__ = ["Report", "Source"]

AIM = ("model.strategy=aim", "model.sub_actions=none", "model.alignment=none")
"""AIM as in Table 3, for the attention maps of Figure 11."""
WAYS = "fig9"
FROZEN = "frozen"
OTHER_MODE = {"joint": "independent", "independent": "joint"}


@dataclass(frozen=True)
class Found:
    """A result in the store."""

    unit: Unit
    artifact: Artifact
    result: "Result"

    @property
    def shot(self) -> int:
        return int(self.result.record["shot"])

    @property
    def model(self) -> str:
        return str(self.result.record["model"])


@dataclass(frozen=True)
class Source:
    """Where a report comes from; ``pipeline`` makes the units of settings that came of some overrides."""

    store: Store
    settings: Settings
    pipeline: Callable[[Settings, Sequence[str]], Pipeline]
    shots: Sequence[int]
    machine: Machine

    def variant(self, *overrides: str) -> Pipeline:
        """The pipeline with more ``--set`` arguments on top of the settings."""
        return self.pipeline(self.settings.changed(overrides), overrides)


class Report:
    """What there is to report.

    Raises:
        UpstreamError: the store has no result of the present settings.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipeline = source.variant()
        units = self._pipeline.evaluate(source.shots)
        self._found = list(self._results(units))
        known = {each.unit.slot for each in self._found}
        self._missing = [unit for unit in units if unit.slot not in known]
        if not self._found:
            states = {state.name for state in source.store.plan(units) if state.unit in units}
            because = "those that there are have other settings" if states & {"stale"} else "so far"
            raise UpstreamError(
                f"nothing is evaluated with these settings, {because}"
                if because != "so far"
                else "nothing is evaluated yet",
                next_step=f"Run: {_run_command(units)}",
            )

    def document(self, pictures: Mapping[str, Any] | None) -> dict[str, Any]:
        """Every number of the report; ``pictures`` is what ``illustrate`` says, None without."""
        from fsarctl.report.paper import paper_numbers
        from fsarctl.sweeps import benchmark_of

        config, novel = self._source.settings.config, self._pipeline.novel
        benchmark = benchmark_of(self._source.settings, novel)
        record = self._found[0].result.record
        shared = (
            "way",
            "query",
            "query_mode",
            "episodes",
            "seed",
            "split",
            "chance",
            "clips",
            "clips_failed",
        )
        return {
            "schema": "fsarctl.report/1",
            "fsarctl": __version__,
            "dataset": novel,
            "trained_on": self._pipeline.base if self._trainings else None,
            "benchmark": benchmark,
            "strategy": config.model.strategy,
            "backbone": config.model.backbone,
            "episodes": {name: record[name] for name in shared} | {"classes": len(record["classes"])},
            "results": [self._result(each) for each in self._found],
            "missing": joined_commands(unit.command for unit in self._missing),
            "paper": paper_numbers(self._source.settings, benchmark),
            "query_modes": self._query_modes(),
            "training": [self._training(unit, artifact) for unit, artifact in self._trainings],
            "classes": self._classes(),
            "pictures": _numbers(pictures) if pictures else None,
            "aim": self._aim_command,
            "ablations": self._ablations,
            "ways": self._ways(),
            "descriptions": self._descriptions(),
            "data": self._data(),
            "provenance": self._provenance(),
        }

    @property
    def illustration(self) -> Unit:
        """The unit that draws the episodes of the result with the fewest shots."""
        config = self._source.settings.config
        own = min((each for each in self._found if each.model == config.model.strategy), key=_by_shot)
        subjects = [illustrate.Subject(FROZEN, config.model, None)]
        rival = self._aim(own.shot)
        if rival is not None:
            subjects.append(rival)
        adapters = own.unit.inputs.get("adapters")
        if isinstance(adapters, Unit):
            subjects.append(illustrate.Subject(config.model.strategy, config.model, adapters))
        frames, text = own.unit.inputs["frames"], own.unit.inputs["text"]
        assert isinstance(frames, Unit)
        assert isinstance(text, Unit)
        return illustrate.unit(
            self._pipeline.novel,
            own.shot,
            config.eval,
            subjects,
            root=self._source.settings.root,
            result=own.unit,
            frames=frames,
            text=text,
            command=own.unit.command.replace("fsarctl eval", "fsarctl report", 1),
            machine=self._source.machine,
        )

    @property
    def has_pictures(self) -> bool:
        """Whether the strategy's own model was evaluated, so that there is something to draw."""
        return any(each.model == self._source.settings.config.model.strategy for each in self._found)

    def _results(self, units: Iterable[Unit]) -> Iterable[Found]:
        from fsarctl.results import load_result

        for unit in units:
            artifact = self._source.store.find(unit)
            if artifact is not None:
                yield Found(unit, artifact, load_result(artifact.path))

    def _result(self, found: Found) -> dict[str, Any]:
        from fsarctl.results import compare, same_episodes

        baseline = next((e for e in self._found if e.shot == found.shot and e.model == FROZEN), None)
        gain = None
        if baseline is not None and baseline is not found and same_episodes(baseline.result, found.result):
            gain = _comparison(compare(baseline.result, found.result))
        return {
            "title": TITLES[found.model],
            **{name: value for name, value in found.result.record.items() if name != "classes"},
            "gain": gain,
            "key": found.artifact.key,
            "command": found.artifact.manifest.command,
        }

    def _query_modes(self) -> dict[str, Any]:
        from fsarctl.results import compare, same_episodes

        mode = self._source.settings.config.eval.query_mode
        units = self._source.variant(f"eval.query_mode={OTHER_MODE[mode]}").evaluate(
            sorted({each.shot for each in self._found})
        )
        others = {(each.shot, each.model): each for each in self._results(units)}
        rows = []
        for found in self._found:
            other = others.get((found.shot, found.model))
            if other is None or not same_episodes(found.result, other.result):
                continue
            pair = {mode: found, OTHER_MODE[mode]: other}
            rows.append(
                {
                    "shot": found.shot,
                    "title": TITLES[found.model],
                    **{name: _accuracy(each) for name, each in pair.items()},
                    # What seeing the other queries adds.
                    "difference": _comparison(compare(pair["independent"].result, pair["joint"].result)),
                }
            )
        return {"rows": rows, "commands": [] if rows else joined_commands(unit.command for unit in units)}

    @cached_property
    def _trainings(self) -> list[tuple[Unit, Artifact]]:
        units = {
            unit.slot: unit
            for each in self._found
            if isinstance(unit := each.unit.inputs.get("adapters"), Unit)
        }
        pairs = [(unit, self._source.store.find(unit)) for unit in units.values()]
        return [(unit, artifact) for unit, artifact in pairs if artifact is not None]

    def _training(self, unit: Unit, artifact: Artifact) -> dict[str, Any]:
        from fsarctl.training_log import read_log

        report = json.loads((artifact.path / "training.json").read_text(encoding="utf-8"))
        val_episodes = unit.config["val_episodes"]
        log = read_log(artifact.path)
        return {
            **report,
            "val_episodes": val_episodes,
            "log": log,
            "key": artifact.key,
            "command": artifact.manifest.command,
        }

    def _classes(self) -> list[dict[str, Any]]:
        from fsarctl.report.confusion import as_document, class_rows, confusion

        counted = {(each.shot, each.model): confusion(each.result.predictions) for each in self._found}
        strategy = self._source.settings.config.model.strategy
        return [
            {
                "shot": shot,
                "title": TITLES[model],
                "rows": class_rows(found, counted.get((shot, FROZEN)) if model != FROZEN else None),
                "confusion": as_document(found),
            }
            for (shot, model), found in counted.items()
            if model == strategy or (shot, strategy) not in counted
        ]

    def _aim(self, shot: int) -> illustrate.Subject | None:
        """AIM's adapters for the shot, if they were trained."""
        unit = self._aim_unit(shot)
        if unit is None or self._source.store.find(unit) is None:
            return None
        return illustrate.Subject("aim", self._source.settings.changed(AIM).config.model, unit)

    def _aim_unit(self, shot: int) -> Unit | None:
        if self._source.settings.config.model.strategy in ("aim", FROZEN):
            return None
        try:
            return self._source.variant(*AIM).train([shot])[0]
        except ConfigError:  # something else in [model] does not go with it
            return None

    @property
    def _aim_command(self) -> str | None:
        """What adds AIM to the pictures, None where it is there or cannot be."""
        if not self.has_pictures:
            return None
        shot = min(each.shot for each in self._found)
        unit = self._aim_unit(shot)
        return unit.command if unit is not None and self._aim(shot) is None else None

    @cached_property
    def _ablations(self) -> list[dict[str, Any]]:
        """Every table in the store, the newest of a name first."""
        store = self._source.store
        listed = store.artifacts()
        commands = {(each.manifest.stage, each.key): each.manifest.command for each in listed}
        tables = [each for each in listed if each.manifest.stage == ablate.STAGE]
        newest = {each.manifest.slot: each.key for each in tables}  # listed by age
        documents = [
            {
                **ablate.load_table(store.checked(table)),
                "key": table.key,
                "command": table.manifest.command,
                "created": table.manifest.created,
                "newest": newest[table.manifest.slot] == table.key,
                "runs": {
                    name: commands.get((source.stage, source.key), "")
                    for name, source in table.manifest.inputs.items()
                },
            }
            for table in tables
        ]
        return sorted(documents, key=lambda each: (not each["newest"], each["name"]))

    def _ways(self) -> dict[str, Any]:
        """Figure 9: of the newest such table accuracy by way, or the command that makes it."""
        table = next((each for each in self._ablations if each["name"] == WAYS and each["newest"]), None)
        if table is None:
            flags = self._source.variant().result(1).command.partition(" --shots 1")[2]
            return {"curves": [], "command": f"fsarctl ablate {WAYS}{flags}"}
        curves: dict[str, list[dict[str, Any]]] = {}
        for row in table["rows"]:
            numbers = row["results"][0]
            if numbers["accuracy"] is not None and "eval.way" in row["set"]:
                title = row["cells"][-1] if row["cells"] else row["name"]
                point = {name: numbers[name] for name in ("accuracy", "half_width", "chance")}
                curves.setdefault(title, []).append({"way": row["set"]["eval.way"], **point})
        return {
            "curves": [{"title": title, "points": points} for title, points in curves.items()],
            "shot": table["shots"][0],
            "benchmark": table["benchmark"],
            "command": table["command"],
        }

    def _descriptions(self) -> list[dict[str, str]]:
        text = self._found[0].unit.inputs["text"]
        assert isinstance(text, Unit)
        artifact = self._source.store.find(text)
        if artifact is None:
            return []
        from fsarctl.data.corpus import DESCRIPTIONS

        labels = json.loads((artifact.path / DESCRIPTIONS).read_text(encoding="utf-8"))["labels"]
        return [{"label": label, **stages} for label, stages in labels.items()]

    def _data(self) -> list[dict[str, Any]]:
        """The clips of each split that went in, and those that could not be decoded."""
        rows = []
        for state in self._source.store.plan([each.unit for each in self._found]):
            artifact = state.artifact if state.name == "done" and state.unit.stage == "extract" else None
            if artifact is not None:
                facts = artifact.manifest.provenance.get("facts")
                failures = json.loads((artifact.path / "failures.json").read_text(encoding="utf-8"))
                rows.append(
                    {
                        "split": state.unit.slot.removeprefix("extract "),
                        **(dict(facts) if isinstance(facts, Mapping) else {}),
                        "failed": failures,
                    }
                )
        return rows

    def _provenance(self) -> dict[str, Any]:
        """Every artifact that went in, upstream first, and what it was made with."""
        artifacts = []
        for state in self._source.store.plan([each.unit for each in self._found]):
            if state.artifact is None or state.name != "done":
                continue
            manifest = state.artifact.manifest
            made = manifest.provenance
            facts = made.get("facts")
            artifacts.append(
                {
                    "slot": manifest.slot,
                    "stage": manifest.stage,
                    "key": manifest.key,
                    "command": manifest.command,
                    "created": manifest.created,
                    "seconds": made.get("seconds"),
                    "device": facts.get("device") if isinstance(facts, Mapping) else None,
                    "git": made.get("git"),
                    "python": made.get("python"),
                    "platform": made.get("platform"),
                    "packages": made.get("packages"),
                }
            )
        return {"artifacts": artifacts}


def _by_shot(found: Found) -> int:
    return found.shot


def _accuracy(found: Found) -> dict[str, Any]:
    record = found.result.record
    return {
        "accuracy": record["accuracy"],
        "half_width": record["half_width"],
        "key": found.artifact.key,
        "command": found.artifact.manifest.command,
    }


def _comparison(found: "Comparison") -> dict[str, Any]:
    half_width = found.difference.half_width
    return {
        "difference": found.difference.mean,
        "half_width": half_width if half_width != float("inf") else None,
        "p": found.p,
    }


def _numbers(pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What illustrate says, without the names of its files."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items() if k not in ("picture", "attention")}
        return [plain(each) for each in value] if isinstance(value, list) else value

    numbers: dict[str, Any] = plain(pictures)
    return numbers


def _run_command(units: Sequence[Unit]) -> str:
    """`fsarctl run` for what these evaluations are of."""
    evaluate = joined_commands(unit.command for unit in units)
    return " && ".join(each.replace("fsarctl eval", "fsarctl run", 1) for each in evaluate)
