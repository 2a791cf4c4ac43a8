"""What a few-shot method is to training, evaluation, prediction and caching, and all that they know of it.

A method scores an episode's queries against its support set in steps that are kept apart, so that what
depends on less is computed once: ``prefix`` (a constant of a clip while training), ``alone`` (a clip, given
the weights), ``support_features`` and ``query_features`` (videos that may look at each other),
``text_features`` (a class), ``score_features`` (an episode). ``forward`` is all of them in a row: the plain
path, which every shortcut has to equal. Clips that share frames, as windows of a long video do, have
``each_frame`` and ``from_frames`` in the place of the first two. Training hands an episode's outcome to
``training_loss`` as a :class:`Lesson`, with what only training knows: which base classes these are.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fsarctl.config.model_table import ModelConfig, RandomCrop
from fsarctl.config.training_tables import QueryMode
from fsarctl.errors import ConfigError, InputError
from fsarctl.models.backbone import Backbone
from fsarctl.models.backbone_catalogue import without_vit
from fsarctl.models.weights.weight_file import read_weights, require_finite
from fsarctl.progress import first_of
from fsarctl.text.corpus import PromptUse

__all__ = [
    "BaseClasses",
    "FewShotMethod",
    "Lesson",
    "QueryMode",
    "Scores",
    "WeightsFile",
    "by_class",
]


@dataclass(frozen=True)
class Scores:
    """What one episode gives; scores are (..., queries, way) everywhere. What was not needed is None."""

    score: Tensor
    """(..., queries, way): what is argmaxed; by default the product of the next two (Eq. 18)."""
    video: Tensor | None = None
    """(..., queries, way): query against prototypes (Eq. 11)."""
    text: Tensor | None = None
    """(..., queries, way): aligned query against sub-actions (Eq. 17)."""
    query_features: Tensor | None = None
    """(..., queries, T, embed)."""
    support_features: Tensor | None = None
    """(..., way*shot, T, embed)."""
    prototypes: Tensor | None = None
    """(..., way, T, embed): means over shots (Eq. 10)."""
    aligned_query_features: Tensor | None = None
    """(..., queries, T-1, embed) (Eq. 15)."""
    text_features: Tensor | None = None
    """(..., way, 3, embed)."""

    def __getitem__(self, episode: int) -> "Scores":
        """One of several episodes that were scored at once along a leading axis."""
        parts: dict[str, Any] = {
            name: None if value is None else value[episode] for name, value in vars(self).items()
        }
        return type(self)(**parts)


@dataclass(frozen=True)
class WeightsFile:
    """What was found in a file of trained weights: its layout, and what a user should know of it."""

    layout: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class BaseClasses:
    """The classes that a training draws its episodes from."""

    labels: tuple[str, ...]
    tokens: Tensor
    """(base, prompts, context): of their prompts; without prompts where the method reads no text."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Lesson:
    """What the loss of one training episode may look at."""

    scores: Scores
    targets: Tensor
    """(queries,): the column of each query's class."""
    classes: Tensor
    """(way,): each column's number among the base classes."""
    support: Tensor | None
    """(way*shot, ...), class-major: as :meth:`FewShotMethod.alone` gives them."""
    query: Tensor
    """(queries, ...), likewise."""
    support_frames: Tensor | None = None
    """(way*shot, T, side, side, 3) uint8; None where crops are fixed and not read again."""
    query_frames: Tensor | None = None

    @property
    def support_classes(self) -> Tensor:
        """(way*shot,): the base class of each support video."""
        videos = 0 if self.support is None else len(self.support)
        return self.classes.repeat_interleave(videos // len(self.classes))

    @property
    def query_classes(self) -> Tensor:
        """(queries,): the base class of each query."""
        return self.classes[self.targets]


class FewShotMethod(nn.Module, ABC):
    """A few-shot method around a backbone.

    What a subclass has to define is abstract; what else may differ says what it is unless overridden.

    Args:
        backbone: what reads frames and text.
        frames: T, frames of every clip.

    Raises:
        ConfigError: the method needs a ViT, and the backbone has none.
    """

    logit_scale: float = 64.0
    """Scores are multiplied by this before the cross-entropy, and for a prediction's confidence."""
    sub_actions: PromptUse = "none"
    """Which prompts are made of a class, see :func:`fsarctl.text.corpus.prompts_of`: a use of its
    sub-actions, or templates that its label is put into, such as ``("a photo of {}",)``."""
    crop: RandomCrop = "clip"
    """Whether training's random crops are drawn once for a clip, or for each frame."""
    reads_text: bool = False
    """Whether :meth:`text_features` has a part in the scores."""
    needs_support: bool = True
    """Whether support videos have a part in the scores."""
    needs_equal_shots: bool = False
    """Whether every class needs as many support videos as every other."""
    needs_vit: bool = False
    """Whether the backbone has to be a ViT."""
    queries_meet: bool = False
    """Whether queries of an episode see each other where they are scored jointly."""
    reads_pixels: bool = False
    """Whether :meth:`training_loss` reads the frames themselves, which fixed crops do not keep."""
    scored_by: str = "the method"
    """What scores come from, for messages: a metric or a method, with its name."""
    undecayed: tuple[str, ...] = ()
    """Weight decay leaves parameters alone whose names hold one of these."""
    heads: nn.ModuleDict
    """What training alone has a use for, such as a classifier of the base classes; in no artifact."""

    def __init__(self, backbone: Backbone, frames: int) -> None:
        if self.needs_vit and not backbone.is_vit:
            raise needs_another_backbone(backbone.name)
        super().__init__()
        self._mean: Tensor
        self._std: Tensor
        self.backbone = backbone
        self.frames = frames
        self.heads = nn.ModuleDict()
        shape = (3, 1, 1)
        self.register_buffer("_mean", 255 * torch.tensor(backbone.mean).view(shape), persistent=False)
        self.register_buffer("_std", 255 * torch.tensor(backbone.std).view(shape), persistent=False)

    @abstractmethod
    def prefix(self, frames: Tensor) -> Tensor:
        """What of a clip is the same whatever is trained, as far as :attr:`prefix_is_constant` says so.

        Shapes: normalised (..., T, 3, H, W) -> whatever :meth:`alone` reads, one for each clip.
        """

    @abstractmethod
    def alone(self, prefix: Tensor) -> Tensor:
        """What of a clip depends on that clip alone, given the weights.

        Shapes: as :meth:`prefix` gives them -> whatever :meth:`support_features` reads, one for each clip.
        """

    @abstractmethod
    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",
    ) -> Scores:
        """Scores of an episode, or of several alike at once along the leading axes.

        Shapes: as :meth:`support_features` (class-major), :meth:`query_features` and :meth:`text_features`
        give them.
        """

    @classmethod
    def trains(cls, options: Any) -> bool:  # noqa: ARG003
        """Whether a method with these ``options`` has anything to train; else it needs no base classes."""
        return True

    @property
    def prefix_is_constant(self) -> bool:
        """Whether training leaves what :meth:`prefix` gives as it is."""
        return False

    @property
    def prefix_name(self) -> Hashable:
        """What :meth:`prefix` depends on beside the frozen weights: equal names, equal prefixes."""
        return type(self).__qualname__

    @property
    def prefix_flop(self) -> int:
        """About how many floating-point operations :meth:`prefix` takes of a clip.

        What takes many is kept in the store, for other processes. 0: nobody knows, and it is not.
        """
        return 0

    @property
    def alone_is_constant(self) -> bool:
        """Whether training leaves what :meth:`alone` gives as it is, too."""
        return False

    def video(self, frames: Tensor) -> Tensor:
        """:meth:`prefix`, then :meth:`alone`. Shapes: normalised (..., T, 3, H, W) -> as :meth:`alone`."""
        return self.alone(self.prefix(frames))

    @property
    def shares_frames(self) -> bool:
        """Whether :meth:`each_frame` does work that clips with common frames need not do again."""
        return False

    def each_frame(self, frames: Tensor) -> Tensor:
        """What of a clip depends on one frame alone, given the weights, wherever in a clip it stands.

        Shapes: normalised (frames, 3, H, W) -> (frames, ...).
        """
        return frames

    def from_frames(self, each: Tensor) -> Tensor:
        """:meth:`video`, from what :meth:`each_frame` gave for its frames.

        Shapes: (..., T, as :meth:`each_frame`) -> as :meth:`alone`.
        """
        return self.video(each)

    def support_features(self, videos: Tensor) -> Tensor:
        """Support videos of an episode as one set, from what :meth:`alone` gave for each."""
        return videos

    def query_features(self, videos: Tensor, *, query_mode: QueryMode = "joint") -> Tensor:  # noqa: ARG002
        """Query videos of an episode, as one set ("joint") or each by itself ("independent")."""
        return videos

    def text_features(self, tokens: Tensor | None) -> Tensor | None:  # noqa: ARG002
        """What is read of each class; None if it has no part in the scores.

        Shapes: (..., way, prompts, context) -> (..., way, prompts, embed).
        """
        return None

    def look(self, query: Tensor, query_mode: QueryMode = "joint") -> tuple[Tensor, Tensor | None]:
        """Features of an episode's queries, and where the method looks in each frame, if it can say so.

        Shapes: normalised (queries, T, 3, H, W) -> as :meth:`query_features`, and maps
        (queries, T, rows, columns).
        """
        return self.query_features(self.video(query), query_mode=query_mode), None

    def stage_cosines(self, scores: Scores) -> Tensor | None:  # noqa: ARG002
        """Each segment of a query against each sub-action, (queries, way, segments, sub-actions), if any."""
        return None

    def forward(
        self,
        support: Tensor,
        query: Tensor,
        tokens: Tensor | None = None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",
    ) -> Scores:
        """Scores of an episode, or of several alike at once along the leading axes.

        Shapes: support (..., way*shot, T, 3, H, W), class-major; query (..., queries, T, 3, H, W);
        tokens (..., way, prompts, context).

        Args:
            tokens: of the classes' captions, from :meth:`Backbone.tokenize`, if the method reads text.
            way: the number of classes, where there are no tokens to tell it.
            query_mode: "joint": all queries of an episode are one set (transductive); "independent": each
                query is a set of its own, and its scores depend on no other query.

        Raises:
            InputError: shapes do not fit the model or each other.
        """
        self._check_frames("support", support)
        self._check_frames("query", query)
        return self.score_features(
            self.support_features(self.video(support)) if self.needs_support else None,
            self.query_features(self.video(query), query_mode=query_mode),
            self.text_features(tokens),
            way=way if tokens is None else tokens.shape[-3],
            query_mode=query_mode,
        )

    def prepare(self, base: BaseClasses) -> None:
        """Make ready for training on these classes: the place to fill :attr:`heads`.

        PyTorch's own initialisation is seeded by whoever calls.
        """

    def add_head(self, name: str, head: nn.Module) -> None:
        """Put a module among the :attr:`heads`, where the model is."""
        self.heads[name] = head.to(self.device)

    def loss(self, scores: Scores, labels: Tensor) -> Tensor:
        """Cross-entropy of ``logit_scale`` times the score, mean over queries.

        Shapes: labels (..., queries), the index of each query's class -> ().
        """
        return F.cross_entropy((self.logit_scale * scores.score).flatten(0, -2), labels.flatten())

    def training_loss(self, lesson: Lesson) -> Tensor:
        """What training moves downhill: :meth:`loss`, unless the method adds to it."""
        return self.loss(lesson.scores, lesson.targets)

    @property
    def device(self) -> torch.device:
        """Where it is, with all modules that it holds."""
        return self._mean.device

    @property
    def feature_width(self) -> int:
        """D of a clip's features (..., T, D) as :class:`Scores` holds them."""
        return self.backbone.embed_dim

    @property
    def clips_meet(self) -> bool:
        """Whether clips that are computed at once have a part in each other's features while training."""
        clips = [each for name, each in self.named_modules() if not name.startswith("heads.")]
        return any(isinstance(each, _BatchNorm) and each.training for each in clips)

    @property
    def keeps_statistics(self) -> bool:
        """Whether training moves running statistics, from episode to episode."""
        return bool(self._statistics(trained=True))

    def normalise(self, frames: Tensor) -> Tensor:
        """Pixels as the backbone reads them. Shapes: uint8 (..., H, W, 3) -> float32 (..., 3, H, W)."""
        return (frames.movedim(-1, -3).float() - self._mean) / self._std

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What training moves."""
        return list(self._trainable().values())

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """What of the trained came with the backbone's weights, and may have a learning rate of its own."""
        return list(self.backbone.clip.parameters())

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """Beginnings of names -> the learning rate of such parameters, of what it would be."""
        return {}

    def adapter_state(self) -> dict[str, Tensor]:
        """A copy of everything that training moves, by name, but the heads: what an artifact holds."""
        state = self.training_state()
        return {name: each for name, each in state.items() if not name.startswith("heads.")}

    def training_state(self) -> dict[str, Tensor]:
        """A copy of everything that training moves, by name: what a checkpoint holds."""
        return {name: each.detach().clone() for name, each in self._moving().items()}

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Replaces everything that :meth:`adapter_state` gives.

        Raises:
            InputError: a name is unknown or missing, or a shape differs; nothing was changed then.
        """
        self._load(state, {name: t for name, t in self._moving().items() if not name.startswith("heads.")})

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Replaces everything that :meth:`training_state` gives; errors are as above."""
        self._load(state, self._moving())

    def load_file(self, path: Path, config: ModelConfig) -> WeightsFile:
        """Replaces everything that :meth:`adapter_state` gives by what a file holds.

        ``config``: the table that the model was made of.

        Raises:
            InputError: the file cannot be read, holds no numbers, or is of another model.
        """
        found = read_weights(path)
        require_finite(found.state, path)
        try:
            self.load_adapter_state(found.state)
        except InputError as error:
            raise InputError(
                f"{path} does not fit {config.method}: {error.message}",
                next_step="Set model.method, its options and the backbone to those that it was trained with.",
            ) from error
        remark = f"that the weights of {path.name} were trained on this backbone is not known"
        return WeightsFile("fsarctl", (*found.remarks, remark))

    @torch.no_grad()
    def _load(self, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
        problems = [f"{name} is unknown" for name in sorted(state.keys() - own.keys())]
        problems += [f"{name} is missing" for name in sorted(own.keys() - state.keys())]
        problems += [
            f"{name} is {tuple(state[name].shape)}, not {tuple(each.shape)}"
            for name, each in own.items()
            if name in state and state[name].shape != each.shape
        ]
        if problems:
            raise InputError(
                f"these adapters are not of this model: {first_of(problems, 4)}",
                next_step="Use the backbone, layers, score and formulation that they were trained with.",
            )
        for name, each in own.items():
            each.copy_(state[name])

    def frozen_digest(self) -> str:
        """SHA-256 over names and bytes of every frozen weight; take it before and after training.

        Statistics of a frozen batch normalisation are weights, too.
        """
        digest = hashlib.sha256()
        frozen = {name: p.detach() for name, p in self.named_parameters() if not p.requires_grad}
        for name, tensor in {**frozen, **self._statistics(trained=False)}.items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def _trainable(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def _moving(self) -> dict[str, Tensor]:
        """Trained parameters, and the running statistics that move with them."""
        return {**self._trainable(), **self._statistics(trained=True)}

    def _statistics(self, *, trained: bool) -> dict[str, Tensor]:
        """What the batch normalisations remember whose weights are frozen, or those of the others."""
        return {
            f"{place}.{name}": each
            for place, module in self.named_modules()
            if isinstance(module, _BatchNorm)
            if (module.weight is None or module.weight.requires_grad) is trained
            for name, each in module.named_buffers()
        }

    def _check_frames(self, role: str, videos: Tensor) -> None:
        size = self.backbone.image_size
        if videos.dim() < 5 or videos.shape[-4:] != (self.frames, 3, size, size):
            raise InputError(
                f"{role} is {tuple(videos.shape)}; this model reads (..., {self.frames}, 3, {size}, {size})",
                next_step=f"Extract {self.frames} frames a clip and crop them to {size} x {size}, "
                "or build the model for other clips.",
            )


def needs_another_backbone(backbone: str) -> ConfigError:
    """The refusal of a ResNet for a method of :attr:`FewShotMethod.needs_vit`."""
    return without_vit(backbone, "this method needs", "choose another model.method")


def without_pixels() -> ConfigError:
    """The refusal of fixed crops for a method of :attr:`FewShotMethod.reads_pixels`."""
    return ConfigError(
        "train.prefix_crops keeps no frames, and this method's loss reads them",
        next_step="Set train.prefix_crops = 0.",
    )


def by_class(support: Tensor, way: int | None) -> Tensor:
    """An episode's support videos, class by class. Shapes: (..., way*shot, T, D) -> (..., way, shot, T, D).

    Raises:
        InputError: they cannot be divided among so many classes.
    """
    if way is None or way < 1 or support.shape[-3] % way:
        raise InputError(
            f"{support.shape[-3]} support videos cannot be divided among {way or 'unknown'} classes",
            next_step="Give way (or tokens of every class), and as many support videos for each class.",
        )
    return support.reshape(*support.shape[:-3], way, -1, *support.shape[-2:])
