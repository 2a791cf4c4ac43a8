"""CLIP-MEI: support clips told by their class's text, queries by a token of their own, all by the task."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.clip_mei.interaction import Interacted, Interaction, squared
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.frozen_text import FrozenText
from fsarctl.methods.protocol import Lesson, QueryMode, Scores, by_class
from fsarctl.text.corpus import PromptUse

__all__ = ["CLIPMEI", "InteractionOptions", "InteractionScores", "Options"]

VERSION = 1
EPISODES = 16
"""Of a released step, by which the sum over an episode's queries is divided and the other losses are not."""


@dataclass(frozen=True)
class InteractionOptions(FrameOptions):
    """What CLIP-MEI and CLIP-SPM can be told."""

    heads: int = setting(8, "heads of both transformers")
    head_width: int = setting(256, "width of a head, whatever the backbone's")
    hidden: int = setting(2048, "width of their feed-forward layers")
    smoothing: float = setting(0.5, "lambda of OTAM")
    extra_weight: float = setting(0.001, "weight of the losses beside the cross-entropy")

    def __post_init__(self) -> None:
        require_bounds(self, "heads", "head_width", "hidden", least=1)
        require_bounds(self, "smoothing", above=0)
        require_bounds(self, "extra_weight", least=0)


Options = InteractionOptions


@dataclass(frozen=True)
class InteractionScores(Scores):
    """Scores, and what the losses look at beside them."""

    interacted: Interacted | None = None
    """Of the episode, joint."""


class CLIPMEI(FrameMethod):
    """CLIP-MEI (doi 10.1016/j.knosys.2025.113965).

    Transductive: a query's score depends on the other queries of its episode, whose mean it is told by. The
    released code tells queries by the mean text of their true classes, which in an episode with one query is
    the answer; here it is the mean text of the episode's classes, always, which is the same where there are
    as many queries of each class.
    """

    Options: ClassVar[type[FrameOptions]] = InteractionOptions
    sub_actions: PromptUse = ("a photo of {}",)
    reads_text = True
    queries_meet = True

    def build(self) -> None:
        """The transformers, the convolutions over time, and what makes a query's token."""
        self.interaction = self.interacting()
        self.text = FrozenText(self.backbone, self.encoder.precision)

    def interacting(self) -> Interaction:
        """The modules between features and logits."""
        options = self.options
        return Interaction(
            self.encoder.embed_dim,
            options.heads,
            options.head_width,
            options.hidden,
            smoothing=options.smoothing,
        )

    def text_features(self, tokens: Tensor | None) -> Tensor:
        """The mean of a class's text embeddings, as they are.

        Shapes: (..., way, prompts, context) -> (..., way, 1, D).
        """
        features: Tensor = self.text(tokens).mean(dim=-2, keepdim=True)
        return features

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",
    ) -> InteractionScores:
        """See :class:`Interaction`; an independent query is a set of its own.

        Shapes: (..., way*shot, T, D), (..., queries, T, D), (..., way, 1, D) -> (..., queries, way).
        """
        assert support is not None
        assert text is not None
        shots, texts = by_class(support, way), text.squeeze(-2)
        found = None
        if query_mode == "independent":
            known = self.known_alone(texts, query.shape[-3], shots.shape[-3])
            each = self.interaction(shots.unsqueeze(-5), query.unsqueeze(-3), texts.unsqueeze(-3), known)
            logits = each.logits.squeeze(-2)
        else:
            found = self.interaction(shots, query, texts, texts.mean(dim=-2))
            logits = found.logits
        return InteractionScores(
            logits,
            video=logits,
            query_features=query,
            support_features=support,
            text_features=text,
            interacted=found,
        )

    def known_alone(self, texts: Tensor, queries: int, shots: int) -> Tensor:  # noqa: ARG002
        """The mean text that each query is told by where it is alone: that of the episode's classes.

        Shapes: (..., way, D) -> (..., queries, D), or (..., 1, D) for all of them.
        """
        return texts.mean(dim=-2, keepdim=True)

    def training_loss(self, lesson: Lesson) -> Tensor:
        """Cross-entropy, summed over queries, and the losses beside it."""
        summed = F.cross_entropy(lesson.scores.score, lesson.targets, reduction="sum")
        loss: Tensor = summed / EPISODES + self.options.extra_weight * self.extra_loss(lesson)
        return loss

    def extra_loss(self, lesson: Lesson) -> Tensor:
        """L_con + L_txt + alpha L_mo."""
        consistency, text = self.semantic_losses(lesson)
        weighted: Tensor = self.interaction.motion_weight * self.motion_loss(lesson)
        return consistency + text + weighted

    def motion_loss(self, lesson: Lesson) -> Tensor:
        """L_mo: of support and query clips."""
        assert lesson.support is not None
        return self.interaction.motion_loss(lesson.support) + self.interaction.motion_loss(lesson.query)

    def semantic_losses(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """L_con and L_txt: a query told by its own token should be as if told by the text of its class."""
        scores = lesson.scores
        assert isinstance(scores, InteractionScores)
        assert scores.interacted is not None
        assert scores.text_features is not None
        found = scores.interacted
        text = scores.text_features.squeeze(-2)[lesson.targets]
        return told_apart(self.interaction, lesson.query, text, found.query, found.token, found.token_told)


def told_apart(
    interaction: Interaction, clips: Tensor, text: Tensor, frames: Tensor, token: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    """How far clips told by a token of their own are from being told by the text of their class.

    Shapes: clips and ``frames`` that were told (n, T, D); text, token and what became of it (n, D) ->
    consistency (), text ().
    """
    true_frames, true_told = interaction.told(clips, text)
    apart = squared(true_told, told)
    return apart + squared(true_frames, frames), (squared(text, token) + apart) / 2
