"""Semantic and task interaction: clips told by a token, then by each other, and the motion between frames."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsarctl.models.metrics.cosines import damped_cosines
from fsarctl.models.metrics.otam import both_ways
from fsarctl.models.temporal_transformer import TemporalTransformer

__all__ = ["GatedInteraction", "Interacted", "Interaction", "squared"]

ADDED = 0.1
"""How much of its token is added to each frame."""


@dataclass(frozen=True)
class Interacted:
    """What an episode's clips become; ``...`` are episodes."""

    logits: Tensor
    """(..., Q, C)."""
    class_distance: Tensor
    """(..., Q, C): of the clips told by their tokens."""
    support: Tensor
    """(..., C, K, T, D): told by the text of their class."""
    query: Tensor
    """(..., Q, T, D): told by their own token."""
    token: Tensor
    """(..., Q, D): which each query was told."""
    token_told: Tensor
    """(..., Q, D): what became of it."""
    support_task: Tensor
    """(..., C, K, T, D): told by the classes and by each other."""
    query_task: Tensor
    """(..., Q, T, D): told by the task and by each other."""
    class_task: Tensor
    """(..., C, T, D): what became of the classes' means."""
    task: Tensor
    """(..., T, D): what became of the task's."""

    def __getitem__(self, episode: int) -> "Interacted":
        """One of several episodes."""
        return Interacted(*(each[episode] for each in vars(self).values()))


class Interaction(nn.Module):
    """CLIP-MEI's modules between frame features and logits.

    Args:
        width: D.
        heads, head_width, hidden: of both transformers.
        smoothing: lambda of OTAM.
        dropout: after the attention, and after each feed-forward layer.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        head_width: int = 256,
        hidden: int = 2048,
        *,
        smoothing: float = 0.5,
        dropout: tuple[float, float] = (0.2, 0.05),
    ) -> None:
        super().__init__()
        self.smoothing = smoothing

        def transformer() -> TemporalTransformer:
            return TemporalTransformer(width, heads, hidden, head_width=head_width, dropout=dropout)

        self.over_task = transformer()
        self.over_frames = transformer()
        self.to_token = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout[1]),
            nn.Linear(hidden, width),
            nn.Dropout(dropout[1]),
        )
        self.motion = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1), nn.Conv1d(width, width, 3, padding=1)
        )
        self.motion_weight = nn.Parameter(torch.ones(()))

    def mixed(self, frames: Tensor, token: Tensor) -> Tensor:
        """Frames with some of their token. Shapes: (..., T, D), (..., D) -> (..., T, D)."""
        return frames + ADDED * token.unsqueeze(-2)

    def told(self, frames: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """E: frames told by a token, and what becomes of it. Shapes: (..., T, D), (..., D) -> the same."""
        token = token.expand(*frames.shape[:-2], -1)
        out = self.over_frames(torch.cat([token.unsqueeze(-2), self.mixed(frames, token)], dim=-2))
        return out[..., 1:, :], out[..., 0, :]

    def own_token(self, frames: Tensor, known: Tensor) -> Tensor:
        """The token of a clip without a text: what is known of the episode's texts, times the clip's mean.

        Shapes: (..., T, D), (..., D) -> (..., D).
        """
        token: Tensor = self.to_token(known * frames.mean(dim=(-2, -1)).unsqueeze(-1))
        return token

    def moved(self, frames: Tensor) -> Tensor:
        """M: the mean difference of neighbours, one of them convolved. Shapes: (..., T, D) -> (..., D)."""
        flat = frames.reshape(-1, *frames.shape[-2:])
        c = self.motion(flat.mT).mT.reshape(frames.shape)
        ahead, back = c[..., 1:, :] - frames[..., :-1, :], c[..., :-1, :] - frames[..., 1:, :]
        moved: Tensor = ((ahead + back) / 2).mean(dim=-2)
        return moved

    def motion_loss(self, clips: Tensor) -> Tensor:
        """How far what becomes of a clip's motion, as its token, is from the motion of what it tells.

        Shapes: (clips, T, D) -> (), mean over clips.
        """
        frames, token = self.told(clips, self.moved(clips))
        return squared(self.moved(frames), token)

    def forward(self, support: Tensor, query: Tensor, texts: Tensor, known: Tensor) -> Interacted:
        """Everything between features and logits; all queries are one set.

        Shapes: support (..., C, K, T, D), query (..., Q, T, D), texts (..., C, D), known (..., D), which is
        the mean of texts that queries are told by.
        """
        told, _ = self.told(support, texts.unsqueeze(-2))
        token = self.own_token(query, known.unsqueeze(-2))
        asked, after = self.told(query, token)
        near = self._distances(asked, told.mean(dim=-3))
        # The leading axes of queries may be longer: they are sets of their own then, of the same support.
        told = told.expand(*asked.shape[:-3], *told.shape[-4:])
        total = told.sum(dim=-3) + asked.sum(dim=-3).unsqueeze(-3)  # (..., C, T, D)
        classes = total / (told.shape[-3] + asked.shape[-3])
        each_class, shots = self._meet(classes, told.flatten(-4, -3))
        (task, queries) = self._meet(classes.mean(dim=-3, keepdim=True), asked)
        shots = shots.reshape(told.shape)
        far = self._distances(queries, shots.mean(dim=-3)) + self._distances(task, each_class)
        return Interacted(
            -(near / 2 + far), near, told, asked, token, after, shots, queries, each_class, task.squeeze(-3)
        )

    def _meet(self, means: Tensor, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Means and clips in one attention, frame by frame. Shapes: (..., n, T, D), (..., m, T, D)."""
        tokens = torch.cat([means, clips], dim=-3).transpose(-3, -2)  # (..., T, n+m, D)
        out = self.over_task(tokens).transpose(-3, -2)
        return out[..., : means.shape[-3], :, :], out[..., means.shape[-3] :, :, :]

    def _distances(self, query: Tensor, classes: Tensor) -> Tensor:
        """OTAM from both sides. Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C)."""
        apart = 1 - damped_cosines(query.unsqueeze(-3), classes.unsqueeze(-4))
        return both_ways(apart, self.smoothing)


class GatedInteraction(Interaction):
    """CLIP-SPM's: frames and token are weighed element by element before they are added.

    Args:
        width: D.
        vision, text: widths within the gates.
        slope: of the leaky ReLU within, below 0.
        added: alpha, how much of the weighed token is added.
        arguments: of :class:`Interaction`.
    """

    def __init__(
        self, width: int, vision: int, text: int, *, slope: float, added: float, **arguments: int | float
    ) -> None:
        super().__init__(width, **arguments)  # type: ignore[arg-type]
        self.added = added
        self.gate_vision, self.gate_text = (
            nn.Sequential(
                nn.Linear(width, hidden), nn.LeakyReLU(slope), nn.Linear(hidden, width), nn.Sigmoid()
            )
            for hidden in (vision, text)
        )

    def mixed(self, frames: Tensor, token: Tensor) -> Tensor:
        """f g(f) + alpha a g(a). Shapes: (..., T, D), (..., D) -> (..., T, D)."""
        weighed = self.added * token * self.gate_text(token)
        mixed: Tensor = frames * self.gate_vision(frames) + weighed.unsqueeze(-2)
        return mixed


def squared(one: Tensor, other: Tensor) -> Tensor:
    """The mean of squared distances. Shapes: (n, ..., D) twice -> (); all but n are summed."""
    return F.mse_loss(one, other, reduction="sum") / len(one)
