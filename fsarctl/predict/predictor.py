"""Naming the action of single clips from a support set. Each clip is alone: its scores depend on no other.

Clips are decoded as ``extract`` decodes them (same decoders, frames and size, in worker processes with a
time limit), and cropped and scored as evaluation with ``query_mode = "independent"`` does.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsarctl.artifacts import JSON
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.datasets.clips import Clip
from fsarctl.episodes.crops import centre_offsets, crop_frames
from fsarctl.episodes.left_out import balanced
from fsarctl.episodes.scoring import require_finite_scores
from fsarctl.errors import InputError
from fsarctl.methods.build import tokens_of
from fsarctl.methods.protocol import FewShotMethod, Scores
from fsarctl.predict.leave_one_out import Check, check_of
from fsarctl.predict.none_of_these import Confidences, beside_negatives, confidences_of, known_of
from fsarctl.predict.support_set import Support
from fsarctl.progress import SILENT, Reporter, first_of
from fsarctl.results.calibration import Calibration, Known
from fsarctl.text.corpus import SubActions, needs_descriptions
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip
from fsarctl.video.processes import TIME_LIMIT_S
from fsarctl.video.processes.decoding_pool import Decode, Decoders, Failure, decode_all
from fsarctl.video.rotate_and_resize import Resize

__all__ = ["ClassScore", "Examples", "Prediction", "Predictor", "shots_of"]

NAMED = 3
LONG = 4
"""Times the longest example: such a clip is likely to show more than one action."""
LONGER = "longer than the examples: "
WITHOUT_EQUAL_SHOTS = 'task-adapter++ with metric trx needs none if model.trx_shots is "prototypes"'


@dataclass(frozen=True)
class ClassScore:
    """One class of one clip.

    ``score`` is what classes are ranked by: ``video`` x ``text``, or the one of them that there is.
    ``confidence`` is how likely it is: the softmax over all classes of ``logit_scale`` x score / temperature,
    times how likely the clip shows any of them, where that is known. Where the model is not calibrated on
    validation episodes the temperature is 1, and 0.9 does not mean right nine times in ten.
    """

    label: str
    score: float
    confidence: float
    video: float | None
    text: float | None


@dataclass(frozen=True)
class Prediction:
    """What is said of one clip.

    ``classes``: all of them, the best first; none if the clip could not be read, and ``failure`` says why.
    ``passes``: another try may read it. ``remarks``: of the decoders. ``twin``: the support clip with the
    very same frames, or "". ``none``: how likely it shows none of the classes; None where nobody can say.
    """

    clip: str
    classes: tuple[ClassScore, ...]
    failure: str = ""
    remarks: tuple[str, ...] = ()
    twin: str = ""
    none: float | None = None
    passes: bool = False

    @property
    def longer(self) -> str:
        """The remark that it is much longer than the examples, or "": what is kept of predictions has no
        more of that."""
        return next((each for each in self.remarks if each.startswith(LONGER)), "")

    @property
    def is_none(self) -> bool:
        """Whether "none of these" is the answer: it is more likely than not."""
        return self.none is not None and self.none > 0.5


@dataclass(frozen=True)
class Examples:
    """The clips of a support set, by themselves, class-major.

    ``videos``: (clips, as ``FewShotMethod.alone``). ``text``: as ``Support.text``. ``longest``: frames of the
    longest. ``left_out``: clips that cannot be read, and why. ``negatives``: clips of none of the classes, as
    ``videos``, and ``negative_pictures`` as ``pictures``.
    """

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    videos: Tensor
    pictures: tuple[str, ...]
    text: Tensor | None
    descriptions: Mapping[str, SubActions]
    longest: int
    left_out: dict[str, str]
    negatives: Tensor | None = None
    negative_pictures: tuple[str, ...] = ()


class Predictor:
    """A model with fixed weights, and how clips are read for it.

    Args:
        model: in its final state; on any device.
        size: side of the square that frames become before the central crop, pixels.
        resize: how they become that square.
        settings: what else the features depend on, by name; kept with a saved support.
        names: label -> what prompts call it, where that is not the label.
        workers: decoding processes; a script that starts them needs ``if __name__ == "__main__":``.
        time_limit_s: seconds that a clip may take to decode.
        decode: another decoder than ``extract``'s; it resizes as it likes.
        calibrations: "text" and "video" (whether text has a part in the scores) -> what validation episodes
            tell of them.
        says_none: whether "none of these" is an answer, where it can be.

    Raises:
        InputError: ``size`` is smaller than what the backbone reads.
    """

    def __init__(
        self,
        model: FewShotMethod,
        *,
        size: int,
        resize: Resize = "squash",
        settings: Mapping[str, JSON] | None = None,
        names: Mapping[str, str] | None = None,
        workers: int = 1,
        time_limit_s: float = TIME_LIMIT_S,
        reporter: Reporter = SILENT,
        decode: Decode | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
        says_none: bool = True,
    ) -> None:
        if size < model.backbone.image_size:
            raise InputError(
                f"frames are {size} pixels wide and the backbone reads {model.backbone.image_size}",
                next_step="Leave extract.size at 0, or set it to that or more.",
            )
        self.turn = threading.RLock()
        """The model does one thing at a time, for whomever."""
        self._model = model.eval()
        self._size = size
        self._settings = {**(settings or {}), **({"names": dict(names)} if names else {})}
        self._names = names or {}
        self._workers = workers
        self._time_limit_s = time_limit_s
        self._reporter = reporter
        self._resize = resize
        self._decode = decode or partial(decode_clip, resize=resize)
        self._decoders = Decoders(self._decode, model.frames, size, workers, time_limit_s)
        self._calibrations = dict(calibrations or {})
        self._says_none = says_none

    @property
    def model(self) -> FewShotMethod:
        """The model, in evaluation mode."""
        return self._model

    @property
    def size(self) -> int:
        """Side of the square that frames become before the central crop, pixels."""
        return self._size

    @property
    def resize(self) -> Resize:
        """How they become that square."""
        return self._resize

    @property
    def logit_scale(self) -> float:
        """What scores are multiplied by for a confidence."""
        return self._model.logit_scale

    def calibration(self, support: Support) -> Calibration | None:
        """What validation episodes tell of scores such as those against this support set."""
        return self._calibrations.get("video" if support.text is None else "text")

    def known(self, support: Support) -> Known | None:
        """How it is told whether a clip shows any of the classes: by the support set if it can be."""
        if not self._says_none:
            return None
        calibration = self.calibration(support)
        return support.known or (calibration.known if calibration else None)

    def confidences(
        self, support: Support, scores: NDArray[np.float64], beside: NDArray[np.float64] | None
    ) -> Confidences:
        """How likely each class is. Shapes: scores (clips, way), beside (clips,)."""
        scale, calibration = self.logit_scale, self.calibration(support)
        return confidences_of(scores, scale, calibration, self.known(support), beside)

    @property
    def made_by(self) -> dict[str, JSON]:
        """All that a support's features depend on, by name."""
        trained = hashlib.sha256()
        for name, tensor in sorted(self._model.adapter_state().items()):
            trained.update(name.encode())
            trained.update(tensor.cpu().contiguous().numpy().data)
        return {
            **self._settings,
            "frames": self._model.frames,
            "frame size": self._size,
            "resize": self._resize,
            "backbone weights": self._model.frozen_digest(),
            "adapter weights": trained.hexdigest(),
        }

    @torch.inference_mode()
    def support(
        self,
        clips: Sequence[Clip],
        descriptions: Mapping[str, SubActions] | None = None,
    ) -> tuple[Support, dict[str, str]]:
        """The support set of ``clips``, and why some were left out (name -> reason).

        Text has a part in the scores if ``descriptions`` hold every class, or the model reads but its label
        (``sub_actions`` "none"), and no part otherwise: classes with and without it could not be compared.

        Raises:
            InputError: no clip of some class can be read, the metric needs as many clips for each class, or
                a description is too long for the text encoder.
        """
        examples = self.examples(clips, descriptions)
        return self.support_of(examples), examples.left_out

    @torch.inference_mode()
    def examples(
        self,
        clips: Sequence[Clip],
        descriptions: Mapping[str, SubActions] | None = None,
        negatives: Sequence[Clip] = (),
    ) -> "Examples":
        """The clips of a support set by themselves, decoded, and the texts of their classes.

        ``negatives`` show none of the classes.

        Raises:
            InputError: see ``support``.
        """
        clips = sorted(clips, key=lambda clip: clip.label)  # class-major
        labels = tuple(dict.fromkeys(clip.label for clip in clips))
        self._require_balance(clips)
        described = descriptions or {}
        text = self._text(labels, described)
        videos: list[Tensor] = []
        pictures: list[str] = []
        used: list[Clip] = []
        longest = 0
        left_out: dict[str, str] = {}
        strange: list[Tensor] = []
        strange_pictures: list[str] = []
        every = [*clips, *negatives]
        answers = self._read([each.path for each in every], "support")
        for number, (clip, answer) in enumerate(zip(every, answers, strict=True)):
            if isinstance(answer, Failure):
                left_out[clip.name] = answer.reason
                continue
            if number >= len(clips):
                strange.append(self._video(answer.frames))
                strange_pictures.append(_digest(answer.frames))
                continue
            used.append(clip)
            videos.append(self._video(answer.frames))
            pictures.append(_digest(answer.frames))
            longest = max(longest, answer.frame_count)
        _require_every_class(labels, used, clips, left_out)
        self._require_balance(used)
        texts = {label: described[label] for label in labels if label in described}
        return Examples(
            labels,
            tuple(used),
            torch.stack(videos),
            tuple(pictures),
            text,
            texts,
            longest,
            left_out,
            torch.stack(strange) if strange else None,
            tuple(strange_pictures),
        )

    @torch.inference_mode()
    def support_of(self, examples: "Examples", chosen: Sequence[int] | None = None) -> Support:
        """The support set of these clips, or of those numbered ``chosen``, of every class at least one."""
        numbers = list(range(len(examples.clips)) if chosen is None else chosen)
        used = [examples.clips[number] for number in numbers]
        # Task-MSA sees all support videos as one set, as in training.
        features = self._model.support_features(examples.videos[numbers])  # (videos, T, embed)
        numbered = {label: number for number, label in enumerate(examples.labels)}
        classes = [numbered[clip.label] for clip in used]
        negatives = examples.negatives
        lone = [] if negatives is None else [self._model.support_features(each[None]) for each in negatives]
        return Support(
            labels=examples.labels,
            classes=torch.tensor(classes, device=features.device),
            features=features,
            text=examples.text,
            clips=tuple(clip.name for clip in used),
            pictures=tuple(examples.pictures[number] for number in numbers),
            made_by=self.made_by,
            descriptions=examples.descriptions,
            longest=examples.longest,
            negatives=torch.cat(lone) if lone else None,
            negative_pictures=examples.negative_pictures,
        )

    def knowing(self, support: Support, examples: "Examples") -> Support:
        """The support set of these clips, which knows how high a score of its classes is, if it can tell."""
        if not self._says_none:
            return support
        groups = [clip.group for clip in examples.clips]
        known = known_of(self._model, support, examples.videos, groups, examples.negatives)
        return replace(support, known=known)

    def check(self, examples: "Examples") -> Check | None:
        """Clips named from those of other groups; None where no class has two clips (or groups).

        Where the model needs as many clips of each class, the first ones that are left of each are taken.
        """
        numbered = {label: number for number, label in enumerate(examples.labels)}
        classes = [numbered[clip.label] for clip in examples.clips]

        def name_without(left: Sequence[int], number: int) -> dict[str, float]:
            if self._model.needs_equal_shots:
                left = balanced(left, classes)
            there = {examples.clips[other].label for other in left}
            rows = [row for row, label in enumerate(examples.labels) if label in there]
            text = None if examples.text is None else examples.text[rows]
            some = replace(examples, labels=tuple(examples.labels[row] for row in rows), text=text)
            support = self.support_of(some, left)
            scores = self.scores_of(support, examples.videos[number][None]).score[0].tolist()
            return dict(zip(support.labels, scores, strict=True))

        clips = [(clip.name, clip.label, clip.group) for clip in examples.clips]
        return check_of(examples.labels, clips, name_without, self._reporter)

    def predict(self, support: Support, clips: Sequence[ClipFile]) -> Iterator[Prediction]:
        """One prediction per clip, in their order; a clip that cannot be read says why.

        Raises:
            ConfigError: a score is not finite.
            InputError: the model scores by text alone, and the support has none.
        """
        self.require_score(has_text=support.text is not None)
        answers = self._read([clip.path for clip in clips], "predict")
        for clip, answer in zip(clips, answers, strict=True):
            yield self._prediction(support, clip.name, answer)

    @property
    def decoders(self) -> Decoders:
        """Worker processes that decode clips as :meth:`predict` does, and stay until they are closed."""
        return self._decoders

    @torch.inference_mode()
    def predict_at_once(
        self, support: Support, clips: Sequence[tuple[str, DecodedClip | Failure]]
    ) -> list[Prediction]:
        """One prediction per clip, (name, as decoded), which the model reads in one go.

        Raises:
            ConfigError: a score is not finite.
            InputError: the model scores by text alone, and the support has none.
        """
        self.require_score(has_text=support.text is not None)
        pictures = [clip.frames for _, clip in clips if not isinstance(clip, Failure)]
        if not pictures:
            return [self._prediction(support, name, clip) for name, clip in clips]
        flat = self.normalised(np.concatenate(pictures))  # (clips x T, 3, H, W)
        videos = self._model.video(flat.reshape(len(pictures), -1, *flat.shape[1:]))
        scores, beside = self.scores_beside(support, videos)
        rows = iter(range(len(pictures)))
        return [
            self._prediction(
                support, name, clip, None if isinstance(clip, Failure) else _row(scores, beside, next(rows))
            )
            for name, clip in clips
        ]

    def require_score(self, *, has_text: bool) -> None:
        """Refuse classes without descriptions where the text score is all there is.

        Raises:
            InputError: the model scores by text alone.
        """
        if not has_text and not self._model.needs_support:
            raise InputError(
                "model.score is text, so every class needs a description",
                next_step="Describe them (`fsarctl describe --help`), or set model.score.",
            )

    @torch.inference_mode()
    def scores(self, support: Support, frames: NDArray[np.uint8]) -> Scores:
        """Scores of one clip, (1, way). Shapes: frames (T, S, S, 3), as they were decoded."""
        return self.scores_of(support, self._video(frames)[None])

    @torch.inference_mode()
    def scores_of(self, support: Support, videos: Tensor) -> Scores:
        """Scores of clips, each by itself, (clips, way). Shapes: (clips, as ``FewShotMethod.alone``)."""
        return self.scores_beside(support, videos)[0]

    @torch.inference_mode()
    def scores_beside(self, support: Support, videos: Tensor) -> tuple[Scores, Tensor | None]:
        """As ``scores_of``; and the best class beside the nearest negative, (clips,), if there are any."""
        model = self._model
        query = model.query_features(videos, query_mode="independent")
        scores = model.score_features(
            shots_of(model, support),
            query,
            support.text,
            way=len(support.labels),
            query_mode="independent",
        )
        return scores, beside_negatives(model, support, query)

    def _prediction(
        self,
        support: Support,
        name: str,
        answer: DecodedClip | Failure,
        scored: tuple[Scores, Tensor | None] | None = None,
    ) -> Prediction:
        if isinstance(answer, Failure):
            return Prediction(name, (), failure=answer.reason, passes=answer.retry)
        scores, beside = scored or self.scores_beside(support, self._video(answer.frames)[None])
        require_finite_scores(self._model, scores.score[None].cpu(), lambda _: f"clip {name}")
        confidences = self.confidences(
            support,
            scores.score.double().cpu().numpy(),
            None if beside is None else beside.double().cpu().numpy(),
        )
        parts = (_values(part, len(support.labels)) for part in (scores.video, scores.text))
        columns = (scores.score[0].tolist(), confidences.classes[0].tolist(), *parts)
        classes = [ClassScore(*row) for row in zip(support.labels, *columns, strict=True)]
        classes.sort(key=lambda each: -each.score)
        twins = dict(zip(support.pictures, support.clips, strict=True))
        remarks = answer.problems
        if support.longest and answer.frame_count > LONG * support.longest:
            times = answer.frame_count / support.longest
            remarks += (f"{LONGER}it has {times:.0f} times as many frames as the longest example",)
        return Prediction(
            name,
            tuple(classes),
            remarks=remarks,
            twin=twins.get(_digest(answer.frames), ""),
            none=None if confidences.none is None else float(confidences.none[0]),
        )

    def _read(self, paths: Sequence[Path], what: str) -> Iterator[DecodedClip | Failure]:
        """Every clip's frames, or why there are none, in order."""
        if not paths:
            return
        workers = min(self._workers, len(paths))
        tasks = list(enumerate(paths))
        answers = decode_all(tasks, self._decode, self._model.frames, self._size, workers, self._time_limit_s)
        with closing(answers), self._reporter.task(what, len(paths), "clip") as advance:
            for _, answer in answers:
                yield answer
                advance(1)

    @torch.inference_mode()
    def _video(self, frames: NDArray[np.uint8]) -> Tensor:
        """What a clip gives by itself. Shapes: (T, S, S, 3) -> as ``FewShotMethod.alone``, of one video."""
        return self._model.video(self.normalised(frames)[None])[0]

    def normalised(self, frames: NDArray[np.uint8]) -> Tensor:
        """The middle of frames as the model reads it. Shapes: (frames, S, S, 3) -> (frames, 3, H, W)."""
        side = self._model.backbone.image_size
        offsets = centre_offsets(1, len(frames), self._size - side)
        pixels = torch.from_numpy(crop_frames(frames[None], offsets, side)[0]).to(self._model.device)
        return self._model.normalise(pixels)

    def _text(self, labels: Sequence[str], descriptions: Mapping[str, SubActions]) -> Tensor | None:
        """(way, 3, embed), or None if it has no part in the scores."""
        if not needs_descriptions(self._model.sub_actions):
            descriptions = dict.fromkeys(labels, ("", "", ""))
        if not self._model.reads_text or not descriptions.keys() >= set(labels):
            return None
        tokens = tokens_of(self._model, {label: descriptions[label] for label in labels}, self._names)
        device = self._model.device
        features = [self._model.text_features(tokens[label][None].to(device)) for label in labels]
        return torch.cat([each for each in features if each is not None])

    def _require_balance(self, clips: Iterable[Clip]) -> None:
        counts = Counter(clip.label for clip in clips)
        if self._model.needs_equal_shots and len(set(counts.values())) > 1:
            (most, high), (least, low) = counts.most_common(1)[0], counts.most_common()[-1]
            raise InputError(
                f"this model needs as many clips for each class, and {most!r} has {high}"
                f" but {least!r} has {low}",
                next_step=f"Make them equal; {WITHOUT_EQUAL_SHOTS}.",
            )


def shots_of(model: FewShotMethod, support: Support) -> Tensor | None:
    """The support videos as they are scored, class-major, as many of each class; None if they have no part.

    A prototype stands for the only clip of its class, so that classes may have any number of clips.
    """
    if not model.needs_support:
        return None
    return support.features if model.needs_equal_shots else support.prototypes


def _require_every_class(
    labels: Sequence[str], used: Iterable[Clip], clips: Iterable[Clip], left_out: Mapping[str, str]
) -> None:
    readable = {clip.label for clip in used}
    for label in labels:
        if label not in readable:
            reasons = [f"{clip.name}: {left_out[clip.name]}" for clip in clips if clip.label == label]
            raise InputError(
                f"no clip of class {label!r} can be read: {first_of(reasons, NAMED, between='; ')}",
                next_step="Add a clip that a player can show, or remove the class.",
            )


def _row(scores: Scores, beside: Tensor | None, row: int) -> tuple[Scores, Tensor | None]:
    """Of one clip of several, (1, way)."""
    video, text = (None if part is None else part[row : row + 1] for part in (scores.video, scores.text))
    mine = None if beside is None else beside[row : row + 1]
    return Scores(scores.score[row : row + 1], video=video, text=text), mine


def _values(scores: Tensor | None, way: int) -> list[float | None]:
    """Of the one clip."""
    return [None] * way if scores is None else [float(value) for value in scores[0].tolist()]


def _digest(frames: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()
