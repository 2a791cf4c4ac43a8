"""What a few-shot method is to training, evaluation, prediction and caching, and all that they know of it.

A method scores an episode's queries against its support set in steps that are kept apart, so that what
depends on less is computed once: ``prefix`` (a constant of a clip while training), ``alone`` (a clip, given
the weights), ``support_features`` and ``query_features`` (videos that may look at each other),
``text_features`` (a class), ``score_features`` (an episode). ``forward`` is all of them in a row: the plain
path, which every shortcut has to equal.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.errors import InputError
from fsarctl.models.backbone import Backbone
from fsarctl.progress import first_of

__all__ = ["FewShotMethod", "QueryMode", "Scores"]

QueryMode = Literal["joint", "independent"]


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
        return Scores(**parts)


class FewShotMethod(nn.Module, ABC):
    """A few-shot method around a backbone.

    What a subclass has to define is abstract; what else may differ says what it is unless overridden.

    Args:
        backbone: what reads frames and text.
        frames: T, frames of every clip.
    """

    logit_scale: float = 64.0
    """Scores are multiplied by this before the cross-entropy, and for a prediction's confidence."""
    sub_actions: Literal["none", "average", "concatenate", "stages"] = "none"
    """Which prompts are made of a class, see :func:`fsarctl.text.corpus.prompts_of`."""
    crop: Literal["clip", "frame"] = "clip"
    """Whether training's random crops are drawn once for a clip, or for each frame."""
    reads_text: bool = False
    """Whether :meth:`text_features` has a part in the scores."""
    needs_support: bool = True
    """Whether support videos have a part in the scores."""
    needs_equal_shots: bool = False
    """Whether every class needs as many support videos as every other."""

    def __init__(self, backbone: Backbone, frames: int) -> None:
        super().__init__()
        self._mean: Tensor
        self._std: Tensor
        self.backbone = backbone
        self.frames = frames
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

    @property
    def prefix_is_constant(self) -> bool:
        """Whether training leaves what :meth:`prefix` gives as it is."""
        return False

    @property
    def prefix_name(self) -> Hashable:
        """What :meth:`prefix` depends on beside the frozen weights: equal names, equal prefixes."""
        return type(self).__qualname__

    @property
    def alone_is_constant(self) -> bool:
        """Whether training leaves what :meth:`alone` gives as it is, too."""
        return False

    def video(self, frames: Tensor) -> Tensor:
        """:meth:`prefix`, then :meth:`alone`. Shapes: normalised (..., T, 3, H, W) -> as :meth:`alone`."""
        return self.alone(self.prefix(frames))

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

    def loss(self, scores: Scores, labels: Tensor) -> Tensor:
        """Cross-entropy of ``logit_scale`` times the score, mean over queries.

        Shapes: labels (..., queries), the index of each query's class -> ().
        """
        return F.cross_entropy((self.logit_scale * scores.score).flatten(0, -2), labels.flatten())

    def normalise(self, frames: Tensor) -> Tensor:
        """Pixels as the backbone reads them. Shapes: uint8 (..., H, W, 3) -> float32 (..., 3, H, W)."""
        return (frames.movedim(-1, -3).float() - self._mean) / self._std

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What training moves."""
        return list(self._trainable().values())

    def adapter_state(self) -> dict[str, Tensor]:
        """A copy of everything trainable, by name: what a checkpoint holds."""
        return {name: p.detach().clone() for name, p in self._trainable().items()}

    @torch.no_grad()
    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Replaces everything trainable.

        Raises:
            InputError: a name is unknown or missing, or a shape differs; nothing was changed then.
        """
        parameters = self._trainable()
        problems = [f"{name} is unknown" for name in sorted(state.keys() - parameters.keys())]
        problems += [f"{name} is missing" for name in sorted(parameters.keys() - state.keys())]
        problems += [
            f"{name} is {tuple(state[name].shape)}, not {tuple(parameter.shape)}"
            for name, parameter in parameters.items()
            if name in state and state[name].shape != parameter.shape
        ]
        if problems:
            raise InputError(
                f"these adapters are not of this model: {first_of(problems, 4)}",
                next_step="Use the backbone, layers, score and formulation that they were trained with.",
            )
        for name, parameter in parameters.items():
            parameter.copy_(state[name])

    def frozen_digest(self) -> str:
        """SHA-256 over names and bytes of every frozen weight; take it before and after training."""
        digest = hashlib.sha256()
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                digest.update(name.encode())
                digest.update(parameter.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def _trainable(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def _check_frames(self, role: str, videos: Tensor) -> None:
        size = self.backbone.image_size
        if videos.dim() < 5 or videos.shape[-4:] != (self.frames, 3, size, size):
            raise InputError(
                f"{role} is {tuple(videos.shape)}; this model reads (..., {self.frames}, 3, {size}, {size})",
                next_step=f"Extract {self.frames} frames a clip and crop them to {size} x {size}, "
                "or build the model for other clips.",
            )
