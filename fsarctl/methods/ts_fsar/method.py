"""TS-FSAR: a ladder side network, alpha-distance correlation, matching weighted by the task, and text."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.config.setting_field import require, require_bounds, setting
from fsarctl.errors import ConfigError
from fsarctl.methods.frozen_text import FrozenText
from fsarctl.methods.protocol import BaseClasses, FewShotMethod, Lesson, QueryMode, Scores, by_class
from fsarctl.methods.ts_fsar.distance_correlation import distance_correlation
from fsarctl.methods.ts_fsar.ladder import LadderNetwork, Start, states
from fsarctl.models.attention import attend, flop_of
from fsarctl.models.backbone import Backbone
from fsarctl.models.metrics.cosines import cosines, damped_cosines
from fsarctl.models.precision import Precision
from fsarctl.models.seeding import seeded

__all__ = ["TSFSAR", "Matching", "Options"]

VERSION = 1
TEXT_SCALE = 100
"""Cosines with text are multiplied by this."""
DISTILLING = 4
"""Temperature at which the classifier of representations learns from the text's."""
ADAPTER_HEADS = 8


@dataclass(frozen=True)
class Options:
    """What there is to choose."""

    width: int = setting(256, "d: of the ladder network")
    heads: int = setting(4, "of its attentions")
    start: Start = setting(
        "orthogonal", "of its blocks: principal components of CLIP's (published), or orthogonal matrices"
    )
    alpha: float = setting(0.4, "power of the distances between channels")
    rho: float = setting(0.4, "share of the attention over CLIP's frames, of 2; 1.6 for SSv2")
    vision_weight: float = setting(1.0, "of the loss of matching")
    representation_weight: float = setting(1.0, "of the loss of classifying representations")
    ladder_weight: float = setting(1.0, "of the loss of the ladder's class tokens against text")
    clip_weight: float = setting(6.0, "of the loss of CLIP's frames against text, which also teaches")
    clip_share: float = setting(0.8, "exponent of CLIP's answer in the product at test")
    vision_share: float = setting(0.15, "exponent of matching's answer")
    ladder_share: float = setting(0.05, "exponent of the ladder's answer")
    generator_rate: float = setting(1.0, "learning rate of the generator of frame weights, of train.lr")

    def __post_init__(self) -> None:
        require_bounds(self, "width", "heads", least=1)
        divides = self.width % self.heads == 0
        require(divides, f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        require_bounds(self, "alpha", "generator_rate", above=0)
        require_bounds(self, "rho", least=0, most=2)
        weights = [f"{name}_weight" for name in ("vision", "representation", "ladder", "clip")]
        require_bounds(self, *weights, "clip_share", "vision_share", "ladder_share", least=0)


class Matching(nn.Module):
    """Frames of representations against frames, weighted by what an episode's class tokens make of them.

    Args:
        frames: T.
        width: d, of the class tokens.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.frames = frames
        self.generator = nn.Linear(width, frames * frames, bias=False)

    def similarities(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """A. Shapes: (..., Q, T, Z), (..., C, T, Z) -> (..., Q, C, T, T), query frames first."""
        flat = damped_cosines(query.flatten(-3, -2), prototypes.flatten(-3, -2))  # (..., Q*T, C*T)
        apart = flat.reshape(*flat.shape[:-2], query.shape[-3], self.frames, -1, self.frames)
        return apart.transpose(-3, -2)

    def weights(self, query: Tensor, support: Tensor) -> Tensor:
        """G, one for each query, from class tokens.

        Shapes: (..., Q, T, d), (..., videos, T, d) -> (..., Q, T*T), query frames first.
        """
        task = query.mean(dim=-2) + support.mean(dim=(-3, -2)).unsqueeze(-2)
        generated: Tensor = self.generator(task)
        return generated

    def forward(self, similarities: Tensor, weights: Tensor) -> Tensor:
        """Shapes: (..., Q, C, T, T), (..., Q, T*T) -> (..., Q, C)."""
        scores: Tensor = similarities.flatten(-2) @ weights.unsqueeze(-1)
        return scores.squeeze(-1)


class TSFSAR(FewShotMethod):
    """TS-FSAR (arXiv 2512.11340).

    CLIP is frozen. A clip is its frames' representations, class tokens of the ladder network and CLIP's
    embeddings, side by side. A score is the logarithm of the product of three answers; training matches by
    the first of them. Queries see nothing but the support.

    Args:
        backbone: the frozen CLIP, a ViT.
        frames: T.
        options: None for the defaults.
        precision: of CLIP; what is trained is float32.
        generator: of what starts at random.

    Raises:
        ConfigError: the backbone has no ViT or no text encoder, or is too narrow for the start that is asked
            for.
    """

    Options = Options
    sub_actions = "average"
    reads_text = True
    logit_scale = 1.0
    needs_equal_shots = True
    needs_vit = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        frames: int,
        options: Any = None,
        precision: Precision = "float32",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(backbone, frames)
        self.options: Options = options or self.Options()
        own = self.options
        wide, embed = backbone.visual.conv1.out_channels, backbone.embed_dim
        if own.start == "pca" and own.width > wide:
            raise ConfigError(
                f"the ladder network is {own.width} wide, and the backbone {wide}, of which it is to start",
                next_step=f"Set model.options.width to {wide} or less, or model.options.start to orthogonal.",
            )
        if embed % ADAPTER_HEADS:
            raise ConfigError(
                f"embeddings of {backbone.name} are {embed} wide, which {ADAPTER_HEADS} heads cannot divide",
                next_step="Choose another model.backbone.",
            )
        self.precision = precision
        self.vit = backbone.visual
        self.text = FrozenText(backbone, precision)
        with seeded(generator):
            self.ladder = LadderNetwork(self.vit, own.width, own.heads, own.start)
            self.matching = Matching(frames, own.width)
            self.norm = nn.LayerNorm(embed)
            self.over_frames = nn.MultiheadAttention(embed, ADAPTER_HEADS)
            self.ladder_norm = nn.LayerNorm(own.width)
            self.to_text = nn.Linear(own.width, embed, bias=False)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Widths of what a clip is made of: representation, the ladder's class token, CLIP's embedding."""
        width = self.options.width
        return width * (width + 1) // 2, width, self.backbone.embed_dim

    @property
    def feature_width(self) -> int:
        """Of CLIP's embeddings."""
        return self.backbone.embed_dim

    @property
    def prefix_is_constant(self) -> bool:
        """CLIP is frozen."""
        return True

    @property
    def prefix_name(self) -> Hashable:
        """What is read of every block, and how precisely."""
        return "states", self.precision

    @property
    def prefix_flop(self) -> int:
        """Of all blocks."""
        blocks = self.vit.transformer.resblocks
        return self.frames * flop_of(blocks, len(self.vit.positional_embedding))

    @property
    def rate_factors(self) -> Mapping[str, float]:
        """The generator of frame weights has a rate of its own."""
        return {"matching.generator.": self.options.generator_rate}

    def prefix(self, frames: Tensor) -> Tensor:
        """What CLIP's blocks read and give. Shapes: -> (..., blocks + 1, T, N+1, width)."""
        with torch.no_grad():
            return states(self.vit, frames, self.precision)

    def alone(self, prefix: Tensor) -> Tensor:
        """Representations, class tokens and embeddings. Shapes: -> (..., T, sum of :attr:`sizes`)."""
        tokens = self.ladder(prefix)  # (..., T, N+1, d)
        with torch.no_grad():
            embedding = self.vit.ln_post(prefix[..., -1, :, 0, :]) @ self.vit.proj  # (..., T, embed)
        z = distance_correlation(tokens, self.options.alpha)
        return torch.cat([z, tokens[..., 0, :], embedding], dim=-1)

    @property
    def shares_frames(self) -> bool:
        """CLIP reads one frame at a time."""
        return True

    def each_frame(self, frames: Tensor) -> Tensor:
        """Shapes: (frames, 3, H, W) -> (frames, blocks + 1, N+1, width)."""
        return self.prefix(frames).transpose(0, 1)

    def from_frames(self, each: Tensor) -> Tensor:
        """:meth:`alone`. Shapes: (..., T, blocks + 1, N+1, width) -> as :meth:`alone`."""
        return self.alone(each.transpose(-4, -3))

    def _parts(self, clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Representations, class tokens and embeddings. Shapes: (..., T, sum of sizes) -> (..., T, each)."""
        z, token, embedding = torch.split(clips, list(self.sizes), dim=-1)
        return z, token, embedding

    def text_features(self, tokens: Tensor | None) -> Tensor:
        """The mean direction of a class's sentences.

        Shapes: (..., way, 3, context) -> (..., way, 1, embed).
        """
        each = F.normalize(self.text(tokens), dim=-1)
        return F.normalize(each.mean(dim=-2, keepdim=True), dim=-1)

    def prepare(self, base: BaseClasses) -> None:
        """Read the texts of all base classes, once, and make the classifier of representations."""
        self.base_texts: Tensor = self.text_features(base.tokens).squeeze(-2)
        self.add_head("representation", nn.Linear(self.sizes[0], len(base), bias=False))

    def score_features(
        self,
        support: Tensor | None,
        query: Tensor,
        text: Tensor | None,
        *,
        way: int | None = None,
        query_mode: QueryMode = "joint",  # noqa: ARG002
    ) -> Scores:
        """Matching while training, else the logarithm of the product of three answers.

        Shapes: (..., way*shot, T, D), (..., queries, T, D), (..., way, 1, embed) -> (..., queries, way).
        """
        assert support is not None
        assert text is not None
        z, token, embedding = self._parts(query)
        told, tokens, embeddings = self._parts(support)
        shots = by_class(told, way)
        similarities = self.matching.similarities(z, shots.mean(dim=-3))
        score = vision = self.matching(similarities, self.matching.weights(token, tokens))
        spoken = None
        if not self.training:
            own, texts = self.options, text.squeeze(-2)
            spoken = own.clip_share * F.log_softmax(self.clip_logits(embedding, texts), dim=-1)
            spoken = spoken + own.ladder_share * F.log_softmax(self.ladder_logits(token, texts), dim=-1)
            score = own.vision_share * F.log_softmax(vision, dim=-1) + spoken
        return Scores(
            score,
            video=vision,
            text=spoken,
            query_features=embedding,
            support_features=embeddings,
            text_features=text,
        )

    def clip_logits(self, embedding: Tensor, texts: Tensor) -> Tensor:
        """CLIP's frames, having seen each other, against texts.

        Shapes: (..., T, embed), (..., classes, embed) -> (..., classes).
        """
        rho = self.options.rho
        seen = (2 - rho) * embedding + rho * attend(self.over_frames, self.norm(embedding))
        return TEXT_SCALE * cosines(seen.mean(dim=-2), texts)

    def ladder_logits(self, token: Tensor, texts: Tensor) -> Tensor:
        """The ladder's class tokens against texts. Shapes: (..., T, d), as above -> (..., classes)."""
        return TEXT_SCALE * cosines(self.to_text(self.ladder_norm(token)).mean(dim=-2), texts)

    def training_loss(self, lesson: Lesson) -> Tensor:
        """Matching, and three classifiers of base classes: CLIP's teaches that of representations."""
        assert lesson.support is not None
        assert lesson.scores.video is not None
        own = self.options
        clips = torch.cat([lesson.support, lesson.query])
        classes = torch.cat([lesson.support_classes, lesson.query_classes])
        z, token, embedding = self._parts(clips)
        seen = self.heads["representation"](z.mean(dim=-2))
        clip = self.clip_logits(embedding, self.base_texts)
        ladder = self.ladder_logits(token, self.base_texts)
        taught = F.kl_div(
            F.log_softmax(seen / DISTILLING, dim=-1),
            F.softmax(clip / DISTILLING, dim=-1),
            reduction="batchmean",
        )
        loss: Tensor = (
            own.vision_weight * F.cross_entropy(lesson.scores.video, lesson.targets)
            + own.representation_weight * F.cross_entropy(seen, classes)
            + own.ladder_weight * F.cross_entropy(ladder, classes)
            + own.clip_weight * (DISTILLING**2 * taught + F.cross_entropy(clip, classes))
        )
        return loss
