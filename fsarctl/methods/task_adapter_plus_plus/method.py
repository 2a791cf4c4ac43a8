"""Task-Adapter++: both branches, alignment and scores, as one trainable module."""

from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import torch
from torch import Tensor, nn

from fsarctl.config.model_table import ModelConfig, ScoreKind, SubActionUse, TrxShots
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores, WeightsFile, by_class
from fsarctl.methods.task_adapter_plus_plus.adapter_file import load_adapter_file
from fsarctl.methods.task_adapter_plus_plus.formulation import formulation_of
from fsarctl.models.attention_maps import features_and_attention
from fsarctl.models.backbone import Backbone
from fsarctl.models.backbone_catalogue import without_vit
from fsarctl.models.frame_encoder import FrameBranch
from fsarctl.models.metrics import Metric, metric_of
from fsarctl.models.metrics.trx import TRX
from fsarctl.models.order_adapters import SemanticBranch
from fsarctl.models.precision import Precision, computing
from fsarctl.models.strategies import (
    FROZEN,
    ORDER_FIRST,
    POSITIONS,
    PROMPTS,
    VISUAL_STEPS,
    adapters_of,
    chosen,
)
from fsarctl.models.sub_action_alignment import alignment_of, stage_scores, text_scores
from fsarctl.models.vit_with_task_adapters import VisualBranch

__all__ = ["ScoreKind", "TaskAdapterPlusPlus"]


class TaskAdapterPlusPlus(FewShotMethod):
    """Few-shot action recognition by adapters in a frozen CLIP.

    Args:
        backbone: the frozen CLIP; for the strategy "frozen" a ResNet does as well.
        strategy: what is trained, a name in ``STRATEGIES``: nothing ("frozen"), a copy of the whole
            CLIP ("full"), or adapters ("aim", "task-adapter", "task-adapter++").
        adapters: these kinds instead of the strategy's: temporal, spatial, task, joint, order.
        visual_layers: L, blocks of the ViT with Task-Adapters.
        visual_position: where they are: "top", "bottom", or in "all" blocks, whatever L.
        task_position: Task-MSA "before", "between" or "after" T-MSA and S-MSA.
        text_layers: M, layers of the text encoder with order adapters. With L and M 0 the model is frozen
            CLIP with the same scores.
        text_position: where they are, likewise.
        order_position: O-MSA "before" or "after" a layer's own attention.
        sub_actions: "stages" matches each sub-action with its segment, "average" their mean feature with the
            whole video; "none" and "concatenate" make one prompt of a class, see ``PROMPTS``.
        alignment: "attention" (Eq. 15), of ``alignment_layers`` layers, "conv1d" or "none".
        frames: T, frames of every clip.
        formulation: "paper" or "released"; sets every option of :class:`~fsarctl.methods.Formulation`, and
            ``overrides`` replace single ones.
        score: the product of video and text score (Eq. 18), or one of them; "video" has no text encoder.
        trx_shots: metric "trx" compares with "prototypes" (Eq. 11) or with all shots of a class, "pooled".
        logit_scale: :meth:`loss` multiplies scores by this before the cross-entropy. The paper says 1,
            but cosines are too close to each other to train on as they are; the released code says 64.
        precision: "float32", or "bf16" for the products within both encoders; what is trained, features,
            scores and loss are float32 either way.
        generator: of the adapters' random start; the same state gives the same adapters.
        overrides: options of the formulation by name.

    Raises:
        ConfigError: an option or its value is unknown; or the backbone has fewer blocks than layers to adapt,
            no ViT for anything but the strategy "frozen", or no text encoder for any score but "video".
    """

    queries_meet = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        strategy: str = "task-adapter++",
        adapters: Sequence[str] | None = None,
        visual_layers: int = 2,
        visual_position: str = "top",
        task_position: str = "after",
        text_layers: int = 8,
        text_position: str = "top",
        order_position: str = "after",
        sub_actions: str = "stages",
        alignment: str = "attention",
        alignment_layers: int = 1,
        frames: int = 8,
        formulation: str = "paper",
        score: ScoreKind = "both",
        trx_shots: TrxShots = "prototypes",
        logit_scale: float = 64.0,
        precision: Precision = "float32",
        generator: torch.Generator | None = None,
        **overrides: object,
    ) -> None:
        shortest = 1 + (alignment_layers if alignment == "attention" else 1)
        if frames < shortest:
            raise ConfigError(
                f"frames is {frames}; the alignment needs {shortest} or more", next_step="Set extract.frames."
            )
        computing(precision, torch.device("cpu"))  # refuses what is no precision
        kinds = adapters_of(strategy, adapters)
        if strategy == "full":
            # Training moves these weights, and whoever else shares the backbone must not see it.
            backbone = replace(backbone, clip=deepcopy(backbone.clip).requires_grad_(True))
        chosen("score", score, dict.fromkeys(get_args(ScoreKind)))
        if score != "video":
            backbone.require_text()
        if strategy != FROZEN and not backbone.is_vit:
            raise without_vit(backbone.name)
        super().__init__(backbone, frames)
        self.formulation = formulation_of(formulation, overrides)
        self.score_kind = score
        self.logit_scale = logit_scale
        self.prompts = chosen("sub_actions", sub_actions, PROMPTS)
        self.sub_actions = cast(SubActionUse, sub_actions)
        self.crop = self.formulation.crop
        visual_kinds = set(kinds) - {"order"}
        self.visual: VisualBranch | FrameBranch
        if backbone.is_vit:
            self.visual = VisualBranch(
                backbone.visual,
                blocks=_adapted("visual", visual_position, visual_layers, backbone.visual_blocks)
                if visual_kinds
                else (),
                kinds=visual_kinds,
                steps=chosen("task_position", task_position, VISUAL_STEPS),
                frames=frames,
                temporal_embedding=self.formulation.temporal_embedding,
                zero_task=self.formulation.task_adapter_start == "zero",
                precision=precision,
                generator=generator,
            )
        else:  # frozen, so its temporal embedding would be zero
            self.visual = FrameBranch(backbone, precision=precision)
        self.semantic: SemanticBranch | None = None
        self.alignment: nn.Module | None = None
        if score != "video":
            self.semantic = SemanticBranch(
                backbone.clip,
                blocks=_adapted("text", text_position, text_layers, backbone.text_blocks)
                if "order" in kinds
                else (),
                order_first=chosen("order_position", order_position, ORDER_FIRST),
                precision=precision,
                generator=generator,
            )
            self.alignment = alignment_of(
                alignment,
                backbone.embed_dim,
                layers=alignment_layers,
                residual=self.formulation.alignment_residual,
                norm=self.formulation.alignment_norm,
                generator=generator,
            )
        self.metric: Metric | None = None
        if score != "text":
            self.metric = metric_of(
                self.formulation.video_metric,
                backbone.embed_dim,
                frames,
                pooled=trx_shots == "pooled",
                generator=generator,
            )
        self.reads_text = self.semantic is not None
        self.needs_support = self.metric is not None
        self.needs_equal_shots = isinstance(self.metric, TRX) and self.metric.pooled
        if strategy == FROZEN:
            self.requires_grad_(False)

    def train(self, mode: bool = True) -> "TaskAdapterPlusPlus":  # noqa: ARG002
        """Nothing here differs between training and evaluation, and what is frozen stays as it was built."""
        return super().train(False)

    def load_file(self, path: Path, config: ModelConfig) -> WeightsFile:
        """As of any method; or of a checkpoint of the released code, see ``adapter_file``."""
        return load_adapter_file(self, path, config)

    @property
    def prefix_is_constant(self) -> bool:
        """Whether training leaves what :meth:`prefix` gives as it is."""
        return self.visual.prefix_is_constant

    @property
    def prefix_name(self) -> Hashable:
        """How many blocks the prefix has, and how it is computed."""
        return self.visual.first_adapted, self.visual.precision

    @property
    def prefix_flop(self) -> int:
        """Of the blocks below the first adapted one."""
        return self.frames * self.visual.frame_flop

    @property
    def alone_is_constant(self) -> bool:
        """Whether no visual weight is trained."""
        return not any(each.requires_grad for each in self.visual.parameters())

    def prefix(self, frames: Tensor) -> Tensor:
        """Tokens after the blocks below the first adapted one, see :meth:`VisualBranch.prefix`."""
        return self.visual.prefix(frames)

    def alone(self, prefix: Tensor) -> Tensor:
        """What follows up to the first Task-MSA, see :meth:`VisualBranch.alone`."""
        return self.visual.alone(prefix)

    @property
    def shares_frames(self) -> bool:
        """Not with a temporal embedding, which is another one for each frame of a clip."""
        return self.visual.shares_frames

    def each_frame(self, frames: Tensor) -> Tensor:
        """See :meth:`VisualBranch.each_frame`."""
        return self.visual.each_frame(frames) if self.shares_frames else super().each_frame(frames)

    def from_frames(self, each: Tensor) -> Tensor:
        """See :meth:`VisualBranch.from_frames`."""
        return self.visual.from_frames(each) if self.shares_frames else super().from_frames(each)

    def look(self, query: Tensor, query_mode: QueryMode = "joint") -> tuple[Tensor, Tensor | None]:
        """The class token's attention in the last block (Figure 11), see ``models.attention_maps``.

        A ResNet has no such maps.
        """

        def features(frames: Tensor) -> Tensor:
            return self.query_features(self.video(frames), query_mode=query_mode)

        if isinstance(self.visual, FrameBranch):
            return features(query), None
        return features_and_attention(self.visual, query, features)

    def stage_cosines(self, scores: Scores) -> Tensor | None:
        """Aligned segments against sub-actions (Eq. 16-17)."""
        if scores.aligned_query_features is None or scores.text_features is None:
            return None
        reading = self.formulation.segments
        return stage_scores(scores.aligned_query_features, scores.text_features, reading=reading)

    def support_features(self, videos: Tensor) -> Tensor:
        """Support videos as one set, from what ``visual.video`` gave for each.

        Shapes: (..., videos, T, n, width) -> (..., videos, T, embed).
        """
        return self.visual.together(videos)

    def query_features(self, videos: Tensor, *, query_mode: QueryMode = "joint") -> Tensor:
        """Query videos as one set or as many. Shapes: as :meth:`support_features`."""
        if _is_joint(query_mode) or not self.visual.sees_sets:
            return self.visual.together(videos)
        return self.visual.together(videos.unsqueeze(-4)).squeeze(-3)

    def text_features(self, tokens: Tensor | None) -> Tensor | None:
        """What is matched of each class, sub-actions in their order; None for score "video".

        Shapes: (..., way, prompts, context) -> (..., way, 3, embed), or (..., way, 1, embed) for every
        ``sub_actions`` but "stages".

        Raises:
            InputError: there are no tokens, but the score needs them, or not as many a class.
        """
        if self.semantic is None:
            return None
        if tokens is None:
            raise InputError(
                f"score {self.score_kind!r} needs the tokens of every class's sub-actions",
                next_step="Pass tokens, or build the model with score='video'.",
            )
        if tokens.shape[-2] != self.prompts:
            raise InputError(
                f"{tokens.shape[-2]} prompts a class; sub_actions {self.sub_actions!r} needs {self.prompts}",
                next_step="Make the prompts with fsarctl.text.corpus.prompts_of.",
            )
        features: Tensor = self.semantic(tokens)
        return features.mean(dim=-2, keepdim=True) if self.sub_actions == "average" else features

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",
    ) -> Scores:
        """Scores from features, wherever they come from (Eq. 10-11, 15-18).

        Shapes: support (..., way*shot, T, embed), query (..., queries, T, embed), text (..., way, 3, embed).

        Raises:
            InputError: the support videos cannot be divided among the classes.
        """
        prototypes = video = aligned = text_score = None
        if support is not None and self.metric is not None and self.score_kind != "text":
            shots = by_class(support, way if text is None else text.shape[-3])
            prototypes = shots.mean(dim=-3)  # (..., way, T, embed)
            if isinstance(self.metric, TRX) and self.metric.pooled:
                video = self.metric.of_shots(query, shots)
            else:
                video = self.metric(query, prototypes)
        if self.alignment is not None and text is not None:
            joint = _is_joint(query_mode)
            aligned = self.alignment(query) if joint else self.alignment(query.unsqueeze(-3)).squeeze(-3)
            text_score = text_scores(aligned, text, reading=self.formulation.segments)
        match video, text_score:
            case Tensor(), Tensor():
                score = video * text_score
            case Tensor(), None:
                score = video
            case None, Tensor():
                score = text_score
            case _:
                raise InputError("neither support features nor text features", next_step="Pass at least one.")
        return Scores(
            score=score,
            video=video,
            text=text_score,
            query_features=query,
            support_features=support,
            prototypes=prototypes,
            aligned_query_features=aligned,
            text_features=text,
        )


def _adapted(branch: str, position: str, layers: int, blocks: int) -> range:
    """Numbers of a branch's blocks that carry adapters."""
    where = chosen(f"{branch}_position", position, POSITIONS)
    if position != "all" and not 0 <= layers <= blocks:
        raise ConfigError(
            f"{branch}_layers is {layers}; the backbone has {blocks} blocks to adapt",
            next_step=f"Set model.{branch}_layers to {blocks} or less.",
        )
    return where(blocks, layers)


def _is_joint(query_mode: str) -> bool:
    if query_mode not in ("joint", "independent"):
        raise ConfigError(
            f"query_mode is {query_mode!r}; it must be joint or independent", next_step="Set eval.query_mode."
        )
    return query_mode == "joint"
