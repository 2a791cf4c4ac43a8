"""CLIP-MEI against vectors: motion, clips told by text and task, distances, logits and losses."""

from pathlib import Path

from torch import Tensor

from fsarctl.methods.clip_mei.interaction import Interacted, Interaction
from fsarctl.methods.clip_mei.method import told_apart
from fsarctl.methods.protocol import by_class
from fsarctl.methods.vectors import Arrays, Difference, class_major, compare, fill, under

__all__ = ["KEYS", "INPUTS", "differences", "outputs", "weights_of"]

INPUTS = frozenset({"support", "query", "support_labels", "query_labels", "text", "heads"})
KEYS = frozenset({"loss_consistency", "class_task", "query_semantic"})
NAMES = {
    "context1.layers.0.0.norm.": "over_task.norm.",
    "context1.layers.0.0.fn.": "over_task.",
    "context1.layers.0.1.net.": "over_task.feed_forward.",
    "context2.layers.0.0.norm.": "over_frames.norm.",
    "context2.layers.0.0.fn.": "over_frames.",
    "context2.layers.0.1.net.": "over_frames.feed_forward.",
    "token_tr.mlp.net.": "to_token.",
    "motion_conv1.": "motion.0.",
    "motion_conv2.": "motion.1.",
    "mo_alpha1": "motion_weight",
}


def differences(path: Path, arrays: Arrays) -> list[Difference]:  # noqa: ARG001
    """Every output of a file of CLIP-MEI against ours."""
    weights = weights_of(arrays)
    heads = int(arrays["heads"])
    inner, width = weights["over_task.to_q.weight"].shape
    hidden = weights["to_token.0.weight"].shape[0]
    interaction = Interaction(width, heads, inner // heads, hidden).eval()
    fill(interaction, weights)
    texts, labels = arrays["text"], arrays["query_labels"].long()
    told = texts[labels]
    ours, found = outputs(interaction, arrays, told.mean(dim=0), told[0])
    consistency, text = told_apart(
        interaction, arrays["query"], told, found.query, found.token, found.token_told
    )
    ours |= {"loss_consistency": consistency, "loss_text": text}
    ours["loss_extra"] = consistency + text + ours["loss_extra"]
    return compare(arrays, ours, inputs=INPUTS)


def weights_of(arrays: Arrays) -> dict[str, Tensor]:
    """A file's weights under the names of :class:`Interaction`."""
    found = {}
    for name, each in under("w.", arrays).items():
        theirs = next((start for start in NAMES if name.startswith(start)), "")
        own = NAMES.get(theirs, "") + name.removeprefix(theirs)
        found[own] = each.squeeze() if own == "motion_weight" else each
    return found


def outputs(
    interaction: Interaction, arrays: Arrays, known: Tensor, known_alone: Tensor
) -> tuple[dict[str, Tensor], Interacted]:
    """What CLIP-MEI and CLIP-SPM have in common; ``loss_extra`` is that of motion alone.

    ``known``: the mean text that all queries are told by, and that the first one is, alone.
    """
    support, query, texts, labels = (arrays[name] for name in ("support", "query", "text", "support_labels"))
    shots = by_class(class_major(support, labels), len(texts))
    found = interaction(shots, query, texts, known)
    alone = interaction(shots, query[:1], texts, known_alone)
    stored = labels.argsort(stable=True).argsort()
    motion = interaction.motion_loss(support) + interaction.motion_loss(query)
    return {
        "motion_support": interaction.moved(support),
        "support_semantic": found.support.flatten(0, 1)[stored],
        "query_semantic": found.query,
        "class_distance": found.class_distance,
        "support_task": found.support_task.flatten(0, 1)[stored],
        "query_task": found.query_task,
        "class_task": found.class_task,
        "task_token": found.task.unsqueeze(0),
        "logits": found.logits,
        "logits_first_query_alone": alone.logits,
        "loss_motion": motion,
        "loss_extra": (interaction.motion_weight * motion).unsqueeze(0),
    }, found
