"""The pipeline as units: which artifacts a command is about, and what each one reads.

describe and extract make one unit per dataset split, so that a change of the test classes retrains
nothing; train makes one per shot; evaluate one per shot and model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts import Unit
from fsarctl.artifacts.command import Command, Option
from fsarctl.config.dataset_table import Ability, DatasetConfig
from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.config.setting_field import SPLITS
from fsarctl.config.settings import Settings
from fsarctl.config.sweep_table import Shortcut
from fsarctl.config.tables import Config
from fsarctl.config.training_tables import EvalConfig
from fsarctl.datasets.findings import Findings
from fsarctl.datasets.project import ProjectData
from fsarctl.episodes.tracking.trackers import Tracking
from fsarctl.errors import ConfigError, FsarctlError, InputError
from fsarctl.execution.device import Machine
from fsarctl.methods.build import require_backbone, require_frames, require_options, text_use, trains
from fsarctl.methods.weights import check_weights, look_for_weights
from fsarctl.models.backbone_catalogue import stored_side
from fsarctl.models.strategies import FROZEN, title_of
from fsarctl.progress import Reporter
from fsarctl.results.texts_read import TextKind, TextsRead
from fsarctl.stages import calibrate, describe, evaluate, extract, film, oracle, render, shortcut, train
from fsarctl.stages.describe import Plan
from fsarctl.stages.extract import Videos
from fsarctl.stages.slots import Slot
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.class_texts import ClassTexts
from fsarctl.text.corpus import needs_descriptions
from fsarctl.text.llm.language_model import Described
from fsarctl.text.llm.retries import Patience
from fsarctl.text.sources import Sources
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.episodes.scoring import Shared

__all__ = ["Pipeline", "RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """What does not change a result, and so enters no key.

    ``flags`` are the options (--project, --cache, --set) that a command must carry to mean the same project.
    ``note`` hears what a user should know of the datasets that are opened; pipelines that share
    ``findings`` open each, and look at its clips, but once. ``board`` is a folder for TensorBoard.
    """

    workers: int
    machine: Machine = field(default_factory=Machine)
    strict: bool = False
    concurrency: int = 4
    answer_limit_s: float = 120.0
    until_done: bool = False
    time_limit_s: float = TIME_LIMIT_S
    flags: tuple[Option, ...] = ()
    note: Callable[[str], None] = lambda message: None
    findings: Findings = field(default_factory=Findings, compare=False)
    videos: dict[int, Videos] = field(default_factory=dict, compare=False)
    board: Path | None = None


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
        self._tracking = Tracking(settings.config.tracking, settings.root)
        self._units: dict[str, Unit] = {}
        self._of_shots: dict[int, Config] = {}
        self.data = ProjectData(
            settings, dataset, options.note, options.findings.datasets, lambda: trains(settings.config.model)
        )

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._settings.root

    @property
    def flags(self) -> tuple[Option, ...]:
        """The options that a command must carry to mean the same project."""
        return self._options.flags

    @property
    def base(self) -> str:
        """The dataset whose base classes are trained on."""
        return self.data.base

    @property
    def novel(self) -> str:
        """The dataset whose novel classes are evaluated: --dataset, or what the file says."""
        return self.data.novel

    def describe(self) -> list[Unit]:
        """One unit per split that training or evaluation reads, or per split of --dataset."""
        return [self._text(name, split) for name, split in self._splits()]

    def described_labels(self) -> list[str]:
        """The labels that ``describe`` is about, each once."""
        labels = (self.data.require_labels(name, split) for name, split in self._splits())
        return sorted(set(chain.from_iterable(labels)))

    def labels_of_datasets(self) -> list[str]:
        """The labels of every split of every dataset that can be opened, each once, in silence."""
        opened = self._options.findings.datasets
        data = ProjectData(self._settings, None, lambda message: None, opened, lambda: self.data.trains)
        labels: set[str] = set()
        for name in self._config.datasets:
            try:
                labels.update(chain.from_iterable(data.dataset(name).found.values()))
            except FsarctlError:  # whoever needs it will say so
                continue
        return sorted(labels)

    def describe_calls(self, labels: Sequence[str], named: Sequence[Option] = ()) -> Plan:
        """What describing these labels would ask of the language model; ``named`` name their list."""
        return describe.plan(
            labels,
            self._config.describe,
            records=self._records,
            root=self._settings.root,
            named=named,
            flags=self._options.flags,
            names=self._config.names,
        )

    @cached_property
    def texts(self) -> ClassTexts:
        """What is read of the classes."""
        describe, limit = self._config.describe, self.caption_limit
        return ClassTexts(describe, self.data, self.sources, limit, self.edit_command)

    def tested_text(self, *, frozen: bool = False) -> Unit | None:
        """The descriptions that a model reads of the novel classes; None where it reads none of them.

        ``frozen``: of the frozen model. Beside a method that reads none it asks for none, either: it reads
        them where every class has one, and else the labels.
        """
        return self._read(self.novel, self._config.eval.split, frozen=frozen)

    @property
    def texts_read(self) -> TextsRead:
        """What the frozen model and the method read of the novel classes."""
        return TextsRead(self._kind_of_text(frozen=True), self._kind_of_text(frozen=False))

    def _kind_of_text(self, *, frozen: bool) -> TextKind:
        if text_use(self._config.model, adapters=not frozen) is None:
            return None
        there = self.tested_text(frozen=frozen) is not None
        if there and not self.texts.undescribed(self.novel, self._config.eval.split):
            return "sub-actions"
        return "label"

    @property
    def undescribed(self) -> list[str]:
        """Those of the novel classes that nobody has described, though the model reads descriptions."""
        if not self.texts.of_descriptions:
            return []
        return self.texts.undescribed(self.novel, self._config.eval.split)

    def warnings(self) -> list[str]:
        """Why results on the novel classes are not what they seem: a sentence each."""
        return [*self.data.warnings(), *self.texts.warnings(self._needed()), *self.reference_warnings()]

    def training_warnings(self) -> list[str]:
        """What is known of that before the novel classes are looked at."""
        base = [(self.base, split) for split in ("train", "val")]
        return [*self.data.training_warnings(), *self.texts.warnings(base)]

    def reference_warnings(self) -> list[str]:
        """Why the frozen model beside a method that reads no descriptions reads none, either."""
        use = text_use(self._config.model, adapters=False) if self._config.eval.frozen else None
        if self.texts.of_descriptions or use is None or not needs_descriptions(use):
            return []
        return self.texts.of_reference(self.novel, self._config.eval.split)

    def warnings_on_labels(self) -> list[str]:
        """Which classes that ``describe`` is about are read by their labels, and why."""
        return self.texts.warnings(self._splits())

    def edit_command(self, labels: Sequence[str]) -> Command:
        """What lets a person describe these labels."""
        return describe.edit_command(labels, self._options.flags)

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
        return describe.sources(
            self._config.describe,
            records=self._records,
            root=self._settings.root,
            names=self._config.names,
        )

    @property
    def caption_limit(self) -> CaptionLimit | None:
        """What the text encoder reads; None if the model reads no text."""
        use = text_use(self._config.model)
        return None if use is None else CaptionLimit(self._config.model.backbone, use, self._config.names)

    @property
    def _patience(self) -> Patience:
        limit = self._options.answer_limit_s
        deadline = max(Patience.deadline, 5 * limit)
        return Patience(timeout=limit, deadline=deadline, until_done=self._options.until_done)

    def describe_labels(self, labels: Sequence[str], name: str, options: Sequence[Option]) -> Unit:
        """The descriptions of a label list of the user's; ``options`` are how a command names it."""
        unit = self._describe(labels, slot=str(Slot.of_list(describe.STAGE, name)), named=options)
        return self._with_options(unit, *options)

    def extract(self) -> list[Unit]:
        """Like describe; a dataset that is rendered here brings the unit that renders it."""
        return self._with_videos(self._splits())

    def train(self, shots: Iterable[int]) -> list[Unit]:
        """One adapter set per shot.

        Raises:
            ConfigError: the strategy trains nothing, or its layers or the device cannot be.
            InputError: the base or validation classes are too few or too small for these episodes.
        """
        if not self.data.trains:
            ours = self._config.model.method == TASK_ADAPTER
            shot = Option("--shots", tuple(map(str, shots)), several=True)
            run = Command("run", (shot, *self._options.flags))
            why = (
                "model.strategy is frozen" if ours else f"method {self._config.model.method!r} trains nothing"
            )
            raise ConfigError(
                f"{why}, so there is nothing to train",
                next_step=f"It is evaluated as it is: {run}; or set another "
                f"model.{'strategy' if ours else 'method'}.",
            )
        shots = list(shots)
        self._require_model()
        self.data.require_training(shots)
        units = map(self._train, shots)
        return list({unit.slot: unit for unit in units}.values())

    def evaluate(self, shots: Iterable[int]) -> list[Unit]:
        """For each shot the frozen backbone (if eval.frozen) and the strategy's model.

        Raises:
            ConfigError: the layers or the device cannot be.
            InputError: the novel classes are too few or too small for these episodes.
        """
        return self._required_evaluations(shots)

    def evaluate_file(self, shots: Iterable[int], adapters: Path) -> list[Unit]:
        """For each shot the frozen backbone (if eval.frozen) and the adapters of a file; nothing is trained.

        Raises:
            ConfigError, InputError: as ``evaluate``; or there is no such file.
        """
        if not adapters.is_file():
            raise InputError(
                f"there is no file {adapters}",
                next_step="Name adapters.safetensors of a train artifact, or a released checkpoint.",
            )
        return self._required_evaluations(shots, adapters)

    def warnings_of_file(self, adapters: Path) -> list[str]:
        """Why results of a file's adapters are not what they seem."""
        return [
            f"which classes the adapters of {adapters.name} were trained and chosen on is not known here, nor"
            f" whether those of {self.novel} are new to them",
            *self.texts.warnings([(self.novel, self._config.eval.split)]),
        ]

    def result(self, shot: int) -> Unit:
        """The evaluation of the strategy's model alone; refused like ``train`` and ``evaluate``."""
        self._require_run(shot)
        return self._evaluate(shot, self._config.model.trained_name)

    def calibration(self, shot: int, *, frozen: bool = False) -> Unit:
        """What tells a prediction how sure it may be: scores of validation classes, some of them unseen.

        Raises:
            ConfigError, InputError: there are no validation classes, or too few.
        """
        episodes = self._of(shot).train.val_episodes
        return self._calibrate(self.base, "val", shot, replace(self._config.eval, episodes=episodes), frozen)

    def unseen(self, shot: int, *, frozen: bool = False) -> Unit:
        """What measures it: the same of novel classes.

        Raises:
            ConfigError, InputError: the novel classes are too few or too small.
        """
        return self._calibrate(self.novel, self._config.eval.split, shot, self._config.eval, frozen)

    def shortcut(self, name: Shortcut, shot: int, options: Sequence[Option]) -> Unit:
        """What a shortcut of the released protocol gives instead; ``options`` ask `fsarctl ablate` for it."""
        self._require_run(shot)
        if not self.data.trains:
            raise ConfigError(
                f"the shortcut {name!r} is one of training, and {title_of(self._config.model.trained_name)}"
                " trains nothing",
                next_step="Set another model.method or model.strategy, or choose other rows with --rows.",
            )
        split = self._config.eval.split
        unit = shortcut.unit(
            name,
            self.novel,
            shot,
            self._of(shot).model,
            self._of(shot).train,
            self._config.eval,
            root=self._settings.root,
            frames={
                **{each: self._frames(self.base, each) for each in ("train", "val")},
                "test": self._frames(
                    self.novel, split, shortcut.RANDOM_FRAMES if name == "random-frames" else 1
                ),
            },
            texts={**self._base_texts(), "test": self.tested_text()},
            adapters=self._train(shot),
            groups={
                **{each: self.data.groups(self.base, each) for each in ("train", "val")},
                "test": self.data.groups(self.novel, split),
            },
            command=Command("ablate", (*options, Option("--shots", (str(shot),), several=True))),
            machine=self._options.machine,
        )
        return self._with_options(unit)

    def oracle(self, ability: Ability, shot: int, options: Sequence[Option]) -> Unit:
        """What an oracle, which reads what was rendered, makes of a probe; ``options`` as above.

        Raises:
            ConfigError: the novel classes are not a probe's.
        """
        self.data.require_evaluation([shot])
        split = self._config.eval.split
        unit = oracle.unit(
            ability,
            self.novel,
            self._settings.dataset(self.novel),
            shot,
            self._config.eval,
            frames=self._frames(self.novel, split),
            command=Command("ablate", (*options, Option("--shots", (str(shot),), several=True))),
        )
        return self._with_options(unit)

    def film(self, shots: Sequence[int]) -> list[Unit]:
        """What is found in a film of the novel classes, by each model that is evaluated on them.

        Nothing where their dataset has none, and unless the largest of [eval] shots, for which it is, is
        among these.
        """
        dataset, shot = self._settings.dataset(self.novel), max(self._config.eval.shots)
        if not dataset.film_s or shot not in shots:
            return []
        return [self._film(dataset, shot, name) for name in self._evaluated(self._config.model.trained_name)]

    def everything(self, shots: Sequence[int]) -> list[Unit]:
        """The whole pipeline for these shots, upstream first; refused like ``train`` and ``evaluate``."""
        training = self.train(shots) if self.data.trains else []
        final = self.evaluate(shots)
        made = [*self._with_videos(self._needed()), *training, *final]
        return [*_texts([*training, *final]), *made, *self.film(shots)]

    def used(self, shots: Sequence[int]) -> list[Unit]:
        """Every unit that the present settings have a use for, with this dataset as the novel one."""
        tested = self.data.dataset(self.novel).labels(self._config.eval.split)
        final = self._evaluations(shots) if tested else []
        training = [self._train(shot) for shot in shots] if self.data.trains else []
        film = self.film(shots) if tested else []
        return [*_texts([*training, *final]), *self.extract(), *training, *final, *film]

    def _require_run(self, shot: int) -> None:
        if self.data.trains:
            try:
                self.data.require_training([shot])
            except (ConfigError, InputError) as error:
                title = title_of(self._config.model.trained_name)
                message = f"{title} is trained, and {error.message}"
                raise type(error)(message, next_step=error.next_step) from None
        self._require_model()
        self.data.require_evaluation([shot])

    def _require_model(self) -> None:
        self._options.machine.require_device_name()
        self._tracking.require()
        require_backbone(self._config.model)
        require_options(self._config.model)
        config = self._config
        require_frames(config.model, config.extract.size, config.train.prefix_crops)

    def _required_evaluations(self, shots: Iterable[int], file: Path | None = None) -> list[Unit]:
        shots = list(shots)
        self._require_model()
        self.data.require_evaluation(shots)
        return self._evaluations(shots, file)

    def _evaluations(self, shots: Iterable[int], file: Path | None = None) -> list[Unit]:
        """Of the trained model, or of the adapters in ``file``; before it the frozen one's, if asked for."""
        own = evaluate.FROM_FILE + file.name if file else self._config.model.trained_name
        shots, names = list(shots), self._evaluated(own)
        # A single one would keep its videos' features for nobody.
        shared: Shared | None = {} if len(shots) > 1 else None
        return [self._evaluate(shot, name, shared, file) for shot in shots for name in names]

    def _evaluated(self, own: str) -> list[str]:
        """The models that are evaluated, of which ``own`` is the settings' one."""
        return list(dict.fromkeys([FROZEN, own] if self._config.eval.frozen else [own]))

    def _splits(self) -> list[tuple[str, str]]:
        if self._asked is None:
            return self._needed()
        novel = self.data.dataset(self.novel)
        return [(self.novel, split) for split in SPLITS if novel.labels(split)]

    def _needed(self) -> list[tuple[str, str]]:
        base = [(self.base, "train"), (self.base, "val")] if self.data.trains else []
        return list(dict.fromkeys([*base, (self.novel, self._config.eval.split)]))

    def _with_videos(self, splits: list[tuple[str, str]]) -> list[Unit]:
        frames = [self._frames(name, split) for name, split in splits]
        videos = [unit.inputs["videos"] for unit in frames]
        return [*(each for each in videos if isinstance(each, Unit)), *frames]

    def _of(self, shot: int) -> Config:
        """The settings for so many support clips a class."""
        if shot not in self._of_shots:
            self._of_shots[shot] = self._settings.for_shot(shot).config
        return self._of_shots[shot]

    def _train(self, shot: int) -> Unit:
        config = self._of(shot)
        learned = config.train.episode_shot or shot
        if (self._of(learned).train, self._of(learned).model) == (config.train, config.model):
            shot = learned  # one training for all shots that are evaluated
        return self._once(
            f"train {shot}",
            lambda: train.unit(
                self.base,
                shot,
                config.train,
                config.model,
                root=self._settings.root,
                frames={split: self._frames(self.base, split) for split in ("train", "val")},
                texts=self._base_texts(),
                groups={split: self.data.groups(self.base, split) for split in ("train", "val")},
                machine=self._options.machine,
                board=self._options.board,
                tracking=self._tracking,
            ),
        )

    def _evaluate(
        self, shot: int, name: str, shared: "Shared | None" = None, file: Path | None = None
    ) -> Unit:
        file = None if file is None or name == FROZEN else file.absolute()
        own = name != FROZEN and file is None and self.data.trains
        split = self._config.eval.split
        return self._once(
            f"evaluate {shot} {name}",
            lambda: evaluate.unit(
                self.novel,
                shot,
                self._config.eval,
                self._of(shot).model,
                root=self._settings.root,
                frames=self._frames(self.novel, split),
                text=self.tested_text(frozen=name == FROZEN),
                adapters=self._train(shot) if own else file,
                frozen=name == FROZEN,
                seen=self.data.seen() if own else None if file else [],
                expected=sum(self.data.dataset(self.novel).expected[split].values()),
                empty=self.data.dataset(self.novel).empty_classes(split),
                groups=self.data.groups(self.novel, split),
                machine=self._options.machine,
                shared=shared,
                tracking=self._tracking,
            ),
            self.novel,
        )

    def _film(self, dataset: DatasetConfig, shot: int, name: str) -> Unit:
        frozen, split = name == FROZEN, self._config.eval.split
        videos = self._videos(self.novel, split)
        assert isinstance(videos, Unit), "a dataset with a film is rendered"
        command = Command("run", (Option("--shots", (str(shot),), several=True),))
        return self._once(
            f"film {shot} {name}",
            lambda: film.unit(
                self.novel,
                split,
                shot,
                self._config.extract,
                self._of(shot).model,
                root=self._settings.root,
                film=self._once(
                    "render film", lambda: render.film(self.novel, dataset, split, command), self.novel
                ),
                videos=videos,
                text=self.tested_text(frozen=frozen),
                adapters=self._train(shot) if self.data.trains and not frozen else None,
                frozen=frozen,
                command=command,
                machine=self._options.machine,
            ),
            self.novel,
        )

    def _calibrate(self, dataset: str, split: str, shot: int, table: EvalConfig, frozen: bool) -> Unit:
        self._require_model()
        frozen = frozen or self._config.model.trained_name == FROZEN
        return self._once(
            f"calibrate {dataset}/{split} {shot} {frozen}",
            lambda: calibrate.unit(
                dataset,
                split,
                shot,
                table,
                self._of(shot).model,
                classes=len(self.data.require_labels(dataset, split)),
                root=self._settings.root,
                frames=self._frames(dataset, split),
                text=self._read(dataset, split, frozen=frozen),
                adapters=self._train(shot) if self.data.trains and not frozen else None,
                frozen=frozen,
                groups=self.data.groups(dataset, split),
                machine=self._options.machine,
            ),
            dataset,
        )

    def _base_texts(self) -> dict[str, Unit | None]:
        return {split: self._read(self.base, split) for split in ("train", "val")}

    def _read(self, name: str, split: str, *, frozen: bool = False) -> Unit | None:
        """What of these classes' descriptions a model reads, as it says itself."""
        use = text_use(self._config.model, adapters=not frozen)
        if use is None:
            return None
        if not needs_descriptions(use):
            return self._called(name, split)
        if frozen and not self.texts.of_descriptions and self.texts.undescribed(name, split):
            return self._called(name, split)
        return self._text(name, split)

    def _called(self, name: str, split: str) -> Unit | None:
        """What prompts call these classes, where their labels are read alone; None where by these labels."""
        labels = self.data.require_labels(name, split)
        if not self._config.names.keys() & set(labels):
            return None
        slot = f"{Slot.of_split(describe.STAGE, name, split)} names"
        return self._once(slot, lambda: self._describe(labels, slot=slot, alone=True), name)

    def _text(self, name: str, split: str) -> Unit:
        slot = str(Slot.of_split(describe.STAGE, name, split))
        return self._once(
            slot,
            lambda: self._describe(
                self.data.require_labels(name, split),
                slot=slot,
                compared=self.texts.of_descriptions,
            ),
            name,
        )

    def _describe(
        self,
        labels: Sequence[str],
        slot: str,
        *,
        named: Sequence[Option] = (),
        compared: bool = False,
        alone: bool = False,
    ) -> Unit:
        return describe.unit(
            labels,
            self._config.describe,
            slot=slot,
            records=self._records,
            root=self._settings.root,
            concurrency=self._options.concurrency,
            patience=self._patience,
            limit=self.caption_limit,
            named=named,
            flags=self._options.flags,
            compared=compared,
            alone=alone,
            names=self._config.names,
        )

    def _frames(self, name: str, split: str, candidates: int = 1) -> Unit:
        if self._trained_on(name, split):
            candidates = self._config.extract.candidates

        def make() -> Unit:
            self.data.require_labels(name, split)
            return extract.unit(
                name,
                split,
                self._videos(name, split),
                self._config.extract,
                self._config.extract.size or stored_side(self._config.model.backbone),
                candidates=candidates,
                kind=self._settings.dataset(name).own_kind,
                workers=self._options.workers,
                strict=self._options.strict,
                time_limit_s=self._options.time_limit_s,
            )

        return self._once(f"extract {name}/{split} {candidates}", make, name)

    def _trained_on(self, name: str, split: str) -> bool:
        """Whether this split's clips are what the adapters are trained on."""
        try:
            return split == "train" and name == self.base
        except ConfigError:  # several datasets, and none of them named: nothing is trained
            return False

    def _videos(self, name: str, split: str) -> Unit | Videos:
        dataset = self._settings.dataset(name)
        if dataset.kind in render.RENDERED:
            return self._once(
                f"render {name}/{split}",
                lambda: render.unit(name, dataset, split, workers=self._options.workers),
                name,
            )
        clips = self.data.dataset(name).clips[split]
        if id(clips) not in self._options.videos:  # which ``findings`` keep alive
            self._options.videos[id(clips)] = Videos.look(clips, self._options.findings.files)
        return self._options.videos[id(clips)]

    def _once(self, slot: str, make: Callable[[], Unit], dataset: str | None = None) -> Unit:
        if slot not in self._units:
            asked = dataset is not None and dataset == self._asked
            options = [Option("--dataset", (self._asked,))] if asked and self._asked else []
            self._units[slot] = self._with_options(make(), *options)
        return self._units[slot]

    def _with_options(self, unit: Unit, *options: Option) -> Unit:
        foresee = self._foreseen.get(unit.stage)
        return replace(
            unit, command=unit.command.with_options(*options, *self._options.flags), foresee=foresee
        )

    @cached_property
    def _foreseen(self) -> Mapping[str, Callable[[], Sequence[str]]]:
        """Stage -> what it foresees: some cannot go on without the weights, others are of no use then."""
        model = self._config.model
        needing = dict.fromkeys(
            (train.STAGE, evaluate.STAGE, film.STAGE, calibrate.STAGE, shortcut.STAGE),
            lambda: check_weights(model, self.root),
        )
        leading = dict.fromkeys((render.STAGE, extract.STAGE), lambda: look_for_weights(model, self.root))
        return {**needing, **leading}


def _texts(units: Iterable[Unit]) -> list[Unit]:
    """The descriptions that these units read, each once."""
    read = chain.from_iterable(unit.inputs.values() for unit in units)
    found = [each for each in read if isinstance(each, Unit) and each.stage == describe.STAGE]
    return list({each.slot: each for each in found}.values())
