"""Task-Adapter++ against the authors' released code, and against an independent reading of the paper.

Each file holds weights, inputs, outputs and gradients of one small model, with its sizes in a JSON file
beside it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from fsarctl.errors import InputError
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.methods.vectors import Arrays, Difference, largest_error, under
from fsarctl.models.backbone import Weights, build_backbone, fitting
from fsarctl.models.weights.released import ReleasedState, from_released, to_released

__all__ = ["KEYS", "differences", "golden_model"]

KEYS = frozenset({"input/support_frames", "input/query_frames", "input/tokens", "input/query_labels"})
GRADIENTS = 1e-4
"""Largest error of a gradient, of its largest entry."""


def golden_model(path: Path, arrays: Mapping[str, Tensor]) -> tuple[TaskAdapterPlusPlus, ReleasedState]:
    """The model that a golden file describes, and its weights: sizes from the arrays and the JSON beside it.

    Raises:
        InputError: the JSON is missing or incomplete, or names or shapes do not fit.
    """
    sizes = _sizes(path.with_suffix(".json"))
    for size, prefix in (("L", "weights/visual."), ("M", "weights/text.")):
        if not 0 < int(sizes[size]) <= _blocks(arrays, prefix):
            raise InputError(
                f"{size} is {sizes[size]}, and {path} has {_blocks(arrays, prefix)} such blocks",
                next_step=f"Correct {size} in {path.with_suffix('.json')}.",
            )
    state = from_released(
        under("weights/", arrays), visual_layers=int(sizes["L"]), text_layers=int(sizes["M"])
    )
    clip = state.clip
    width, patch = clip["visual.conv1.weight"].shape[0], clip["visual.conv1.weight"].shape[-1]
    configuration = {
        "embed_dim": clip["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": arrays["input/query_frames"].shape[-1],
            "layers": _blocks(clip, "visual."),
            "width": width,
            "head_width": width // int(sizes["heads"]),
            "patch_size": patch,
        },
        "text_cfg": {
            "context_length": clip["positional_embedding"].shape[0],
            "vocab_size": clip["token_embedding.weight"].shape[0],
            "width": clip["token_embedding.weight"].shape[1],
            "heads": int(sizes["theads"]),
            "layers": _blocks(clip, ""),
        },
    }
    weights = Weights(fitting(path.stem, configuration, clip, what=str(path)))
    model = TaskAdapterPlusPlus(
        build_backbone(path.stem, configuration, weights),
        visual_layers=int(sizes["L"]),
        text_layers=int(sizes["M"]),
        frames=arrays["input/query_frames"].shape[1],
        formulation=str(sizes["formulation"]),
        temporal_embedding="visual.temporal_embedding" in state.adapters,
        alignment_norm="alignment.norm.weight" in state.adapters,
    )
    model.load_adapter_state(state.adapters)
    return model, state


def differences(path: Path, arrays: Arrays) -> list[Difference]:
    """Every output and gradient of ``path`` against ours, in the file's order.

    Raises:
        InputError: the file cannot be used.
    """
    try:
        model, state = golden_model(path, arrays)
        scores = model(arrays["input/support_frames"], arrays["input/query_frames"], arrays["input/tokens"])
        loss = model.loss(scores, arrays["input/query_labels"])
    except (AssertionError, IndexError, KeyError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"the sizes in {path.with_suffix('.json')} and the arrays do not make a model:"
            f" {type(error).__name__} {error}",
            next_step="Compare them with the files in tests/golden.",
        ) from error
    torch.autograd.backward(loss)
    ours = {
        "output/support_features": scores.support_features,
        "output/query_features": scores.query_features,
        "output/prototypes": scores.prototypes,
        "output/aligned_query_features": scores.aligned_query_features,
        "output/text_features": scores.text_features,
        "output/video_scores": scores.video,
        "output/video_text_scores": scores.text,
        "output/scores": scores.score,
        "output/loss": loss,
    }
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    frozen = to_released(ReleasedState(state.clip)).keys()
    for name, gradient in to_released(ReleasedState(state.clip, gradients)).items():
        if name not in frozen:
            ours[f"grads/{name}"] = gradient
    compared = [
        name for name in arrays if name.startswith(("output/", "grads/")) and name not in NOT_COMPARED
    ]
    compared += sorted(ours.keys() - arrays.keys())
    return [
        Difference(
            name,
            largest_error(ours.get(name), arrays.get(name)),
            GRADIENTS if name.startswith("grads/") else Difference.tolerance,
        )
        for name in compared
    ]


# The loss with the released code's transposed text score, which fsarctl computes nowhere.
NOT_COMPARED = {"output/loss_as_released": "the transposed product is no part of fsarctl"}

SIZES = ("heads", "theads", "L", "M", "formulation")


def _sizes(path: Path) -> dict[str, str | int]:
    try:
        sizes: dict[str, str | int] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", next_step="Put it beside the .npz file."
        ) from error
    if not isinstance(sizes, dict):
        raise InputError(f"{path} is no JSON object", next_step="See tests/golden for complete ones.")
    missing = [name for name in SIZES if name not in sizes]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}", next_step="See tests/golden for complete ones."
        )
    return sizes


def _blocks(clip: Mapping[str, Tensor], prefix: str) -> int:
    start, end = f"{prefix}transformer.resblocks.", ".ln_1.weight"
    return sum(name.startswith(start) and name.endswith(end) for name in clip)
