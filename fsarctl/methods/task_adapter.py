"""Task-Adapter++: both branches, alignment and scores, as one trainable module."""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.errors import ConfigError, InputError
from fsarctl.methods.formulation import formulation_of
from fsarctl.models.alignment import alignment_of, text_scores
from fsarctl.models.backbone import Backbone
from fsarctl.models.metrics import Metric, metric_of
from fsarctl.models.precision import Precision, computing
from fsarctl.models.semantic import SemanticBranch
from fsarctl.models.strategies import ORDER_FIRST, POSITIONS, PROMPTS, VISUAL_STEPS, adapters_of, chosen
from fsarctl.models.trx import TRX
from fsarctl.models.visual import VisualBranch

__all__ = ["QueryMode", "ScoreKind", "Scores", "TaskAdapterPlusPlus"]

ScoreKind = Literal["both", "video", "text"]
QueryMode = Literal["joint", "independent"]


@dataclass(frozen=True)
class Scores:
    """What one episode gives; scores are (..., queries, way) everywhere. What was not needed is None."""

    score: Tensor
    """(..., queries, way): what is argmaxed; by default the product of the next two (Eq. 18)."""
    video: Tensor | None
    """(..., queries, way): query against prototypes (Eq. 11)."""
    text: Tensor | None
    """(..., queries, way): aligned query against sub-actions (Eq. 17)."""
    query_features: Tensor
    """(..., queries, T, embed)."""
    support_features: Tensor | None
    """(..., way*shot, T, embed)."""
    prototypes: Tensor | None
    """(..., way, T, embed): means over shots (Eq. 10)."""
    aligned_query_features: Tensor | None
    """(..., queries, T-1, embed) (Eq. 15)."""
    text_features: Tensor | None
    """(..., way, 3, embed)."""

    def __getitem__(self, episode: int) -> "Scores":
        """One of several episodes that were scored at once along a leading axis."""
        parts: dict[str, Any] = {
            name: None if value is None else value[episode] for name, value in vars(self).items()
        }
        return Scores(**parts)


class TaskAdapterPlusPlus(nn.Module):
    """Few-shot action recognition by adapters in a frozen CLIP.

    Args:
        backbone: the frozen CLIP.
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
        formulation: "paper" or "released"; sets every option of
            :class:`~fsarctl.methods.formulation.Formulation`, and ``overrides`` replace single ones.
        score: the product of video and text score (Eq. 18), or one of them; "video" has no text encoder.
        trx_shots: metric "trx" compares with "prototypes" (Eq. 11) or with all shots of a class, "pooled".
        logit_scale: :meth:`loss` multiplies scores by this before the cross-entropy. The paper says 1,
            but cosines are too close to each other to train on as they are; the released code says 64.
        precision: "float32", or "bf16" for the products within both encoders; what is trained, features,
            scores and loss are float32 either way.
        generator: of the adapters' random start; the same state gives the same adapters.
        overrides: options of the formulation by name.

    Raises:
        ConfigError: an option or its value is unknown, or there are fewer blocks than layers to adapt.
    """

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
        trx_shots: Literal["prototypes", "pooled"] = "prototypes",
        logit_scale: float = 64.0,
        precision: Precision = "float32",
        generator: torch.Generator | None = None,
        **overrides: object,
    ) -> None:
        super().__init__()
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
        if score not in ("both", "video", "text"):
            raise ConfigError(
                f"score is {score!r}; it must be both, video or text", next_step="Set model.score."
            )
        self._mean: Tensor
        self._std: Tensor
        self.formulation = formulation_of(formulation, overrides)
        self.frames = frames
        self.score_kind = score
        self.logit_scale = logit_scale
        self.backbone = backbone
        shape = (3, 1, 1)
        self.register_buffer("_mean", 255 * torch.tensor(backbone.mean).view(shape), persistent=False)
        self.register_buffer("_std", 255 * torch.tensor(backbone.std).view(shape), persistent=False)
        self.sub_actions = sub_actions
        self.prompts = chosen("sub_actions", sub_actions, PROMPTS)
        visual_kinds = set(kinds) - {"order"}
        self.visual = VisualBranch(
            backbone.clip.visual,
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
        if strategy == "frozen":
            self.requires_grad_(False)

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
        tokens (..., way, 3, context).

        Args:
            tokens: of the classes' captions, from :meth:`Backbone.tokenize`; not needed for score "video".
            way: the number of classes, where there are no tokens to tell it.
            query_mode: "joint": all queries of an episode are one set, as in the paper (transductive);
                "independent": each query is a set of its own, and its scores depend on no other query.

        Raises:
            InputError: shapes do not fit the model or each other.
        """
        self._check_frames("support", support)
        self._check_frames("query", query)
        return self.score_features(
            self.support_features(self.visual.video(support)) if self.needs_support else None,
            self.query_features(self.visual.video(query), query_mode=query_mode),
            self.text_features(tokens),
            way=way if tokens is None else tokens.shape[-3],
            query_mode=query_mode,
        )

    @property
    def needs_support(self) -> bool:
        """Whether support videos have a part in the score."""
        return self.metric is not None

    def normalise(self, frames: Tensor) -> Tensor:
        """Pixels as the backbone reads them. Shapes: uint8 (..., H, W, 3) -> float32 (..., 3, H, W)."""
        return (frames.movedim(-1, -3).float() - self._mean) / self._std

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
            shots = _by_class(support, way if text is None else text.shape[-3])
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

    def loss(self, scores: Scores, labels: Tensor) -> Tensor:
        """Cross-entropy of ``logit_scale`` times the score, mean over queries (section 3.7).

        Shapes: labels (..., queries), the index of each query's class -> ().
        """
        return F.cross_entropy((self.logit_scale * scores.score).flatten(0, -2), labels.flatten())

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What training moves: adapters and, where the formulation has them, embedding and norm."""
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
                f"these adapters are not of this model: {', '.join(problems[:4])}"
                + (f" and {len(problems) - 4} more" if len(problems) > 4 else ""),
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


def _by_class(support: Tensor, way: int | None) -> Tensor:
    """Shapes: (..., way*shot, T, embed) -> (..., way, shot, T, embed)."""
    if way is None or way < 1 or support.shape[-3] % way:
        raise InputError(
            f"{support.shape[-3]} support videos cannot be divided among {way or 'unknown'} classes",
            next_step="Give way (or tokens of every class), and as many support videos for each class.",
        )
    return support.reshape(*support.shape[:-3], way, -1, *support.shape[-2:])


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
