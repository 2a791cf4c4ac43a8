"""Adapters of a file that no training here made: a released checkpoint, or another fsarctl project's."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from fsarctl.config.model_table import WITHOUT_ADAPTERS, ModelConfig
from fsarctl.errors import ConfigError, FsarctlError, InputError
from fsarctl.methods.protocol import FewShotMethod, WeightsFile
from fsarctl.models.strategies import STRATEGIES
from fsarctl.models.weights.layouts import NO_WEIGHT, arrange
from fsarctl.models.weights.released import VISUAL_ADAPTERS, from_released
from fsarctl.models.weights.weight_file import read_weights, require_finite
from fsarctl.progress import first_of

__all__ = ["load_adapter_file"]

OURS = r"(?:visual|semantic)\.adapters\.(?P<block>\d{1,4})\.(?:(?P<kind>temporal|spatial|task|joint)\.)?"
RELEASED = rf"(?:.+\.)?resblocks\.(?P<block>\d{{1,4}})\.(?P<kind>{'|'.join(VISUAL_ADAPTERS)}|sub3_adapter)\."
HALF = 1e-3
"""What rounding to half precision may change, relative to a number."""


def load_adapter_file(model: FewShotMethod, path: Path, config: ModelConfig) -> WeightsFile:
    """Replaces everything trainable of ``model``, and its frozen weights where the file has its own.

    Raises:
        ConfigError: the settings make a model without adapters.
        InputError: the file holds no adapters, or those of another model; what is in it is said.
    """
    found = read_weights(path)
    state = {name: tensor for name, tensor in found.state.items() if not NO_WEIGHT.search(name)}
    released = any(re.match(RELEASED, name) for name in state)
    if not released and not any(re.match(OURS, name) for name in state):
        raise InputError(
            f"{path} holds no adapters: it holds {first_of(sorted(state), 3)}",
            next_step="Name adapters.safetensors of a train artifact, or a released checkpoint.",
        )
    require_finite(state, path)
    held = _contents(state)
    if config.strategy in WITHOUT_ADAPTERS:
        raise ConfigError(
            f'{path} holds {held}, and model.strategy is "{config.trained_name}", which has none of them',
            next_step='Add: --set model.strategy="task-adapter++" (or what they were trained with).',
        )
    remarks = list(found.remarks)
    try:
        if released:
            remarks += _load_released(model, state, path, config)
        else:
            model.load_adapter_state(state)
            remarks.append(f"that the adapters of {path.name} were trained on these weights is not known")
    except FsarctlError as error:
        raise InputError(
            f"{path} holds {held}; with these settings {error.message}",
            next_step="Set model.strategy, visual_layers, text_layers, backbone and formulation to those that"
            " it was trained with; extract.frames too, where it has a temporal embedding.",
        ) from error
    return WeightsFile("released" if released else "fsarctl", tuple(remarks))


def _contents(state: Mapping[str, Tensor]) -> str:
    """The adapters of a state dict, in words."""
    visual: dict[str, set[int]] = {}
    text: set[int] = set()
    for name in state:
        ours, theirs = re.match(OURS, name), re.match(RELEASED, name)
        if ours and ours["kind"]:
            visual.setdefault(ours["kind"], set()).add(int(ours["block"]))
        elif theirs and theirs["kind"] in VISUAL_ADAPTERS:
            visual.setdefault(VISUAL_ADAPTERS[theirs["kind"]], set()).add(int(theirs["block"]))
        elif ours or theirs:
            text.add(int((ours or theirs)["block"]))  # type: ignore[index]
    kinds = [kind for kind in STRATEGIES["task-adapter++"] if kind in visual]
    blocks = sorted({block for each in visual.values() for block in each})
    parts = [f"{', '.join(kinds)} adapters in visual blocks {_spans(blocks)}"] if kinds else []
    parts += [f"order adapters in text blocks {_spans(sorted(text))}"] if text else []
    parts += ["a temporal embedding"] if any(name.endswith("temporal_embedding") for name in state) else []
    return " and ".join(parts)


def _load_released(
    model: FewShotMethod, state: Mapping[str, Tensor], path: Path, config: ModelConfig
) -> list[str]:
    if "bottom" in (config.visual_position, config.text_position):
        raise InputError("adapters sit in the bottom blocks, where released code has none")
    backbone = model.backbone
    layers = {
        "visual_layers": backbone.visual_blocks if config.visual_position == "all" else config.visual_layers,
        "text_layers": backbone.text_blocks if config.text_position == "all" else config.text_layers,
    }
    sorted_out = from_released(state, **layers)
    wanted = backbone.clip.state_dict()
    frozen = arrange(sorted_out.clip, wanted, what=path.name, of=f"backbone {backbone.name}")
    model.load_adapter_state(sorted_out.adapters)
    other = [name for name, tensor in frozen.items() if not _alike(tensor, wanted[name].cpu())]
    with torch.no_grad():
        backbone.clip.load_state_dict(frozen)
    if not other:
        return []
    return [
        f"the backbone in {path.name} is not that of model.weights ({len(other)} of {len(frozen)} tensors"
        f" differ, {other[0]} first); the one in the file is evaluated"
    ]


def _alike(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are the same but for rounding to half precision."""
    return torch.allclose(first, second.float(), rtol=HALF, atol=1e-5)


def _spans(numbers: Iterable[int]) -> str:
    """Numbers in order, neighbours joined: 0-1, 4."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(str(each[0]) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in spans)
