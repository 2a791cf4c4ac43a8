"""State dicts in the layout of the authors' released code, mapped to open_clip's names and ours, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["ReleasedState", "from_released", "to_released"]


@dataclass(frozen=True)
class ReleasedState:
    """One released state dict, sorted by what fsarctl does with each tensor."""

    clip: dict[str, Tensor] = field(default_factory=dict)
    """Frozen weights under open_clip's names."""
    adapters: dict[str, Tensor] = field(default_factory=dict)
    """Trainable weights under the names of ``TaskAdapterPlusPlus.adapter_state``."""
    unused: dict[str, Tensor] = field(default_factory=dict)
    """Adapters of blocks that are not adapted, under released names: that code makes and ignores them."""


def from_released(state: Mapping[str, Tensor], *, visual_layers: int, text_layers: int) -> ReleasedState:
    """Sorts and renames a released state dict, for a model with that many adapted blocks at the top.

    Names may carry what the released code's wrappers leave before them (``feature.module.``).

    Raises:
        InputError: a name is unknown, or one that a model of this depth needs is missing.
    """
    plain = {_plain_name(name): tensor.float() for name, tensor in state.items()}
    visual, text = _blocks(plain, "visual"), _blocks(plain, "text")
    clip_names = _clip_names(visual, text)
    adapter_names = _adapter_names(range(visual - visual_layers, visual), range(text - text_layers, text))
    unused_names = _adapter_names(range(visual - visual_layers), range(text - text_layers))
    problems = [f"{name} is missing" for name in (clip_names | adapter_names) if name not in plain]
    result = ReleasedState()
    for name, tensor in plain.items():
        if name in clip_names:
            result.clip[clip_names[name]] = tensor
        elif name in adapter_names or name in OPTIONAL_NAMES:
            result.adapters[(adapter_names | OPTIONAL_NAMES)[name]] = tensor
        elif name in unused_names:
            result.unused[name] = tensor
        else:
            problems.append(f"{name} is unknown")
    if problems:
        raise InputError(
            f"not a released state dict of this depth: {first_of(problems, 4)}",
            next_step="Check the file, visual_layers and text_layers.",
        )
    return result


def to_released(state: ReleasedState) -> dict[str, Tensor]:
    """The inverse of :func:`from_released`; names carry no wrapper's prefix."""
    plain = {f"text.{name}" if not name.startswith("visual.") else name for name in state.clip}
    visual, text = _blocks(plain, "visual"), _blocks(plain, "text")
    released = {ours: name for name, ours in _clip_names(visual, text).items()}
    back = {
        ours: name for name, ours in (_adapter_names(range(visual), range(text)) | OPTIONAL_NAMES).items()
    }
    return {
        **{released[name]: tensor for name, tensor in state.clip.items()},
        **{back[name]: tensor for name, tensor in state.adapters.items()},
        **state.unused,
    }


# Released name of an adapter in its block -> ours.
VISUAL_ADAPTERS = {
    "t_adapter": "temporal",
    "s_adapter": "spatial",
    "task_adapter": "task",
    "MLP_adapter": "joint",
}
LINEAR = {"D_fc1": "down", "D_fc2": "up"}
KINDS = ("weight", "bias")

# Only some formulations have these; the model that they are loaded into knows whether it does.
OPTIONAL_NAMES = {"visual.temporal_embedding": "visual.temporal_embedding"} | {
    f"alignment.ln_1.{kind}": f"alignment.norm.{kind}" for kind in KINDS
}


def _clip_names(visual_blocks: int, text_blocks: int) -> dict[str, str]:
    """Released name -> open_clip's, of every frozen weight."""
    block = ["attn.in_proj_weight", "attn.in_proj_bias"]
    block += [
        f"{part}.{k}" for part in ("attn.out_proj", "ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj") for k in KINDS
    ]
    visual = ["class_embedding", "positional_embedding", "proj", "conv1.weight"]
    visual += [f"{part}.{kind}" for part in ("ln_pre", "ln_post") for kind in KINDS]
    visual += [f"transformer.resblocks.{i}.{name}" for i in range(visual_blocks) for name in block]
    text = ["text_projection", "positional_embedding", "logit_scale", "token_embedding.weight"]
    text += [f"ln_final.{kind}" for kind in KINDS]
    text += [f"transformer.resblocks.{i}.{name}" for i in range(text_blocks) for name in block]
    return {f"visual.{name}": f"visual.{name}" for name in visual} | {f"text.{name}": name for name in text}


def _adapter_names(visual_blocks: range, text_blocks: range) -> dict[str, str]:
    """Released name -> ours, of the adapters of these blocks."""
    parts = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in LINEAR.items() for kind in KINDS}
    visual = {
        f"visual.transformer.resblocks.{i}.{adapter}.{theirs}": f"visual.adapters.{i}.{name}.{ours}"
        for i in visual_blocks
        for adapter, name in VISUAL_ADAPTERS.items()
        for theirs, ours in parts.items()
    }
    text = {
        f"text.transformer.resblocks.{i}.sub3_adapter.{theirs}": f"semantic.adapters.{i}.{ours}"
        for i in text_blocks
        for theirs, ours in parts.items()
    }
    return visual | text


def _blocks(names: Mapping[str, Tensor] | set[str], branch: str) -> int:
    found = (re.match(rf"{branch}\.transformer\.resblocks\.(\d{{1,4}})\.attn\.", name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _plain_name(name: str) -> str:
    """``feature.module.x`` is the visual branch in its wrapper, ``ca.x`` the alignment; others are plain."""
    wrapped = re.fullmatch(r"(?:module\.)?(feature|text|ca)\.(?:module\.)?(.+)", name)
    if not wrapped or re.match(r"(visual|text|alignment)\.", wrapped[2]):
        return wrapped[2] if wrapped else name
    return {"feature": "visual", "text": "text", "ca": "alignment"}[wrapped[1]] + "." + wrapped[2]
