"""``python -m fsarctl.methods.parity FILE.npz ...``: is this the released code's function, and the paper's?

Each file holds weights, inputs, outputs and gradients of one small model, with its sizes in a JSON file
beside it. Every output and gradient is computed here and compared, relative to the tensor's largest entry.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from fsarctl.errors import FsarctlError, InputError
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.models.backbone import Weights, build_backbone, fitting
from fsarctl.models.released import ReleasedState, from_released, to_released

__all__ = ["TOLERANCES", "Difference", "differences", "golden_model", "read_arrays"]

TOLERANCES = {"output": 1e-5, "grads": 1e-4}
"""Largest difference allowed, relative to the largest entry of the expected tensor, float32."""


@dataclass(frozen=True)
class Difference:
    """How far one tensor is from what was expected."""

    name: str
    """As in the file: ``output/scores``, ``grads/visual...``."""
    relative: float
    """Largest absolute difference over the largest absolute entry expected; infinite if either is missing."""

    @property
    def passes(self) -> bool:
        """Within the tolerance of its kind."""
        return self.relative <= TOLERANCES[self.name.split("/")[0]]


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Every array of a golden file, by name.

    Raises:
        InputError: no such file, or it is not one.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}", next_step="Give a golden .npz file.") from error
    missing = [name for name in INPUTS if name not in found]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}", next_step="Give a golden .npz file.")
    # The model computes in float32, whatever the file was computed in.
    return {name: each.float() if each.is_floating_point() else each for name, each in found.items()}


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
        _under("weights/", arrays), visual_layers=int(sizes["L"]), text_layers=int(sizes["M"])
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


def differences(path: Path) -> list[Difference]:
    """Every output and gradient of ``path`` against ours, in the file's order.

    Raises:
        InputError: the file cannot be used.
    """
    arrays = read_arrays(path)
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
        name for name in arrays if name.startswith(("output/", "grads/")) and name not in OTHER_OUTPUTS
    ]
    compared += sorted(ours.keys() - arrays.keys())
    return [Difference(name, _relative(ours.get(name), arrays.get(name))) for name in compared]


# The loss with the released code's transposed text score, which fsarctl computes nowhere.
OTHER_OUTPUTS = ("output/loss_as_released",)
INPUTS = ("input/support_frames", "input/query_frames", "input/tokens", "input/query_labels")

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


def _under(prefix: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _blocks(clip: Mapping[str, Tensor], prefix: str) -> int:
    start, end = f"{prefix}transformer.resblocks.", ".ln_1.weight"
    return sum(name.startswith(start) and name.endswith(end) for name in clip)


def _relative(ours: Tensor | None, expected: Tensor | None) -> float:
    if ours is None or expected is None or ours.shape != expected.shape:
        return float("inf")
    difference = (ours.detach().double() - expected.double()).abs().max().item()
    return difference / (expected.double().abs().max().item() or 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; the exit code is 0 if every tensor of every file is within its tolerance."""
    parser = argparse.ArgumentParser(prog="python -m fsarctl.methods.parity", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    failed = unusable = 0
    for path in parser.parse_args(arguments).files:
        try:
            rows = differences(path)
        except FsarctlError as error:
            print(f"{error.message}\n{error.next_step}", file=sys.stderr)
            unusable = error.exit_code
            continue
        width = max(len(row.name) for row in rows)
        print(f"{path.name}\n  {'tensor':<{width}}  largest relative error")
        for row in rows:
            print(f"  {row.name:<{width}}  {row.relative:8.1e}{'' if row.passes else '  FAILS'}")
        for name in OTHER_OUTPUTS:
            print(f"  {name} is not compared: the transposed product is no part of fsarctl")
        failures = sum(not row.passes for row in rows)
        print(f"  {len(rows) - failures} of {len(rows)} within tolerance\n")
        failed += failures
    return unusable or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
