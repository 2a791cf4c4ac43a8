"""The tensors of a TorchScript archive, as OpenAI's CLIP files are; no program in it is run.

``torch.jit.load`` would run what the archive's classes do when they are restored, and that may write files.
"""

import io
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["is_torchscript", "read_torchscript"]

MOST_ATTRIBUTES = 100_000
STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: Path) -> bool:
    """Whether ``path`` is a TorchScript archive.

    Raises:
        zipfile.BadZipFile: it begins as an archive does, and is none.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("/constants.pkl") for entry in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Every tensor that is an attribute of a module, by the name that a state dict has for it.

    Raises:
        pickle.UnpicklingError: it needs something else than tensors and plain values.
        zipfile.BadZipFile, KeyError, ValueError: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = entry.removesuffix("data.pkl")
        content = archive.read(entry)
        _require_bounded(content)
        numbers = cache(lambda key: archive.read(f"{folder}data/{key}"))
        module = _Unpickler(io.BytesIO(content), numbers).load()
    state = _collected(module)
    # A constant, which tracing turns into a weight.
    return {name: each for name, each in state.items() if name.rpartition(".")[2] != "attn_mask"}


class _Object:
    """An object of any class of the archive: its attributes, and nothing that the class does."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("__setstate__ is no tensor")
        self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """Knows tensors, numbers, text and lists; refuses every other name."""

    def __init__(self, file: Any, content: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._content = content

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch.jit._pickle" and name.startswith(("build_", "restore_type_tag")):
            return lambda value, *_: value
        if module.split(".")[0] == "__torch__":
            return _Object
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, key = pid[1], pid[2]
        content = self._content(str(key))
        dtype = STORAGES[kind]
        return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _tensor(
    storage: Tensor, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return torch.as_strided(storage, tuple(shape), tuple(stride), offset)


def _require_bounded(content: bytes) -> None:
    """Refuse a pickle that would fill the memory by a number: the unpickler has a place for each up to it.

    Raises:
        pickle.UnpicklingError: it keeps more values than it has bytes.
        ValueError: it is damaged.
    """
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise pickle.UnpicklingError(f"a memo of {argument} values is no tensor")


def _collected(module: Any) -> dict[str, Tensor]:
    """The tensors of a module and of those in it, by their names from the root.

    Raises:
        ValueError: it goes round in circles.
    """
    state: dict[str, Tensor] = {}
    pending: list[tuple[str, Any]] = [("", module)]
    for _ in range(MOST_ATTRIBUTES):
        if not pending:
            return state
        name, value = pending.pop()
        if isinstance(value, Tensor):
            state[name] = value
        elif isinstance(value, _Object):
            inner = [(f"{name}.{each}" if name else str(each), one) for each, one in vars(value).items()]
            pending += reversed(inner)
    raise ValueError("its modules hold each other")
