"""What is frozen of clips, kept in the store: one process computes it, and all others read it.

A sweep's rows, the shots of an evaluation and validation during training read the same clips through the same
frozen blocks. What comes out of these is kept in the store, under a key of all that its bytes depend on, the
processor among it, so that no number is another one for being read instead of computed.
"""

import hashlib
import platform
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from fsarctl.artifacts import JSON, Build, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.keys import canonical
from fsarctl.artifacts.provenance import processor_facts
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL
from fsarctl.artifacts.unfinished.shared_parts import SharedParts
from fsarctl.config.model_table import ModelConfig
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.methods.build import model_key
from fsarctl.methods.protocol import FewShotMethod

__all__ = ["KeptPrefixes", "is_worth_keeping", "kept_prefixes"]

STAGE = "prefix"
VERSION = 1
TIMES = 4
"""So many times as long as reading it is has computing a clip's part to take, to be kept."""
FLOP_PER_S = 1e11
"""Of a core that is fast."""
BYTES_PER_S = 5e8
"""Of a disk, and of the checksum that is compared."""
FILE_S = 1e-3
"""To open one."""


def is_worth_keeping(flop: int, size: int = 0) -> bool:
    """Whether ``size`` bytes are read sooner than so many floating-point operations are done."""
    return flop / FLOP_PER_S > TIMES * (FILE_S + size / BYTES_PER_S)


class KeptPrefixes:
    """Tensors by number, in the store; of those that are not there, who computes one puts it there."""

    def __init__(self, parts: SharedParts, flop: int) -> None:
        self._parts, self._flop = parts, flop

    def bound(self, most: int) -> None:
        """All that is kept in this store for whatever model and clips may take so many bytes."""
        self._parts.most = most

    def read(self, name: int) -> Tensor | None:
        """What is kept under this number, if it is."""
        content = self._parts.read(name)
        # Products with a matrix that does not begin where PyTorch lets it begin may end in other digits.
        return None if content is None else load(content)["kept"].clone()

    def write(self, name: int, tensor: Tensor) -> bool:
        """Keep it, if that is worth it and there is room; whether it is kept."""
        if not is_worth_keeping(self._flop, tensor.nbytes):
            return False
        return self._parts.keep(name, save({"kept": tensor.contiguous()}, {SEAL: EMPTY_SEAL}))


def kept_prefixes(
    build: Build,
    frames: str,
    model: FewShotMethod,
    table: ModelConfig,
    root: Path,
    loader: EpisodeLoader,
    room: Room,
) -> KeptPrefixes | None:
    """What is kept of a loader's clips, whose frames are an input of a build; None where none is worth it.

    Of fixed crops and of a model whose features move when it is trained that is ``FewShotMethod.prefix``, and
    else ``alone``. ``table`` is what ``model`` was made of. A GPU computes sooner than it would read.
    """
    if not model.prefix_is_constant or model.device.type != "cpu" or not is_worth_keeping(model.prefix_flop):
        return None
    if frames not in build.digests:  # another process of a training, which has no store
        return None
    part, settings = table.other_method, model_key(table, root, adapters=True)[0]
    kind = "alone" if model.alone_is_constant and not loader.crops else "prefix"
    config: dict[str, JSON] = {
        "frames": hashlib.sha256(canonical(build.digests[frames], frames)).hexdigest(),
        "weights": model.frozen_digest(),
        "backbone": settings["backbone"],
        "mean": model.backbone.mean,
        "std": model.backbone.std,
        "method": part.key if part and not part.known_as else "",  # whose code may change from run to run
        "kind": kind,
        "prefix": repr(model.prefix_name),
        "precision": table.precision,
        "side": loader.side,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        **(_crops(loader) if loader.crops else {}),
    }
    unit = Unit(
        STAGE, VERSION, f"prefix of {frames}", Command("run", ()), config, build=lambda build: None
    )  # nobody asks for all of it
    parts = build.shared(unit)
    if parts is None:
        return None
    kept = KeptPrefixes(parts, model.prefix_flop)
    kept.bound(room.disk)
    return kept


@cache
def _processor() -> str:
    """What two processors share that compute the same bits: their model, and what it can do."""
    facts = sorted(processor_facts("model name", "flags", "CPU part", "Features") or ())
    words = [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability(), *facts]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _crops(loader: EpisodeLoader) -> dict[str, JSON]:
    """What fixed crops are drawn by."""
    names = ("stream", "seed", "crop", "crops", "flip")
    return {name: getattr(loader, name) for name in names}
