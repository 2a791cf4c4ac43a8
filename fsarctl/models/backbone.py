"""The frozen backbone: an open_clip CLIP with a ViT, from the hub, a local file, or as random numbers."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fsarctl.config.paths import located
from fsarctl.errors import ConfigError, InputError
from fsarctl.models import tiny_clip
from fsarctl.models.catalogue import PLAIN, PLAIN_TOP, TINY, architecture, own_backbone

__all__ = ["Backbone", "Tokenizer", "build_backbone", "load_backbone", "require_tag"]


class Tokenizer(Protocol):
    """What is used of open_clip's tokenizers."""

    sot_token_id: int
    eot_token_id: int

    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Backbone:
    """A frozen CLIP in evaluation mode and what goes with it."""

    name: str
    clip: Any
    """open_clip's CLIP module, which is untyped."""
    tokenizer: Tokenizer
    mean: tuple[float, ...]
    """Of the three colours, on pixels scaled to 0-1."""
    std: tuple[float, ...]

    @property
    def image_size(self) -> int:
        """Side of the square that the ViT reads, pixels."""
        return int(self.clip.visual.image_size[0])

    @property
    def context(self) -> int:
        """Tokens that the text encoder reads, start and end of text included."""
        return int(self.clip.positional_embedding.shape[0])

    @property
    def embed_dim(self) -> int:
        """Width of the joint embedding."""
        return int(self.clip.text_projection.shape[1])

    @property
    def visual_blocks(self) -> int:
        """Blocks of the ViT."""
        return len(self.clip.visual.transformer.resblocks)

    @property
    def text_blocks(self) -> int:
        """Blocks of the text encoder."""
        return len(self.clip.transformer.resblocks)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Token ids, padded with zeros to the context. Shapes: n captions -> (n, context), int64.

        Raises:
            InputError: a caption does not fit; it is named, and never cut.
        """
        tokens = torch.zeros(len(captions), self.context, dtype=torch.int64)
        for row, caption in zip(tokens, captions, strict=True):
            ids = [self.tokenizer.sot_token_id, *self.tokenizer.encode(caption), self.tokenizer.eot_token_id]
            if len(ids) > self.context:
                raise InputError(
                    f"{len(ids)} tokens, and backbone {self.name} reads {self.context}: {caption!r}",
                    next_step="Shorten this description (or its label).",
                )
            row[: len(ids)] = torch.tensor(ids)
        return tokens


def load_backbone(name: str, weights: str, *, seed: int = 0) -> Backbone:
    """The backbone ``name`` with ``weights``, frozen.

    Args:
        name: an open_clip ViT ("ViT-B-16-quickgelu"), or "tiny", which ships with fsarctl.
        weights: an open_clip tag ("openai"), fetched from its hub and kept by it; a local file, one of
            .safetensors, a PyTorch state dict, or an OpenAI TorchScript archive; "shipped", for tiny; or
            "random", a pure function of ``seed``.
        seed: of random weights.

    Raises:
        ConfigError: no such backbone, or it is not a plain ViT CLIP, or the weights are not for it.
        InputError: the file is missing, damaged or another model's, or cannot be fetched.
    """
    configuration = architecture(name)
    _require_plain(name, configuration)
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_backbone(name, configuration, None)
    if weights == "shipped" and name == TINY:
        return build_backbone(name, configuration, _read_state(Path(tiny_clip.WEIGHTS)))
    tag = open_clip.get_pretrained_cfg(name, weights)
    if tag:
        _require_activation(name, configuration, bool(tag.get("quick_gelu", False)), f"weights {weights!r}")
        state = _read_state(_fetch(name, weights, tag))
        return build_backbone(name, configuration, state, mean=tag.get("mean"), std=tag.get("std"))
    path = located(weights, Path())
    if not path.is_file():
        require_tag(name, weights)
    state = _read_state(path)
    if OPENAI_ONLY & state.keys():
        _require_activation(name, configuration, True, str(path))
    return build_backbone(name, configuration, {k: v for k, v in state.items() if k not in OPENAI_ONLY})


# OpenAI's archives keep three sizes as if they were weights; nobody else's do.
OPENAI_ONLY = {"input_resolution", "context_length", "vocab_size"}


def require_tag(name: str, weights: str) -> None:
    """Refuse weights that are no tag of open_clip's hub.

    Raises:
        InputError: it is none; the message lists the tags of ``name``.
    """
    if not open_clip.get_pretrained_cfg(name, weights):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise InputError(
            f"weights {weights!r} is neither a file nor a tag of backbone {name} (tags: {tags})",
            next_step=f"Put the file at {Path(weights).absolute()}, or set model.weights to where it is.",
        )


def build_backbone(
    name: str,
    configuration: Mapping[str, Any],
    state: Mapping[str, Tensor] | None,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Backbone:
    """A frozen backbone from open_clip's model configuration (JSON, hence untyped) and a state dict.

    With ``state`` None the weights are what open_clip starts from, and the global generator decides.

    Raises:
        InputError: names or shapes of ``state`` are not those of the configuration.
    """
    part = own_backbone(name)
    make = getattr(part.load(), "make", None) if part else None
    clip = make(configuration) if make else open_clip.CLIP(**configuration)
    if state is not None:
        _load_state(name, clip, state)
    clip.requires_grad_(False).eval()
    text = configuration["text_cfg"]
    arguments = {"bpe_path": str(tiny_clip.BPE)} if name == TINY else {}
    tokenizer: Tokenizer = open_clip.SimpleTokenizer(**arguments, **text.get("tokenizer_kwargs", {}))
    return Backbone(
        name=name,
        clip=clip,
        tokenizer=tokenizer,
        mean=tuple(mean or OPENAI_DATASET_MEAN),
        std=tuple(std or OPENAI_DATASET_STD),
    )


def _require_plain(name: str, configuration: Mapping[str, Any]) -> None:
    other = sorted(configuration.keys() - PLAIN_TOP)
    for table, plain in PLAIN.items():
        other += sorted(configuration[table].keys() - plain)
    if isinstance(configuration["vision_cfg"].get("layers"), list):
        other.append("a ResNet")
    if other:
        raise ConfigError(
            f"backbone {name} is not a plain ViT CLIP, which the adapters need ({', '.join(other)})",
            next_step="Use for example ViT-B-16-quickgelu, ViT-B-32-quickgelu or ViT-L-14-quickgelu.",
        )


def _require_activation(name: str, configuration: Mapping[str, Any], quick_gelu: bool, what: str) -> None:
    # With the other activation everything loads and runs, and every feature is slightly wrong.
    if bool(configuration.get("quick_gelu", False)) != quick_gelu:
        right = f"{name}-quickgelu" if quick_gelu else name.removesuffix("-quickgelu")
        raise ConfigError(
            f"{what} was trained with {'QuickGELU' if quick_gelu else 'GELU'}; backbone {name} has the other",
            next_step=f'Set model.backbone = "{right}".',
        )


def _fetch(name: str, weights: str, tag: Mapping[str, Any]) -> Path:
    try:
        return Path(open_clip.download_pretrained(dict(tag)))
    except Exception as error:  # the hub's client raises a different type for every way a network can fail
        raise InputError(
            f"weights {weights!r} of backbone {name} are not on this machine and could not be fetched "
            f"({type(error).__name__})",
            next_step="Connect this machine to the network once, or copy the weight file here "
            "and set model.weights to its path.",
        ) from error


def _read_state(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a weight file, float32; nothing is unpickled but tensors."""
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        elif _is_torchscript(path):
            state = _read_torchscript(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        # What torch says of unsafe pickles ends in advice that must not be followed.
        unsafe = isinstance(error, pickle.UnpicklingError)
        reason = (
            "it holds more than tensors" if unsafe else (str(error) or type(error).__name__).splitlines()[0]
        )
        raise InputError(
            f"{path} cannot be read as weights: {reason}",
            next_step="Fetch it again, or convert it to .safetensors: only tensors are read.",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # a training checkpoint of open_clip
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f"{path} holds no state dict",
            next_step="Save model.state_dict() of the CLIP model, and nothing else.",
        )
    return {str(key).removeprefix("module."): value.float() for key, value in state.items()}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("/constants.pkl") for entry in archive.namelist())


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        # OpenAI's files are of this kind, whatever becomes of TorchScript.
        warnings.simplefilter("ignore")
        module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    state: dict[str, Tensor] = module.state_dict()
    state.pop("attn_mask", None)  # a constant, which tracing turns into a weight
    return state


def _load_state(name: str, clip: Any, state: Mapping[str, Tensor]) -> None:
    wanted = clip.state_dict()
    problems = [f"{key} is missing" for key in sorted(wanted.keys() - state.keys())]
    problems += [f"{key} is unknown" for key in sorted(state.keys() - wanted.keys())]
    problems += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if problems:
        raise InputError(
            f"these weights are not of backbone {name}: {', '.join(problems[:3])}"
            + (f" and {len(problems) - 3} more" if len(problems) > 3 else ""),
            next_step="Set model.backbone to the model that the weights are of.",
        )
    clip.load_state_dict(state)
