"""HyRSM++ against vectors: logits of both forms, the classifier of frames, coherence, and the losses."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from fsarctl.methods.hyrsm.hybrid_relation import set_distances
from fsarctl.methods.hyrsm.method import frame_loss
from fsarctl.methods.hyrsm.parity import FORMS, filled
from fsarctl.methods.hyrsm_plus_plus.method import Options, incoherence
from fsarctl.methods.hyrsm_plus_plus.temporal_coherence import coherence_weights
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, under

__all__ = ["KEYS", "differences"]

SETTINGS = "setting_"
INPUTS = frozenset(
    {"support", "support_labels", "query", "query_labels", "base_labels", "heads", "A", "B", "loss_weights"}
)
KEYS = frozenset({"logits_1shot_form", "class_logits", "loss_weights"})


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of HyRSM++ against ours."""
    relation = filled(arrays, within="w.temporal_atte_before.", across="w.temporal_atte.", fuse="w.layer2.0.")
    weights = under("w.classification_layer.", arrays)
    base, width = weights["weight"].shape
    classifier = nn.Linear(width, base)
    fill(classifier, weights)
    frame_weight, coherence_weight = arrays["loss_weights"].tolist()
    labels, targets = arrays["support_labels"], arrays["query_labels"].long()
    clips, query = relation.within_video(arrays["support"]), relation.within_video(arrays["query"])
    shots = by_class(class_major(clips, labels), len(set(labels.tolist())))
    every = torch.cat([clips, query])
    ours = {"class_logits": classifier(every).flatten(0, 1)}
    of_frames = frame_loss(classifier, every, arrays["base_labels"].long())
    for name, form in FORMS.items():
        related = relation.across_task(shots, query, form)
        logits = -set_distances(related)
        ours[f"logits_{name}_form"] = logits
        for letter, (window, sigma, balance) in _settings(arrays).items():
            ours[f"weights_{letter}"] = coherence_weights(query.shape[-2], int(window), sigma)
            for ending, share in (("", balance), ("_unbalanced", 1.0)):
                options = Options(window=int(window), sigma=sigma, balance=share)
                unrest = incoherence(related, options)
                ours[f"coherence_{name}_{letter}{ending}"] = unrest
                ours[f"loss_{name}_{letter}{ending}"] = (
                    F.cross_entropy(logits, targets) + frame_weight * of_frames + coherence_weight * unrest
                )
    return compare(arrays, ours, inputs=INPUTS | {name for name in arrays if name.startswith(SETTINGS)})


def _settings(arrays: Arrays) -> dict[str, list[float]]:
    return {name: each.tolist() for name, each in under(SETTINGS, arrays).items()}
