"""The clips of a support set scored without themselves, and without their classes.

What tells from the support set alone how high the best score of a clip is whose class is there, and of one
whose class is not. Features are those of the whole set.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fsarctl.methods.protocol import FewShotMethod

__all__ = ["balanced", "best_logit", "left_out_logits"]


@torch.inference_mode()
def left_out_logits(
    model: FewShotMethod,
    features: Tensor,
    classes: Sequence[int],
    text: Tensor | None,
    queries: Sequence[Tensor],
    chosen: Sequence[int],
    groups: Sequence[str] | None = None,
) -> tuple[list[float], list[float]]:
    """Best logits of the ``chosen`` clips of a support set: without themselves, and without their classes.

    Neither clips of their own groups have a part in these. Shapes: features (clips, T, embed), text
    (way, prompts, embed); ``queries``: each chosen clip as a query, (1, ...).
    """
    there: list[float] = []
    gone: list[float] = []
    for number, query in zip(chosen, queries, strict=True):
        own = groups[number] if groups else ""
        left = [
            other
            for other in range(len(classes))
            if other != number and not (own and groups and groups[other] == own)
        ]
        others = [other for other in left if classes[other] != classes[number]]
        if len(others) < len(left):
            there.append(best_logit(model, features, classes, text, query, left))
        if others:
            gone.append(best_logit(model, features, classes, text, query, others))
    return there, gone


def best_logit(
    model: FewShotMethod,
    features: Tensor,
    classes: Sequence[int],
    text: Tensor | None,
    query: Tensor,
    left: Sequence[int],
) -> float:
    """The highest logit of a query against the classes of some clips."""
    rows = sorted({classes[each] for each in left})
    chosen = balanced(left, classes) if model.needs_equal_shots else list(left)
    shots = features[chosen]
    if not model.needs_equal_shots:  # prototypes
        place = {row: number for number, row in enumerate(rows)}
        own = torch.tensor([place[classes[each]] for each in chosen], device=features.device)
        sums = features.new_zeros(len(rows), *features.shape[1:]).index_add_(0, own, shots)
        shots = sums / torch.bincount(own).view(-1, *[1] * (sums.dim() - 1))
    scores = model.score_features(
        shots if model.needs_support else None,
        query,
        None if text is None else text[rows],
        way=len(rows),
        query_mode="independent",
    )
    return model.logit_scale * float(scores.score.max())


def balanced(numbers: Sequence[int], classes: Sequence[int]) -> list[int]:
    """The first clips of each class, as many of each as of the one with the fewest, class-major."""
    of_class: dict[int, list[int]] = {}
    for each in numbers:
        of_class.setdefault(classes[each], []).append(each)
    fewest = min(map(len, of_class.values()), default=0)
    return [each for label in sorted(of_class) for each in of_class[label][:fewest]]
