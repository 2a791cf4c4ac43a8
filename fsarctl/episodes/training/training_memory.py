"""How much memory a training episode needs, and in how many parts its clips go through the backbone.

What autograd keeps for the backward pass is counted on one clip; where all clips of an episode would not
fit, they are computed in parts whose inside is computed again when its gradient is due. The sums are the same
sums, so this changes no more of a result than another device does. What draws within a clip's features, as
dropout there does, would draw otherwise in parts, and so stays whole.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fsarctl.methods.protocol import FewShotMethod

__all__ = ["Need", "draws_for_clips", "free_memory", "measure", "saved_bytes", "videos_in_parts"]

HEADROOM = 0.8
"""The share of the free memory that is counted on: allocators and kernels need some for themselves."""


@dataclass(frozen=True)
class Need:
    """Bytes that training needs at once, beside the model itself."""

    clips: int
    """Support and query videos of an episode."""
    clip: int
    """What autograd keeps of one of them."""
    state: int
    """Gradients, and what the optimiser remembers."""

    @property
    def whole(self) -> int:
        """With all clips at once."""
        return self.state + self.clips * self.clip

    def clips_at_once(self, free: int) -> int:
        """How many clips of an episode fit at once, at least one; 0 means all."""
        room = HEADROOM * free
        if self.whole <= room or self.clip == 0:
            return 0
        return max(1, int((room - self.state) // self.clip))


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on ``device``."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def saved_bytes(compute: Callable[[], object], there: Iterable[Tensor] = ()) -> int:
    """What autograd keeps of ``compute`` for its backward pass, bytes; each piece of memory once.

    ``there``: what is in memory anyway, such as weights.
    """
    kept: dict[int, int] = {}
    known = {each.untyped_storage().data_ptr() for each in there}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held = compute()  # else its memory is used again, and counted once
    del held
    return sum(kept.values())


def measure(model: FewShotMethod, clip: Tensor, clips: int, moments: int) -> Need:
    """What training on episodes of ``clips`` videos needs.

    Args:
        clip: normalised frames of one, (T, 3, H, W), on the model's device.
        moments: how many numbers the optimiser remembers of each parameter.
    """
    trained = sum(each.numel() * each.element_size() for each in model.trainable_parameters())
    mode = model.training
    model.eval()  # what is only looked at must not move running statistics
    try:
        kept = saved_bytes(lambda: model.video(clip[None]), [*model.parameters(), clip])
    finally:
        model.train(mode)
    return Need(clips, kept, trained * (1 + moments))


@torch.no_grad()
def draws_for_clips(model: FewShotMethod, clip: Tensor) -> bool:
    """Whether what a clip gives by itself is drawn in part, as dropout there does while training.

    Shapes: normalised frames of one clip, (T, 3, H, W).
    """
    on_gpu = clip.device.type == "cuda"

    def state() -> Tensor:
        return torch.cuda.get_rng_state(clip.device) if on_gpu else torch.get_rng_state()

    with torch.random.fork_rng([clip.device] if on_gpu else []):
        before = state()
        model.video(clip[None])
        return not torch.equal(before, state())


def videos_in_parts(model: FewShotMethod, frames: Tensor, at_once: int) -> Tensor:
    """``model.video`` of normalised frames (videos, T, 3, H, W), ``at_once`` videos at a time; 0: all."""
    if not at_once or at_once >= len(frames):
        return model.video(frames)
    parts = [checkpoint(model.video, part, use_reentrant=False) for part in torch.split(frames, at_once)]
    return torch.cat([part for part in parts if isinstance(part, Tensor)])
