"""predict: what a trained pipeline says of new clips. It is no artifact, unless several share the work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.artifacts import JSON, Artifact, Build, Parts, Store, Unit
from fsarctl.artifacts.command import Command, joined
from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.config.settings import Settings
from fsarctl.datasets.clip_files import NEGATIVES, ClipFile, clip_files, open_support_folder
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.findings import Known
from fsarctl.datasets.groups import grouped_by
from fsarctl.datasets.labels.label_map import are_numbers
from fsarctl.datasets.video_tree import passed_over_words
from fsarctl.episodes.training.training_log import ADAPTERS
from fsarctl.errors import FsarctlError, InputError, UpstreamError
from fsarctl.execution.device import Machine
from fsarctl.methods.build import text_use
from fsarctl.models.backbone_catalogue import stored_side
from fsarctl.models.strategies import FROZEN
from fsarctl.progress import SILENT, Reporter, first_of, further
from fsarctl.stages.extract import Videos
from fsarctl.stages.plan import Pipeline
from fsarctl.text.corpus import alone_text, needs_descriptions
from fsarctl.text.sources import by_label, of_one_kind, undescribed
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.predict.leave_one_out import Check
    from fsarctl.predict.predictor import Predictor
    from fsarctl.predict.support_set import Support
    from fsarctl.results.calibration import Calibration
    from fsarctl.text.corpus import PromptUse, SubActions
    from fsarctl.text.sources import Found

__all__ = ["Adapters", "Ready", "Setup", "unit"]

STAGE = "predict"
VERSION = 1
SHOWN = 5


@dataclass(frozen=True)
class Adapters:
    """A set of trained adapters, and the shot it was trained for; none where the method trains nothing."""

    shot: int
    artifact: Artifact | None


@dataclass(frozen=True)
class Ready:
    """All that is needed to classify clips.

    ``adapters``: None for the frozen backbone. ``left_out``: support clips that cannot be read, and why.
    ``undescribed``: the classes without a description, for which all are read by their labels alone, or by
    their clips alone where the support has no text. ``check``: how its own clips are named from each other,
    if that was asked for and a class has two.
    """

    predictor: "Predictor"
    support: "Support"
    adapters: Adapters | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    undescribed: Sequence[str] = ()
    check: "Check | None" = None


@dataclass(frozen=True)
class Setup:
    """A project, and the machine that predicts in it; ``time_limit_s`` is for decoding one clip.

    Several supports share a model, if it is the same for them. ``in_float32``: it computes so whatever
    ``model.precision`` says.
    """

    settings: Settings
    pipeline: Pipeline
    store: Store
    machine: Machine = field(default_factory=Machine)
    workers: int = 1
    time_limit_s: float = TIME_LIMIT_S
    reporter: Reporter = SILENT
    in_float32: bool = False
    _predictors: "dict[tuple[int | None, str, bool], Predictor]" = field(default_factory=dict, init=False)

    def ready(
        self,
        place: Path,
        *,
        shot: int | None = None,
        frozen: bool = False,
        check: bool = False,
        group: str = "",
        negatives: Path | None = None,
        says_none: bool = True,
    ) -> Ready:
        """The support at ``place``, a folder of classes or a saved file, and the model that goes with it.

        ``shot`` chooses the adapters (None: those of the file, or the nearest that are trained), ``frozen``
        none. ``check`` names each clip of a folder from the others; where the pattern ``group`` captures the
        same, they are of one person or recording, and not compared. ``negatives`` holds clips of none of the
        classes, beside those in the support folder's own ``_none``; unless it ``says_none`` a class is always
        named.

        Raises:
            UpstreamError: the adapters are not trained with these settings.
            InputError: the support is none, or a saved one is of another model, in what is named.
        """
        frozen = frozen or self.settings.config.model.trained_name == FROZEN
        if place.is_file():
            return self._saved(place, shot, frozen, says_none=says_none)
        strange = clip_files([negatives], self.reporter.note) if negatives else []
        return self._folder(place, shot, frozen, strange, check=check, group=group, says_none=says_none)

    def _folder(
        self,
        place: Path,
        shot: int | None,
        frozen: bool,
        strange: "Sequence[ClipFile]",
        *,
        check: bool,
        group: str,
        says_none: bool,
    ) -> Ready:
        folder = open_support_folder(place)
        if folder.passed_over:
            self.reporter.note(f"warning: {passed_over_words(folder.passed_over, SHOWN)}")
        for label in folder.empty:
            self.reporter.note(f"warning: {label!r} holds no video, and so is no class")
        labels = sorted({clip.label for clip in folder.clips})
        if self._text_use(frozen) is not None and are_numbers(labels):
            self.reporter.note(
                f"warning: the classes are numbers ({first_of(labels, SHOWN)}), which say nothing of an"
                " action: name the folders after what they show"
            )
        adapters = None if frozen else self._adapters(shot, len(folder.clips) / len(labels))
        descriptions, undescribed = self._descriptions(labels, frozen)
        predictor = self._predictor(adapters, says_none)
        predictor.require_score(has_text=not undescribed or len(descriptions) == len(labels))
        clips = grouped_by(group, folder.clips) if group else folder.clips
        negatives = [Clip(each.name, NEGATIVES, str(each.path)) for each in strange]
        examples = predictor.examples(clips, descriptions, [*folder.negatives, *negatives])
        left_out = examples.left_out
        support = predictor.knowing(predictor.support_of(examples), examples)
        support = replace(support, undescribed=tuple(undescribed))
        for name, reason in left_out.items():
            self.reporter.note(f"warning: support clip {name!r} is left out: {reason}")
        same = support.contradictions
        for first, second in same[:SHOWN]:
            self.reporter.note(f"warning: {first!r} and {second!r} are the same video in two classes")
        if others := further(same, SHOWN, "pair"):
            self.reporter.note(f"warning: and {others}")
        if both := support.examples_among_negatives:
            named, them = first_of([*map(repr, both)], SHOWN), "is" if len(both) == 1 else "are"
            self.reporter.note(
                f"warning: {named} {them} among the negatives, too: what shows a class is said to show none"
            )
        found = predictor.check(examples) if check else None
        return Ready(predictor, support, adapters, left_out, undescribed, found)

    def _saved(self, place: Path, shot: int | None, frozen: bool, *, says_none: bool) -> Ready:
        from fsarctl.predict.support_set import load_support

        support = load_support(place, self.machine.choose_device())
        saved = support.made_by.get("shot")
        if not frozen and shot is None and isinstance(saved, int):
            shot = saved
        # Where no flag says anything the file says which adapters it goes with.
        frozen = frozen or (shot is None and saved is None)
        adapters = None if frozen else self._adapters(shot, len(support.clips) / len(support.labels))
        predictor = self._predictor(adapters, says_none)
        support.require_made_by(predictor.made_by, str(place))
        alone = [label for label, text in support.descriptions.items() if text == alone_text(label)]
        if support.text is not None and 0 < len(alone) < len(support.labels):
            predictor.require_score(has_text=False)
            self.reporter.note(
                f"video only: in {place} {_named(alone)} read by the label alone and the others by sentences,"
                " which would win; save it again"
            )
            return Ready(predictor, replace(support, text=None), adapters, undescribed=alone)
        if support.text is not None or self._text_use(frozen) is None:
            self._compare_descriptions(support, place, frozen)
            if alone:
                self.reporter.note(by_label(str(place), support.undescribed or alone, len(support.labels)))
            return Ready(predictor, support, adapters, undescribed=support.undescribed or alone)
        predictor.require_score(has_text=False)
        undescribed = [label for label in support.labels if label not in support.descriptions]
        self.reporter.note(
            f"video only: {_named(undescribed)} not described in {place}; save it again once they are"
        )
        return Ready(predictor, support, adapters, undescribed=undescribed)

    def _compare_descriptions(self, support: "Support", place: Path, frozen: bool) -> None:
        reads = self._reads_descriptions(frozen)
        now = _texts(of_one_kind(self._found(support.labels))) if reads else {}
        changed = [label for label, text in support.descriptions.items() if now.get(label, text) != text]
        if changed:
            self.reporter.note(
                f"warning: {_named(changed)} described differently in {place}, and that is what is used;"
                " save it again to use the present descriptions"
            )

    def _adapters(self, shot: int | None, per_class: float) -> Adapters:
        """Those for ``shot``, or of all that are trained the nearest to so many clips per class."""
        shots = self._shots(per_class) if shot is None else [shot]
        if not self.pipeline.data.trains:
            return Adapters(shots[0], None)
        possible: list[int] = []
        problems: dict[int, InputError] = {}
        for each in shots:
            try:
                artifact = self.store.find(self._training(each))
            except InputError as error:  # e.g. too few base clips for so many shots
                problems[each] = error
                continue
            possible.append(each)
            if artifact is not None:
                if each != possible[0]:
                    self.reporter.note(
                        f"the {each}-shot adapters are used; {possible[0]}-shot ones would be nearer to"
                        f" these classes: {self._commands(possible[0])}"
                    )
                return Adapters(each, artifact)
        if not possible:
            raise self._untrainable(problems, per_class, named=shot is not None)
        raise self._untrained(possible[0])

    def _shots(self, per_class: float) -> list[int]:
        """The settings' and the store's, the nearest first; of two that are as near the larger."""
        config = self.settings.config
        made = (each.manifest for each in self.store.artifacts() if each.manifest.stage == "train")
        known = {*config.train.shots, *config.eval.shots, *(each.config.get("shot") for each in made)}
        shots = [each for each in known if isinstance(each, int)]
        return sorted(shots, key=lambda each: (abs(each - per_class), -each))

    def _training(self, shot: int) -> Unit:
        return self.pipeline.train([shot])[0]

    def _untrainable(
        self, problems: Mapping[int, InputError], per_class: float, *, named: bool
    ) -> InputError:
        """What is said where none of these shots can be trained for; ``named``: one, by --shots."""
        shot, error = next(iter(problems.items()))
        support = f"the support has {per_class:g} clip{'' if per_class == 1 else 's'} of each class"
        if not named:
            return InputError(
                f"nothing is trained here, nor can be: {error.message}",
                next_step=f"Add --frozen, for the backbone without adapters. Or: {error.next_step}",
            )
        others = [each for each in self._shots(per_class) if each != shot and self._is_trained(each)]
        other = f"Leave out --shots, and those for {others[0]} are used; or a" if others else "A"
        return InputError(
            f"--shots {shot} asks for adapters that were trained for {shot} shots, which cannot be"
            f" ({error.message}); {support}, and need not be of as many",
            next_step=f"{other}dd --frozen, for the backbone without adapters.",
        )

    def _is_trained(self, shot: int) -> bool:
        try:
            return self.store.find(self._training(shot)) is not None
        except InputError:
            return False

    def _untrained(self, shot: int) -> UpstreamError:
        state = self.store.state(self._training(shot))
        why = f" ({state.why[0]})" if state.name == "stale" and state.why else ""
        return UpstreamError(
            f"{state.unit.slot} is {'out of date' if state.name == 'stale' else 'not done'}{why}",
            next_step=f"Run: {self._commands(shot)}; or add --frozen, for the backbone without adapters",
        )

    def _commands(self, shot: int) -> str:
        """What makes the adapters, with all that is missing upstream."""
        states = self.store.plan([self._training(shot)])
        return " && ".join(map(str, joined(each.unit.command for each in states if each.name != "done")))

    def _predictor(self, adapters: Adapters | None, says_none: bool) -> "Predictor":
        shot = adapters.shot if adapters else None
        which = (shot, adapters.artifact.key if adapters and adapters.artifact else "", says_none)
        if which not in self._predictors:
            self._predictors[which] = self._load(adapters, says_none)
        return self._predictors[which]

    def _load(self, adapters: Adapters | None, says_none: bool) -> "Predictor":
        from safetensors.torch import load_file

        from fsarctl.methods.build import build_model, model_key
        from fsarctl.predict.predictor import Predictor

        root = self.settings.root
        config = (self.settings.for_shot(adapters.shot) if adapters else self.settings).config
        adapted = adapters is not None
        model = build_model(
            replace(config.model, precision="float32") if self.in_float32 else config.model,
            root,
            frames=config.extract.frames,
            adapters=adapted,
            seed=0,
            device=self.machine.choose_device(),
        )
        if adapters is not None and adapters.artifact is not None:
            model.load_adapter_state(load_file(adapters.artifact.path / ADAPTERS))
        elif adapters is None and (random := config.model.random_if_frozen):
            self.reporter.note(f"warning: without adapters {random}")
        for remark in model.backbone.remarks:
            self.reporter.note(f"warning: {remark}")
        shot: dict[str, JSON] = {"shot": adapters.shot if adapters else None}
        settings = {
            f"model.{name}": each for name, each in model_key(config.model, root, adapters=adapted)[0].items()
        }
        return Predictor(
            model,
            size=config.extract.size or stored_side(config.model.backbone),
            resize=config.extract.resize,
            settings={**shot, **settings},
            names=config.names,
            workers=self.workers,
            time_limit_s=self.time_limit_s,
            reporter=self.reporter,
            calibrations=self._calibrations(adapters),
            says_none=says_none,
        )

    def _calibrations(self, adapters: Adapters | None) -> "dict[str, Calibration]":
        """What validation episodes tell, if `fsarctl calibrate` has scored them; of several shots that of the
        frozen model with the most."""
        from fsarctl.results.unseen import load_unseen

        shots = [adapters.shot] if adapters else sorted(self.settings.config.eval.shots, reverse=True)
        for shot in shots:
            try:
                found = self.store.find(self.pipeline.calibration(shot, frozen=adapters is None))
            except FsarctlError:  # no validation classes, or too few
                continue
            if found is not None:
                unseen = load_unseen(found.path)
                return {kind: unseen.calibration(kind) for kind in unseen.kinds}
        return {}

    def _descriptions(self, labels: Sequence[str], frozen: bool) -> "tuple[dict[str, SubActions], list[str]]":
        """What is read of the classes, and those that nobody described; neither if the model reads none.

        Where some have none, all are read by their labels if ``describe.missing`` says so, and else the video
        score ranks alone.
        """
        if not self._reads_descriptions(frozen):
            return {}, []
        found = self._found(labels)
        missing = undescribed(labels, found)
        if not missing:
            return _texts(found), []
        them = "it" if len(missing) == 1 else "them"
        how = f"Describe {them}: {self.pipeline.edit_command(missing[:SHOWN])}"
        if len(found) == len(labels):
            self.reporter.note(f"{by_label('the support', missing, len(labels))}. {how}")
            return _texts(of_one_kind(found)), missing
        self.reporter.note(f"video only: {_named(missing)} not described. {how}; or {self._other_ways(them)}")
        return _texts(found), missing

    def _other_ways(self, them: str) -> str:
        if self.settings.config.describe.source == "openai":
            return f"have {them} described: fsarctl describe --labels FILE, with a line for each"
        return (
            f"describe {them} in a file that describe.files names; or use the label itself:"
            " --set describe.missing=label"
        )

    def _found(self, labels: Sequence[str]) -> "dict[str, Found]":
        return self.pipeline.sources().all(labels)

    def _text_use(self, frozen: bool) -> "PromptUse | None":
        return text_use(self.settings.config.model, adapters=not frozen)

    def _reads_descriptions(self, frozen: bool) -> bool:
        use = self._text_use(frozen)
        return use is not None and needs_descriptions(use)


def _texts(found: "Mapping[str, Found]") -> "dict[str, SubActions]":
    return {label: each.sub_actions for label, each in found.items()}


def _named(labels: Sequence[str]) -> str:
    """Some classes, and the verb."""
    plural = ("class", "is") if len(labels) == 1 else ("classes", "are")
    return f"{len(labels)} {plural[0]} ({first_of([*map(repr, labels)], SHOWN)}) {plural[1]}"


def unit(ready: Ready, clips: "Sequence[ClipFile]", command: Command, known: Mapping[str, Known]) -> Unit:
    """What is said of many clips, where several share the work: predictions.json, made by blocks of clips.

    Files that are ``known`` are not looked at; see ``Videos.look``.

    The key holds what the answers depend on: the model, the support's frames and texts, how it is calibrated,
    and the clips' bytes.
    """
    from fsarctl.predict.blocks import clip_blocks, predict_all, predict_block

    predictor, support = ready.predictor, ready.support
    videos = Videos.look([Clip(each.name, "", str(each.path)) for each in clips], known)
    config: dict[str, JSON] = {
        "model": dict(support.made_by),
        "support": support.digest,
        "calibration": repr(predictor.calibration(support)),
        "none": repr(predictor.known(support)),
        "clips": [each.name for each in clips],
    }

    def blocks(build: Build) -> Blocks:
        return clip_blocks(len(clips), build.scratch, build.of)

    def begin(build: Build) -> Callable[[int], None]:
        unchanged = partial(build.require_unchanged, "clips")
        return lambda number: predict_block(number, predictor, support, clips, blocks(build), unchanged)

    return Unit(
        stage=STAGE,
        version=VERSION,
        slot=f"predict {first_of([each.name for each in clips], 1)}",
        command=command,
        config=config,
        inputs={"clips": videos.files},
        build=lambda build: predict_all(predictor, support, clips, build.folder, blocks(build)),
        apart=True,
        parts=Parts(lambda build: blocks(build).left(build.reporter), begin),
    )
