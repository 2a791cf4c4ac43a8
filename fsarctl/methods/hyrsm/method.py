"""HyRSM: frames know their video and their task before they are matched as a set."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_method import FrameMethod, FrameOptions
from fsarctl.methods.hyrsm.hybrid_relation import Form, HybridRelation, Related, set_distances
from fsarctl.methods.protocol import BaseClasses, Lesson, QueryMode, Scores, by_class

__all__ = ["HyRSM", "Options", "RelatedScores", "frame_loss"]

VERSION = 1


@dataclass(frozen=True)
class Options(FrameOptions):
    """What there is to choose."""

    heads: int = setting(8, "of both attentions")
    form: Form = setting(
        "classes",
        "a task is made of the mean of each class's shots (released for many shots), or of all support clips "
        "(for one shot, where both are the same)",
    )
    divisor: float = setting(10.0, "A: features are multiplied by sqrt(width / A) before positions are added")
    position_weight: float = setting(1.0, "B: of the positions")
    frame_weight: float = setting(0.15, "beta: of the loss that classifies each frame among the base classes")

    def __post_init__(self) -> None:
        require_bounds(self, "heads", least=1)
        require_bounds(self, "divisor", above=0)
        require_bounds(self, "frame_weight", least=0)


@dataclass(frozen=True)
class RelatedScores(Scores):
    """With the frames that were matched."""

    related_support: Tensor | None = None
    """(..., Q, C, n, T, D): of :class:`Related`."""
    related_query: Tensor | None = None
    """(..., Q, T, D)."""


def frame_loss(classifier: nn.Module, clips: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the class of every frame. Shapes: (clips, T, D), (clips,) -> ()."""
    return F.cross_entropy(classifier(clips).flatten(0, 1), classes.repeat_interleave(clips.shape[1]))


class HyRSM(FrameMethod):
    """Hybrid relation guided set matching (arXiv 2204.13423) on a trained backbone.

    A query's task is itself and the support: queries never see each other. A logit is minus the Bi-MHM
    distance.
    """

    Options: ClassVar[type[FrameOptions]] = Options
    undecayed = ("norm", "bn")

    def build(self) -> None:
        """Both attentions and their fusion."""
        own = self.options
        self.relation = HybridRelation(
            self.frames, self.feature_width, own.heads, divisor=own.divisor, weight=own.position_weight
        )

    def of_clip(self, frames: Tensor) -> Tensor:
        """The attention within a video. Shapes: (..., T, D) -> the same."""
        return self.relation.within_video(frames)

    def prepare(self, base: BaseClasses) -> None:
        """Make the classifier of frames."""
        self.add_head("frames", nn.Linear(self.feature_width, len(base)))

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,  # noqa: ARG002
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Minus the distances of what each query's task makes of the frames.

        Shapes: (..., way*shot, T, D), (..., queries, T, D) -> (..., queries, way).
        """
        assert support is not None
        related: Related = self.relation.across_task(by_class(support, way), query, self.options.form)
        logits = -set_distances(related)
        return RelatedScores(
            logits,
            video=logits,
            query_features=query,
            support_features=support,
            related_support=related.support,
            related_query=related.query,
        )

    def training_loss(self, lesson: Lesson) -> Tensor:
        """L = CE + beta CE over the frames of all clips, before they know their task."""
        assert lesson.support is not None
        clips = torch.cat([lesson.support, lesson.query])
        classes = torch.cat([lesson.support_classes, lesson.query_classes])
        of_frames = frame_loss(self.heads["frames"], clips, classes)
        loss: Tensor = self.loss(lesson.scores, lesson.targets) + self.options.frame_weight * of_frames
        return loss
