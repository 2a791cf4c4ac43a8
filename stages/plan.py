"""The pipeline as units: which artifacts a command is about, and what each one reads.

describe and extract make one unit per dataset split, so that a change of the test classes retrains
nothing; train makes one per shot; evaluate one per shot and model.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

from fsarctl.artifacts import Unit
from fsarctl.config import Shortcut
from fsarctl.data.clips import Clip
from fsarctl.describing.caption_limit import CaptionLimit
from fsarctl.describing.language_model import Described
from fsarctl.describing.patience import Patience
from fsarctl.describing.sources import Sources
from fsarctl.errors import ConfigError, InputError
from fsarctl.machine import Machine
from fsarctl.models.catalogue import stored_side
from fsarctl.reporting import Reporter
from fsarctl.settings import Settings
from stages import describe, evaluate, extract, render, shortcut, train
from stages.describe import Plan

__all__ = ["Pipeline", "RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """What does not change a result, and so enters no key.

    ``flags`` are the words (--project, --cache, --set) that a command must carry to mean the same project.
    """

    workers: int
    machine: Machine = field(default_factory=Machine)
    strict: bool = False
    concurrency: int = 4
    answer_limit_s: float = 120.0
    time_limit_s: float = 60.0
    flags: str = ""


class Pipeline:
    """All units of a project, each made once."""

    def __init__(
        self, settings: Settings, records: Path, options: RunOptions, dataset: str | None = None
    ) -> None:
        self._settings = settings
        self._config = settings.config
        self._records = records
        self._options = options
        self._asked = dataset
        self._units: dict[str, Unit] = {}
        self._folders: dict[str, dict[str, list[Clip]]] = {}

    @cached_property
    def base(self) -> str:
        """The dataset whose base classes are trained on."""
        return self._settings.only_dataset("train")

    @cached_property
    def novel(self) -> str:
        """The dataset whose novel classes are evaluated: --dataset, or what the file says."""
        if self._asked is None:
            return self._settings.only_dataset("eval")
        self._settings.dataset(self._asked)
        return self._asked

    def describe(self) -> list[Unit]:
        """One unit per split that training or evaluation reads, or per split of --dataset."""
        return [self._text(name, split) for name, split in self._splits()]

    def described_labels(self) -> list[str]:
        """The labels that ``describe`` is about, each once."""
        labels = (self._require_labels(name, split) for name, split in self._splits())
        return sorted(set(chain.from_iterable(labels)))

    def describe_calls(self, labels: Sequence[str]) -> Plan:
        """What describing these labels would ask of the language model."""
        return describe.plan(labels, self._config.describe, records=self._records, root=self._settings.root)

    def ask(self, units: Iterable[Unit], reporter: Reporter) -> Described | None:
        """Ask for all that these describe units want of a language model, at once; None if they want nothing.

        Raises:
            ConfigError: the server refuses every label.
            InputError: answers cannot be kept.
        """
        labels = {label for unit in units for label in describe.labels_asked(unit)}
        if not labels:
            return None
        return describe.ask(
            sorted(labels),
            self.sources(),
            self._config.describe,
            concurrency=self._options.concurrency,
            patience=self._patience,
            limit=self.caption_limit,
            reporter=reporter,
        )

    def sources(self) -> Sources:
        """Where descriptions are found."""
        return describe.sources(self._config.describe, records=self._records, root=self._settings.root)

    @property
    def caption_limit(self) -> CaptionLimit | None:
        """What the text encoder reads; None if the model reads no text."""
        model = self._config.model
        return None if model.score == "video" else CaptionLimit(model.backbone, model.sub_actions)

    @property
    def _patience(self) -> Patience:
        limit = self._options.answer_limit_s
        return Patience(timeout=limit, deadline=max(Patience.deadline, 5 * limit))

    def describe_labels(self, labels: Sequence[str], file: Path) -> Unit:
        """The descriptions of a label list of the user's."""
        unit = self._describe(labels, slot=describe.LABEL_LIST + file.name)
        return self._with_words(unit, f"--labels {shlex.quote(str(file))}")

    def extract(self) -> list[Unit]:
        """Like describe; a dataset that is rendered here brings the unit that renders it."""
        return self._with_videos(self._splits())

    def train(self, shots: Iterable[int]) -> list[Unit]:
        """One adapter set per shot.

        Raises:
            ConfigError: the strategy trains nothing.
        """
        if self._config.model.strategy == evaluate.FROZEN:
            raise ConfigError(
                "model.strategy is frozen, so there is nothing to train",
                next_step="Run `fsarctl eval`, or set another model.strategy.",
            )
        return [self._train(shot) for shot in shots]

    def evaluate(self, shots: Iterable[int]) -> list[Unit]:
        """For each shot the frozen backbone (if eval.frozen) and the strategy's model."""
        names = [evaluate.FROZEN] if self._config.eval.frozen else []
        names += [self._config.model.strategy]
        return [self._evaluate(shot, name) for shot in shots for name in dict.fromkeys(names)]

    def result(self, shot: int) -> Unit:
        """The evaluation of the strategy's model alone."""
        return self._evaluate(shot, self._config.model.strategy)

    def shortcut(self, name: Shortcut, shot: int, words: str) -> Unit:
        """What a shortcut of the released protocol gives instead; ``words`` ask `fsarctl ablate` for it."""
        split = self._config.eval.split
        unit = shortcut.unit(
            name,
            self.novel,
            shot,
            self._config.model,
            self._config.train,
            self._config.eval,
            root=self._settings.root,
            frames={
                **{each: self._frames(self.base, each) for each in ("train", "val")},
                "test": self._frames(self.novel, split),
            },
            texts={
                **{each: self._text(self.base, each) for each in ("train", "val")},
                "test": self._text(self.novel, split),
            },
            adapters=self._train(shot),
            command=f"fsarctl ablate {words} --shots {shot}",
            machine=self._options.machine,
        )
        return self._with_words(unit)

    def everything(self, shots: Sequence[int]) -> list[Unit]:
        """The whole pipeline for these shots, upstream first."""
        final = self.evaluate(shots)
        texts = [self._text(name, split) for name, split in self._needed()]
        trains = self._config.model.strategy != evaluate.FROZEN
        training = self.train(shots) if trains else []
        return [*texts, *self._with_videos(self._needed()), *training, *final]

    def used(self, shots: Sequence[int]) -> list[Unit]:
        """Every unit that the present settings have a use for, with this dataset as the novel one."""
        tested = self._labels(self.novel, self._config.eval.split)
        final = self.evaluate(shots) if tested else []
        trains = self._config.model.strategy != evaluate.FROZEN
        return [*self.describe(), *self.extract(), *(self.train(shots) if trains else []), *final]

    def _splits(self) -> list[tuple[str, str]]:
        if self._asked is None:
            return self._needed()
        return [(self.novel, split) for split in ("train", "val", "test") if self._labels(self.novel, split)]

    def _needed(self) -> list[tuple[str, str]]:
        needed = [(self.base, "train"), (self.base, "val"), (self.novel, self._config.eval.split)]
        return list(dict.fromkeys(needed))

    def _with_videos(self, splits: list[tuple[str, str]]) -> list[Unit]:
        frames = [self._frames(name, split) for name, split in splits]
        videos = [unit.inputs["videos"] for unit in frames]
        return [*(each for each in videos if isinstance(each, Unit)), *frames]

    def _train(self, shot: int) -> Unit:
        return self._once(
            f"train {shot}",
            lambda: train.unit(
                self.base,
                shot,
                self._config.train,
                self._config.model,
                root=self._settings.root,
                frames={split: self._frames(self.base, split) for split in ("train", "val")},
                texts={split: self._text(self.base, split) for split in ("train", "val")},
                machine=self._options.machine,
            ),
        )

    def _evaluate(self, shot: int, name: str) -> Unit:
        split = self._config.eval.split
        return self._once(
            f"evaluate {shot} {name}",
            lambda: evaluate.unit(
                self.novel,
                shot,
                self._config.eval,
                self._config.model,
                root=self._settings.root,
                frames=self._frames(self.novel, split),
                text=self._text(self.novel, split),
                adapters=self._train(shot) if name != evaluate.FROZEN else None,
                seen=self._seen() if name != evaluate.FROZEN else [],
                machine=self._options.machine,
            ),
            self.novel,
        )

    def _seen(self) -> list[str]:
        """Novel labels that are base or validation labels as well, which is possible across datasets."""
        base = {label for split in ("train", "val") for label in self._labels(self.base, split)}
        return sorted(base & set(self._labels(self.novel, self._config.eval.split)))

    def _text(self, name: str, split: str) -> Unit:
        return self._once(
            f"describe {name}/{split}",
            lambda: self._describe(self._require_labels(name, split), slot=f"describe {name}/{split}"),
            name,
        )

    def _describe(self, labels: Sequence[str], slot: str) -> Unit:
        return describe.unit(
            labels,
            self._config.describe,
            slot=slot,
            records=self._records,
            root=self._settings.root,
            concurrency=self._options.concurrency,
            patience=self._patience,
            limit=self.caption_limit,
        )

    def _frames(self, name: str, split: str) -> Unit:
        def make() -> Unit:
            self._require_labels(name, split)
            return extract.unit(
                name,
                split,
                self._videos(name, split),
                self._config.extract,
                self._config.extract.size or stored_side(self._config.model.backbone),
                workers=self._options.workers,
                strict=self._options.strict,
                time_limit_s=self._options.time_limit_s,
            )

        return self._once(f"extract {name}/{split}", make, name)

    def _videos(self, name: str, split: str) -> Unit | list[Clip]:
        dataset = self._settings.dataset(name)
        if dataset.kind == "shapes":
            return self._once(
                f"render {name}/{split}",
                lambda: render.unit(name, dataset, split, workers=self._options.workers),
                name,
            )
        return self._folder(name)[split]

    def _labels(self, name: str, split: str) -> list[str]:
        if self._settings.dataset(name).kind == "shapes":
            from fsarctl.data.shapes import CLASSES

            return [each.label for each in CLASSES if each.split == split]
        return sorted({clip.label for clip in self._folder(name).get(split, [])})

    def _require_labels(self, name: str, split: str) -> list[str]:
        labels = self._labels(name, split)
        if not labels:
            raise InputError(
                f"dataset {name!r} has no {split} classes",
                next_step=f"List some in [datasets.{name}.splits] {split} = [...], or name another dataset.",
            )
        return labels

    def _folder(self, name: str) -> dict[str, list[Clip]]:
        from fsarctl.data.folder import scan

        if name not in self._folders:
            dataset = self._settings.dataset(name)
            root = (self._settings.root / dataset.root).expanduser()
            self._folders[name] = scan(name, root, dataset.splits)
        return self._folders[name]

    def _once(self, slot: str, make: Callable[[], Unit], dataset: str | None = None) -> Unit:
        if slot not in self._units:
            asked = dataset is not None and dataset == self._asked
            words = f"--dataset {shlex.quote(self._asked)}" if asked and self._asked else ""
            self._units[slot] = self._with_words(make(), words)
        return self._units[slot]

    def _with_words(self, unit: Unit, *words: str) -> Unit:
        return replace(unit, command=" ".join(filter(None, [unit.command, *words, self._options.flags])))
