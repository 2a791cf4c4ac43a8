"""Contrastive and cycle losses among the clips of a batch, of HCL."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["TEMPERATURE", "contrast", "cycle", "partners_of"]

TEMPERATURE = 0.07


def partners_of(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Every clip with every other clip of its class. Shapes: (clips,) -> numbers of clips (n,), twice."""
    same = classes.unsqueeze(0) == classes.unsqueeze(1)
    same.fill_diagonal_(False)
    clip, partner = same.nonzero(as_tuple=True)
    return clip, partner


def contrast(similarities: Tensor, classes: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Each partner against the clips of other classes, mean over clips with their partners.

    A clip's similarity with itself counts as 0, and stays in the sum as exp 0: as released. With two clips
    of each class, as released, the sum is over all clips.

    Shapes: (clips, clips), (clips,) -> ().
    """
    clip, partner = partners_of(classes)
    own = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    logits = similarities.masked_fill(own, 0) / temperature
    others = (classes.unsqueeze(0) != classes.unsqueeze(1)) | own
    rest = logits.masked_fill(~others, -torch.inf).logsumexp(dim=-1)  # (clips,)
    positive = logits[clip, partner]
    return (torch.logaddexp(positive, rest[clip]) - positive).mean()


def cycle(there: Tensor, back: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Whether each vector finds itself again by what the partner's vectors make of it.

    z_k = sum_l softmax_l(x_k . y_l) y_l has to be nearest to x_k among all x.
    Shapes: x (n, N, D), y (n, N, D) -> ().
    """
    z = (there @ back.mT).softmax(dim=-1) @ back
    logits = (z @ there.mT / temperature).flatten(0, 1)
    numbers = torch.arange(there.shape[-2], device=there.device).repeat(len(there))
    return F.cross_entropy(logits, numbers)
