"""Visual branch: CLIP's frozen ViT with Task-Adapters in some of its blocks (section 3.4, Eq. 6-9)."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from fsarctl.models.attention import attend, attend_projected, flop_of, frozen_block, projected
from fsarctl.models.bottleneck_adapter import Adapter
from fsarctl.models.precision import computing
from fsarctl.models.strategies import STRATEGIES, VISUAL_STEPS

__all__ = ["BlockAdapters", "VisualBranch", "embed_frames"]


class VisualBranch(nn.Module):
    """From frames to one feature per frame, aware of time and of the other videos of the same set.

    A *set* is the videos that may look at each other in Task-MSA: an episode's support videos, its
    query videos, or one query alone. Sets never see each other.

    Args:
        vit: open_clip's ViT (untyped there), already frozen.
        blocks: numbers of the blocks that carry adapters; none is CLIP itself.
        kinds: which adapters each of them carries.
        steps: the order of a block's attentions, a value of ``VISUAL_STEPS``.
        frames: T, needed by the temporal embedding alone.
        temporal_embedding: a learned offset for each frame, zero at the start, added before ``ln_pre``.
        zero_task: the Task-MSA adapter starts as nothing, like the others.
        precision: of all blocks; features are projected in float32 and are float32.
        generator: of the adapters' random start.
    """

    def __init__(
        self,
        vit: Any,
        *,
        blocks: Collection[int],
        frames: int,
        kinds: Collection[str] = STRATEGIES["task-adapter"],
        steps: tuple[str, ...] = VISUAL_STEPS["after"],
        temporal_embedding: bool = False,
        zero_task: bool = True,
        precision: str = "float32",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.vit = vit
        self.precision = precision
        width = vit.conv1.out_channels
        self.last = len(vit.transformer.resblocks) - 1
        # Of the last block only the class token is needed, so without adapters it is not in the prefix.
        self.first_adapted = min(blocks, default=self.last)
        self.sees_sets = bool(blocks) and "task" in kinds
        """Whether a video's features depend on the other videos of its set."""
        self.sees_time = bool(blocks) and "temporal" in kinds
        """Whether a frame's features depend on the other frames of its video."""
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, width)) if temporal_embedding else None
        # Keyed by the block's own number, so that a state saved with another L cannot be mistaken.
        self.adapters = nn.ModuleDict(
            {
                str(i): BlockAdapters(width, kinds, steps, zero_task=zero_task, generator=generator)
                for i in blocks
            }
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Features of the videos of one set, or of many sets at once.

        Shapes: (..., videos, T, 3, H, W) -> (..., videos, T, embed).
        """
        return self.together(self.video(frames))

    def video(self, frames: Tensor) -> Tensor:
        """All that depends on one video alone: :meth:`prefix`, then :meth:`alone`.

        Shapes: (..., T, 3, H, W) -> as :meth:`alone`.
        """
        return self.alone(self.prefix(frames))

    @property
    def prefix_is_constant(self) -> bool:
        """Whether training leaves what :meth:`prefix` gives as it is."""
        return self.temporal_embedding is None and not self.vit.conv1.weight.requires_grad

    @property
    def frame_flop(self) -> int:
        """About how many floating-point operations :meth:`prefix` takes of a frame."""
        return flop_of(
            self.vit.transformer.resblocks[: self.first_adapted], len(self.vit.positional_embedding)
        )

    def prefix(self, frames: Tensor) -> Tensor:
        """Tokens after the frozen blocks below the first adapted one: a constant of each frame.

        Unless something here is trained (:attr:`prefix_is_constant`), autograd keeps no activation.

        Shapes: (..., T, 3, H, W) -> (..., T, N+1, width), the class token first.
        """
        vit = self.vit
        with computing(self.precision, frames.device):
            x = embed_frames(vit, frames)  # (..., T, N+1, width)
            if self.temporal_embedding is not None:
                x = x + self.temporal_embedding.unsqueeze(-2)
            tokens: Tensor = vit.ln_pre(x)
            for block in vit.transformer.resblocks[: self.first_adapted]:
                tokens = frozen_block(block, tokens)
        return tokens

    def alone(self, tokens: Tensor) -> Tensor:
        """What follows :meth:`prefix` up to where the videos of a set first look at each other.

        That is the first Task-MSA; a branch without any is finished here.

        Shapes: (..., T, N+1, width) -> the same, with the class token alone once nothing else is read
        (..., T, 1, width), or features (..., T, embed) without Task-MSA.
        """
        return self._alone(tokens, None)

    def _alone(self, tokens: Tensor, over_time: Tensor | None) -> Tensor:
        """``over_time``: what the first T-MSA's projection makes of the tokens, where that is known."""
        if not self.sees_sets:
            return self._features(self._blocks(tokens, self.first_adapted, over_time))
        block, adapters = self._adapted_block(self.first_adapted)
        class_only = self.first_adapted == self.last
        with computing(self.precision, tokens.device):
            return adapters.alone(block, tokens, class_only=class_only, over_time=over_time)

    def together(self, videos: Tensor) -> Tensor:
        """The rest, ``ln_post`` and the projection included, on what :meth:`alone` gave.

        The axis of videos is the set: give ``videos.unsqueeze(...)`` for videos that are sets of one.

        Shapes: (..., videos, T, n, width) -> (..., videos, T, embed).
        """
        if not self.sees_sets:
            return videos
        block, adapters = self._adapted_block(self.first_adapted)
        with computing(self.precision, videos.device):
            x = adapters.together(block, videos, class_only=self.first_adapted == self.last)
        return self._features(self._blocks(x, self.first_adapted + 1))

    @property
    def shares_frames(self) -> bool:
        """Whether anything depends on one frame alone, wherever in its video it stands."""
        return self.temporal_embedding is None

    def each_frame(self, frames: Tensor) -> Tensor:
        """What depends on one frame alone: :meth:`prefix`, and all of :meth:`alone` without any T-MSA.

        Where the first adapted block begins with T-MSA, its queries, keys and values stand beside the tokens.

        Shapes: (frames, 3, H, W) -> (frames, ...).
        """
        tokens = self.prefix(frames)  # (frames, N+1, width)
        if not self.sees_time:
            return self.alone(tokens.unsqueeze(-3)).squeeze(1)
        block, adapters = self._adapted_block(self.first_adapted)
        if not adapters.begins_with_time:
            return tokens
        with computing(self.precision, frames.device):
            return torch.cat([tokens, projected(block.attn, block.ln_1(tokens))], dim=-1)

    def from_frames(self, each: Tensor) -> Tensor:
        """:meth:`video`, from what :meth:`each_frame` gave. Shapes: (..., T, ...) -> as :meth:`alone`."""
        if not self.sees_time:
            return each
        width = self.vit.conv1.out_channels
        return self._alone(each[..., :width], each[..., width:] if each.shape[-1] > width else None)

    def _blocks(self, x: Tensor, first: int, over_time: Tensor | None = None) -> Tensor:
        with computing(self.precision, x.device):
            for i in range(first, self.last + 1):
                # After the last S-MSA nothing but the class token is read, so nothing else is computed.
                class_only = i == self.last
                if str(i) in self.adapters:
                    block, adapters = self._adapted_block(i)
                    x = adapters(block, x, class_only=class_only, over_time=over_time if i == first else None)
                else:
                    x = frozen_block(self.vit.transformer.resblocks[i], x, class_only=class_only)
        return x

    def _adapted_block(self, number: int) -> tuple[Any, "BlockAdapters"]:
        adapters = self.adapters[str(number)]
        assert isinstance(adapters, BlockAdapters)
        return self.vit.transformer.resblocks[number], adapters

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.vit.ln_post(x[..., 0, :]) @ self.vit.proj
        return features


def embed_frames(vit: Any, frames: Tensor, class_token: Tensor | None = None) -> Tensor:
    """What goes into ``ln_pre``: the patches, after the class token (or another), each at its place.

    Shapes: (..., 3, H, W) -> (..., N+1, width).
    """
    x = vit.conv1(frames.reshape(-1, *frames.shape[-3:])).flatten(2).transpose(1, 2)  # (frames, N, width)
    token = vit.class_embedding if class_token is None else class_token
    classes = token.expand(x.shape[0], 1, -1)
    x = torch.cat([classes, x], dim=1) + vit.positional_embedding  # (frames, N+1, width)
    embedded: Tensor = x.view(*frames.shape[:-3], *x.shape[1:])
    return embedded


AXES = {"temporal": -3, "task": -4}
"""What T-MSA and Task-MSA attend over, in (..., videos, T, tokens, width): frames (Eq. 6), videos (Eq. 8)."""


class BlockAdapters(nn.Module):
    """The adapters of one block, and the block with them (Eq. 6-9); attention and LN1 are reused.

    An attention whose adapter is missing is left out; S-MSA, which is the block's own, is then plain.

    Args:
        width: of the block.
        kinds: which adapters.
        steps: the order of the attentions.
        zero_task: see :class:`VisualBranch`.
        generator: of the adapters' random start.
        hidden: of the adapters; a quarter of the width by default.
        two_temporal: another adapter before T-MSA, as AIM has for motion.
        joint_scale: the joint adapter's output is multiplied by this.
    """

    def __init__(
        self,
        width: int,
        kinds: Collection[str],
        steps: tuple[str, ...],
        *,
        zero_task: bool = True,
        generator: torch.Generator | None = None,
        hidden: int | None = None,
        two_temporal: bool = False,
        joint_scale: float = 1.0,
    ) -> None:
        super().__init__()

        def adapter(kind: str, *, skip: bool = False, zero: bool = True) -> Adapter | None:
            if kind not in kinds:
                return None
            return Adapter(width, hidden=hidden, skip=skip, zero=zero, generator=generator)

        self.before_temporal = adapter("temporal", skip=True) if two_temporal else None
        self.joint_scale = joint_scale
        self.temporal = adapter("temporal")
        self.spatial = adapter("spatial", skip=True)
        self.task = adapter("task", zero=zero_task)
        self.joint = adapter("joint")
        present = [step for step in steps if step == "spatial" or step in kinds]
        # Up to Task-MSA a video depends on itself alone.
        first = present.index("task") if "task" in present else len(present)
        self.steps_alone, self.steps_together = present[:first], present[first:]

    @property
    def begins_with_time(self) -> bool:
        """Whether T-MSA comes first, and reads the block's own normalised tokens."""
        return [*self.steps_alone, *self.steps_together][0] == "temporal" and self.before_temporal is None

    def forward(
        self, block: Any, x: Tensor, *, class_only: bool = False, over_time: Tensor | None = None
    ) -> Tensor:
        """The whole block.

        Shapes: (..., videos, T, N+1, width) -> the same, or (..., videos, T, 1, width) with ``class_only``.
        """
        alone = self.alone(block, x, class_only=class_only, over_time=over_time)
        return self.together(block, alone, class_only=class_only)

    def alone(
        self, block: Any, x: Tensor, *, class_only: bool = False, over_time: Tensor | None = None
    ) -> Tensor:
        """The attentions before Task-MSA, by default T-MSA and S-MSA: what depends on one video alone.

        ``over_time``: what ``projected`` makes of the tokens, where T-MSA comes first and that is known.

        Shapes: (..., T, N+1, width) -> the same, or (..., T, 1, width) with ``class_only`` after S-MSA.
        """
        steps = self.steps_alone
        if over_time is not None:
            attended = attend_projected(block.attn, over_time.movedim(AXES["temporal"], -2))
            x = x + self.get_submodule("temporal")(attended).movedim(-2, AXES["temporal"])
            steps = steps[1:]
        return self._attentions(steps, block, x, class_only=class_only)

    def together(self, block: Any, x: Tensor, *, class_only: bool = False) -> Tensor:
        """Task-MSA, what comes after it, and the MLP (Eq. 9): where the videos of a set look at each other.

        Shapes: (..., videos, T, n, width) -> the same, or (..., videos, T, 1, width) with ``class_only``.
        """
        x = self._attentions(self.steps_together, block, x, class_only=class_only)
        y = block.ln_2(x)
        change: Tensor = block.mlp(y)
        if self.joint is not None:
            change = change + self.joint_scale * self.joint(y)
        return x + change

    def _attentions(self, steps: Collection[str], block: Any, x: Tensor, *, class_only: bool) -> Tensor:
        for step in steps:
            if step == "spatial":
                x = self._spatial(block, x, class_only=class_only)
            else:
                y = block.ln_1(x)
                if step == "temporal" and self.before_temporal is not None:
                    y = self.before_temporal(y)
                attended = attend(block.attn, y.movedim(AXES[step], -2))
                x = x + self.get_submodule(step)(attended).movedim(-2, AXES[step])
        return x

    def _spatial(self, block: Any, x: Tensor, *, class_only: bool) -> Tensor:
        """S-MSA (Eq. 7)."""
        y = block.ln_1(x)
        if class_only:
            x = x[..., :1, :]
            attended = attend(block.attn, y, queries=y[..., :1, :])
        else:
            attended = attend(block.attn, y)
        return x + (attended if self.spatial is None else self.spatial(attended))
