"""OTAM against vectors: distances, costs of either smoothing, logits, loss and its gradient."""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from fsarctl.methods.frame_matching import MatchingOptions, matching_costs
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare
from fsarctl.models.metrics.cosines import damped_cosines
from fsarctl.models.metrics.otam import both_ways, soft_path_cost

__all__ = ["KEYS", "differences"]

INPUTS = frozenset({"support", "support_labels", "query", "query_labels", "rect", "hard"})
KEYS = frozenset({"distances", "cost_q2s_01", "total_05", "logits_05_class_mean"})
LAMBDAS = {"01": 0.1, "05": 0.5}


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of OTAM against ours."""
    support = arrays["support"].clone().requires_grad_(True)
    query, labels = arrays["query"], arrays["support_labels"]
    distances = 1 - damped_cosines(query.unsqueeze(-3), support.unsqueeze(-4))
    ours = {"distances": distances, "hard_cost_05": soft_path_cost(arrays["hard"], 0.5)}
    shots = by_class(class_major(support, labels), len(set(labels.tolist())))
    for name, smoothing in LAMBDAS.items():
        ours[f"cost_q2s_{name}"] = soft_path_cost(distances, smoothing)
        ours[f"total_{name}"] = both_ways(distances, smoothing)
        ours[f"rect_cost_{name}"] = soft_path_cost(arrays["rect"], smoothing)
        cost = partial(both_ways, smoothing=smoothing)
        ours[f"logits_{name}"] = -matching_costs(query, shots, MatchingOptions(), cost)
    means = MatchingOptions(shots="class_mean")
    ours["logits_05_class_mean"] = -matching_costs(query, shots, means, partial(both_ways, smoothing=0.5))
    ours["loss_01"] = F.cross_entropy(ours["logits_01"], arrays["query_labels"].long())
    (ours["grad_support_01"],) = torch.autograd.grad(ours["loss_01"], support)
    return compare(arrays, ours, inputs=INPUTS)
