"""Under which names a weight file holds a backbone: layouts that are read, and those known by name alone."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fsarctl.errors import InputError
from fsarctl.progress import first_of

__all__ = ["NO_WEIGHT", "Layout", "arrange", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """A way to name the tensors of a backbone."""

    title: str
    sources: Callable[[str], tuple[str, ...]]
    """open_clip's name of a tensor -> the names of those that it is made of, one under the other."""
    transposed: frozenset[str] = frozenset()
    """open_clip's names of matrices that are kept the other way round."""
    unread: frozenset[str] = frozenset()
    """Tensors that are no part of a backbone."""


@dataclass(frozen=True)
class Family:
    """Backbones whose weights are read from the same layouts."""

    kind: str
    read: Sequence[tuple[Layout, tuple[str, str]]]
    """Layouts, each with how a name of its image tower begins, and of its text tower."""
    others: Sequence[tuple[str, str, str]]
    """What is not read: what it is, how a name of it begins, and what to do, unless it is ``step``."""
    step: str
    """What to do instead."""


def family_of(wanted: Iterable[str]) -> Family:
    """The family of a backbone whose tensors have these names."""
    names = set(wanted)
    if "visual.layer1.0.conv1.weight" not in names:
        return CLIP_WITH_VIT
    return CLIP_WITH_RESNET if "text_projection" in names else RESNET


def layout_of(names: Iterable[str], what: str, family: Family) -> Layout:
    """The layout of tensors of these names; ``what`` is where they come from, for messages.

    Raises:
        InputError: it is none that is read for this family; what it is is named.
    """
    held = list(names)
    for title, pattern, step in family.others:
        if _any_begins(held, pattern):
            raise InputError(
                f"{what} is not read as {family.kind}: it holds {title}", next_step=step or family.step
            )
    towers = [
        (layout, _any_begins(held, image), _any_begins(held, text)) for layout, (image, text) in family.read
    ]
    for layout, image, text in towers:
        if image and text:
            return layout
    for layout, image, text in reversed(towers):
        if image or text:
            alone = "image" if image else "text"
            raise InputError(
                f"{what} holds the {alone} tower alone, in {layout.title}",
                next_step="Use the weights of the whole CLIP model: image and text tower.",
            )
    titles = ", ".join(layout.title for layout, _ in family.read)
    raise InputError(
        f"{what} is in none of the layouts that are read ({titles}): it holds {first_of(sorted(held), 3)}",
        next_step=family.step,
    )


def arrange(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, what: str, of: str
) -> dict[str, Tensor]:
    """The tensors of ``state`` under open_clip's names, float32, as ``wanted`` has them.

    ``what`` is where ``state`` comes from and ``of`` what ``wanted`` belongs to, for messages; these use the
    names of the file.

    Raises:
        InputError: the layout is none that is read, or names or shapes are not those of ``wanted``.
    """
    layout = layout_of(state, what, family_of(wanted))
    sources = {name: layout.sources(name) for name in wanted if not COUNT.search(name)}
    expected = {source for names in sources.values() for source in names}
    held = {name for name in state if not NO_WEIGHT.search(name) and not COUNT.search(name)}
    held -= layout.unread
    problems = [f"{name} is missing" for name in sorted(expected - held)]
    problems += [f"{name} is unknown" for name in sorted(held - expected)]
    arranged: dict[str, Tensor] = {}
    for name, parts in sources.items():
        if not held.issuperset(parts):
            continue
        shape = tuple(wanted[name].shape)
        turned = name in layout.transposed
        needed = _divided(shape[::-1] if turned else shape, len(parts))
        others = [part for part in parts if tuple(state[part].shape) != needed]
        problems += [f"{part} is {tuple(state[part].shape)}, not {needed}" for part in others]
        packed = [part for part in parts if state[part].dtype not in NUMBERS]
        problems += [f"{part} is of {str(state[part].dtype).removeprefix('torch.')}" for part in packed]
        if not others and not packed:
            whole = torch.cat([state[part] for part in parts]) if len(parts) > 1 else state[parts[0]]
            arranged[name] = (whole.T if turned else whole).float()
    if problems:
        raise InputError(
            f"these weights are not of {of}: {first_of(problems, 3)} ({what}, in {layout.title})",
            next_step="Set model.backbone to the model that the weights are of, or fetch the whole file.",
        )
    counts = {name: torch.zeros((), dtype=torch.int64) for name in wanted if COUNT.search(name)}
    return {**arranged, **counts}


# A mask and positions, which older versions kept as if they were weights, and the bias of a loss.
NO_WEIGHT = re.compile(r"(^|\.)(attn_mask|position_ids|logit_bias)$")

# How many batches a running mean is of: what statistics of a fixed momentum do not need. Old files lack it.
COUNT = re.compile(r"\.num_batches_tracked$")

NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Anything else is weights packed by a scheme of its own."""

BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
OUTSIDE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.proj": "visual_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text_projection": "text_projection.weight",
} | {
    f"{ours}.{kind}": f"{theirs}.{kind}"
    for ours, theirs in (
        ("visual.ln_pre", "vision_model.pre_layrnorm"),  # so it is spelt there
        ("visual.ln_post", "vision_model.post_layernorm"),
        ("ln_final", "text_model.final_layer_norm"),
    )
    for kind in ("weight", "bias")
}


def _transformers(name: str) -> tuple[str, ...]:
    block = re.fullmatch(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)\.?_?(weight|bias)", name)
    if not block:
        return (OUTSIDE.get(name, name),)
    place = f"{'vision' if block[1] else 'text'}_model.encoder.layers.{block[2]}"
    part, kind = block[3].rstrip("._"), block[4]
    if part == "attn.in_proj":
        return tuple(f"{place}.self_attn.{each}_proj.{kind}" for each in "qkv")
    return (f"{place}.{BLOCK[part]}.{kind}",)


def _custom_text(name: str) -> tuple[str, ...]:
    return (name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}",)


READ: Sequence[tuple[Layout, tuple[str, str]]] = (
    (
        Layout(
            "the layout of transformers' CLIPModel",
            _transformers,
            frozenset({"visual.proj", "text_projection"}),
        ),
        (r"vision_model\.|visual_projection\.", r"text_model\."),
    ),
    (Layout("open_clip's custom-text layout", _custom_text), (r"visual\.", r"text\.")),
    (
        Layout("the layout of open_clip and OpenAI", lambda name: (name,)),
        (r"visual\.|class_embedding$|conv1\.", r"token_embedding\.|ln_final\.|text_projection$"),
    ),
)

ALONE = r"layer1\.0\.conv1\."
TORCHVISION: Sequence[tuple[Layout, tuple[str, str]]] = (
    (
        Layout(
            "the layout of torchvision's ResNets",
            lambda name: (name.removeprefix("visual."),),
            unread=frozenset({"fc.weight", "fc.bias"}),
        ),
        (ALONE, ALONE),
    ),
)

ADAPTERS = "Evaluate them with `fsarctl eval --adapters FILE`; model.weights is for the backbone."
A_CLIP_WITH_A_RESNET = (
    "a CLIP with a ResNet",
    r"visual\.(layer\d|attnpool)\.",
    "Set model.backbone to it, such as RN50-quickgelu; or model.weights to those of a CLIP with a ViT.",
)
A_RESNET = (
    "a ResNet",
    ALONE,
    "Set model.backbone to it, such as resnet50-imagenet; or model.weights to those of a CLIP.",
)
OTHERS = (
    ("adapters that fsarctl trained", r"(visual|semantic)\.adapters\.", ADAPTERS),
    ("a released Task-Adapter++ checkpoint", r".+\.(t|s|task|MLP|sub3)_adapter\.", ADAPTERS),
    ("adapters, as AIM's code has them", r".+\.(S|T|MLP)_Adapter\.", ""),
    ("LoRA weights", r".+\.lora_[AB]\b", "Merge them into their CLIP model, and save that."),
    ("SigLIP, in the layout of transformers", r"(vision|text)_model\.head\.", ""),
    ("X-CLIP, in the layout of transformers", r"mit\.|prompts_generator\.", ""),
    ("a CLIP whose image tower is timm's (as open_clip has SigLIP)", r"visual\.trunk\.", ""),
    ("a CLIP whose text tower is transformers'", r"text\.transformer\.(embeddings|encoder)\.", ""),
    ("CoCa", r"text_decoder\.|text\.cls_emb$", ""),
    ("MobileCLIP", r"image_encoder\.|text_encoder\.", ""),
    ("EVA-CLIP", r"visual\.(blocks|patch_embed)\.", ""),
    ("a timm ViT", r"(patch_embed\.proj|blocks\.\d+\.attn\.qkv)\.", ""),
    (
        "a ViT in the layout of transformers",
        r"(vit\.|deit\.|dinov2\.)?(embeddings\.patch_embeddings|encoder\.layer\.\d+)\.",
        "",
    ),
    (
        "one tower of a CLIP alone, in the layout of transformers",
        r"(embeddings\.(class_embedding|patch_embedding|token_embedding)|encoder\.layers\.\d+\.self_attn)\b",
        "Use the weights of the whole model, a CLIPModel: image and text tower.",
    ),
    ("a ViT of torchvision", r"conv_proj\.|encoder\.layers\.encoder_layer_", ""),
)

WEIGHTS = "Set model.weights to the weights of "
CLIP_WITH_VIT = Family(
    "a CLIP", READ, (A_CLIP_WITH_A_RESNET, *OTHERS, A_RESNET), f"{WEIGHTS}a CLIP with a ViT."
)
CLIP_WITH_RESNET = Family("a CLIP", READ, (*OTHERS, A_RESNET), f"{WEIGHTS}a CLIP with a ResNet.")
A_CLIP = ("a CLIP", r"(visual|text|token_embedding|vision_model|text_model)\.", "")
RESNET = Family(
    "a ResNet",
    TORCHVISION,
    (*OTHERS, A_CLIP),
    f"{WEIGHTS}a ResNet, as torchvision's state_dict() names them.",
)


def _any_begins(names: Iterable[str], pattern: str) -> bool:
    return any(re.match(pattern, name) for name in names)


def _divided(shape: tuple[int, ...], parts: int) -> tuple[int, ...]:
    return (shape[0] // parts, *shape[1:]) if parts > 1 else shape
