"""Weight files of every format and wrapper: names and tensors, and nothing is unpickled but tensors."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fsarctl.errors import InputError
from fsarctl.models.weights.sharded import shards_of
from fsarctl.models.weights.torchscript import is_torchscript, read_torchscript
from fsarctl.progress import first_of

__all__ = ["WeightFile", "plain_name", "read_weights", "require_finite"]

WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""What training scripts keep a state dict under, beside their epoch and optimizer; the first is read."""
DEEPEST = 8  # wrappers in each other
MOST_PACKED = 8  # times that an archive may become larger
MOST_SHARED = 8  # tensors that are views of the same numbers, on the whole; two are, where weights are tied
WRAPPING_MODULES = {"_orig_mod", "module"}  # of torch.compile and of data parallel training, at any depth
CLIP_ATTRIBUTES = {"model", "clip", "clip_model"}  # what a module calls the CLIP within it
SAFETENSORS_START = slice(8, 9)  # after the header's length
OTHER_CONTENT = {
    b"version https://git-lfs": "it is a Git LFS pointer: the content was not fetched",
    b"<": "it is a web page",
    b"GGUF": "it is a GGUF file",
    b"\x89HDF": "it is an HDF5 file",
}
"""How what people take for weights begins, and what it is."""


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a weight file as they are in it, under their plain names."""

    state: dict[str, Tensor]
    remarks: tuple[str, ...] = ()
    """What a user should know of it."""


def read_weights(path: Path) -> WeightFile:
    """The tensors of ``path``: .safetensors, a PyTorch state dict in any of ``WRAPPERS``, a TorchScript
    archive (as OpenAI's), or an index of the first two.

    Raises:
        InputError: it cannot be read, or holds something else than tensors.
    """
    state: dict[str, Tensor] = {}
    remarks: list[str] = []
    storages: dict[int, int] = {}
    for shard in shards_of(path):
        held, chosen = _unwrapped(_content(shard), shard)
        remarks += chosen
        for name, tensor in held.items():
            plain = plain_name(name)
            if plain in state:
                raise InputError(
                    f"{path} holds more than one {plain} ({name} is another)",
                    next_step="Save model.state_dict() of the CLIP model, and nothing else.",
                )
            _require_plain(name, tensor, path)
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            state[plain] = tensor
    if sum(tensor.nbytes for tensor in state.values()) > MOST_SHARED * sum(storages.values()):
        raise InputError(
            f"{path} cannot be read as weights: its tensors are {MOST_SHARED} times what it holds, and more",
            next_step="Save each tensor by itself: {name: tensor.clone() for name, tensor in state.items()}.",
        )
    return WeightFile(state, tuple(remarks))


def plain_name(name: str) -> str:
    """A tensor's name without what wrappers left before it.

    >>> plain_name("module.clip_model._orig_mod.visual.proj")
    'visual.proj'
    """
    parts = [part for part in name.split(".") if part not in WRAPPING_MODULES]
    while len(parts) > 1 and parts[0] in CLIP_ATTRIBUTES:
        del parts[0]
    return ".".join(parts)


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse what no result can come of.

    Raises:
        InputError: a tensor holds NaN or infinite numbers.
    """
    spoiled = [name for name, tensor in state.items() if not _is_finite(tensor)]
    if spoiled:
        raise InputError(
            f"{path} holds NaN or infinite numbers: {first_of(spoiled, 3)}",
            next_step="Fetch it again; if it was trained here, the training has diverged.",
        )


def _is_finite(tensor: Tensor) -> bool:
    if tensor.dtype == torch.float32 and tensor.numel():
        tensor = torch.stack(tensor.aminmax())  # a tenth of the time; NaN is smallest and largest
    return bool(torch.isfinite(tensor).all())


def _require_plain(name: str, tensor: Tensor, path: Path) -> None:
    plain = tensor.layout == torch.strided and not (
        tensor.is_meta or tensor.is_quantized or tensor.is_complex()
    )
    if (
        not plain or tensor.nbytes > tensor.untyped_storage().nbytes()
    ):  # one number may pose as a million million
        raise InputError(
            f"{path} cannot be read as weights: {name} is no plain tensor",
            next_step="Save the model's weights as float32 or half precision numbers.",
        )


def _content(path: Path) -> Any:
    """What a file of one format holds, tensors on the CPU."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
        what = next((what for begins, what in OTHER_CONTENT.items() if start.lstrip().startswith(begins)), "")
        if what or not start:
            raise ValueError(what or "it is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which are read all the same
            if path.suffix == ".safetensors" or start[SAFETENSORS_START] == b"{":
                return load_file(path)
            _require_unpacked(path)
            if is_torchscript(path):
                return read_torchscript(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # garbage makes these libraries raise whatever Python has
        raise InputError(
            f"{path} cannot be read as weights: {_reason(error)}",
            next_step="Fetch it again, or convert it to .safetensors: only tensors are read.",
        ) from error


def _require_unpacked(path: Path) -> None:
    """Refuse an archive that is a bomb: weights hardly shrink, and torch keeps them as they are.

    Raises:
        ValueError: it would unpack to many times its size.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MOST_PACKED * path.stat().st_size + 2**20:
        raise ValueError(
            f"it would unpack to {unpacked / 2**20:,.0f} MiB, {MOST_PACKED} times its size and more"
        )


def _reason(error: Exception) -> str:
    said = str(error)
    # What torch says of unsafe pickles ends in advice that must not be followed.
    named = re.search(r"GLOBAL (\S+)|(\S+) is no tensor", said)
    match error:
        case pickle.UnpicklingError() if named:
            return f"it holds more than tensors ({named[1] or named[2]})"
        case SafetensorError() | RuntimeError() | OSError() | ValueError() | zipfile.BadZipFile() if said:
            return said.splitlines()[0].removesuffix(".")
    return "it is no file of PyTorch or safetensors, or it is damaged"


def _unwrapped(content: Any, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict within its wrappers, and what is left unread beside it."""
    remarks = []
    for _ in range(DEEPEST):
        held = content if isinstance(content, Mapping) else {}
        found = [name for name in WRAPPERS if isinstance(held.get(name), Mapping)]
        if not found:
            break
        if len(found) > 1:
            remarks.append(f"{path.name} holds {' and '.join(found)}; {found[0]} is read")
        content = held[found[0]]
    entries = dict(content) if isinstance(content, Mapping) else {}
    good = entries and all(
        isinstance(name, str) and isinstance(each, Tensor) for name, each in entries.items()
    )
    if not good:
        names = [name if isinstance(name, str) else f"a {type(name).__name__}" for name in entries]
        of = f"its entries are {first_of(names, 4)}" if entries else "there are no tensors"
        raise InputError(
            f"{path} holds no state dict: {of}",
            next_step="Save model.state_dict() of the CLIP model, and nothing else.",
        )
    return entries, remarks
