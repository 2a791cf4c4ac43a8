"""What a machine lends to training and evaluation: a device, and room for what is computed once.

None of it changes a result, so none of it enters a key.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.episodes.ranks import ALONE, Ranks
from fsarctl.errors import ConfigError
from fsarctl.execution.engine import Need
from fsarctl.progress import GIB

if TYPE_CHECKING:
    import torch

    from fsarctl.artifacts import Unit
    from fsarctl.artifacts.command import Option
    from fsarctl.episodes.feature_cache import Room

__all__ = ["Machine", "bf16_of_cpu", "gpu_name"]

MEMORY_GIB = 2.0
BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
"""What Linux calls the instructions that multiply in bfloat16: on x86, the faster first, and on ARM."""
COMPUTING_GIB = 1.5
"""Beside what is kept: libraries, and the weights of a ViT-B/16 or two."""
DECODING_GIB = 0.25


@dataclass(frozen=True)
class Machine:
    """``device``: auto, cpu, cuda or cuda:N. ``memory_gib``: for videos that are computed once; None means
    2 GiB, or on a GPU half of what is free there. ``spill_gib``: likewise on disk, once memory is full; at
    most half of what is free there. ``ranks``: the processes of one training, of which this is one; each has
    a GPU of its own, and its part of the memory.
    """

    device: str = "auto"
    memory_gib: float | None = None
    spill_gib: float = 16.0
    ranks: Ranks = ALONE

    @property
    def options(self) -> "tuple[Option, ...]":
        """What says the same on a command line."""
        from fsarctl.artifacts.command import Option

        options = [] if self.device == Machine.device else [Option("--device", (self.device,))]
        if self.memory_gib is not None:
            options.append(Option("--memory", (str(self.memory_gib),)))
        if self.spill_gib != Machine.spill_gib:
            options.append(Option("--spill", (str(self.spill_gib),)))
        return tuple(options)

    def need(self, unit: "Unit") -> Need:
        """What making a unit keeps busy: what computes holds weights, what decodes a few pictures."""
        if not unit.apart:
            return Need(unit.cores, DECODING_GIB * unit.cores)
        kept = MEMORY_GIB if self.memory_gib is None else self.memory_gib
        return Need(unit.cores, COMPUTING_GIB + kept, 0 if self.device == "cpu" else 1)

    def require_device_name(self) -> None:
        """Refuse what can be a device on no machine, before anything is loaded.

        Raises:
            ConfigError: it is not auto, cpu, cuda, cuda:N or another device of PyTorch's.
        """
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu|hpu|npu|mtia)(:\d+)?", self.device):
            raise ConfigError(
                f"there is no device {self.device!r}",
                next_step="Use --device auto, cpu, or cuda:0 where there is a GPU.",
            )

    def choose_device(self) -> "torch.device":
        """The device; ``auto`` is the first GPU if there is one, else the CPU.

        From then on float32 means float32 (no TF32), and convolutions give the same bits every time.

        Raises:
            ConfigError: no such device here.
        """
        import torch

        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
        if self.device in ("auto", "cuda") and self.ranks.world > 1 and torch.cuda.is_available():
            torch.cuda.set_device(self.ranks.local)
            return torch.device("cuda", self.ranks.local)
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0].split(". ")[0]
            raise ConfigError(
                f"device {self.device!r} cannot be used here: {reason}",
                next_step="Use --device auto, cpu, or cuda:0 where there is a GPU.",
            ) from None
        return device

    def room(self, device: "torch.device", folder: Path) -> "Room":
        """Room on ``device``, and in a file in ``folder``."""
        import torch

        from fsarctl.episodes.feature_cache import Room

        if self.memory_gib is not None:
            memory = self.memory_gib * GIB
        elif device.type == "cuda":
            memory = torch.cuda.mem_get_info(device)[0] / 2
        else:
            memory = MEMORY_GIB * GIB
        disk = min(self.spill_gib * GIB, shutil.disk_usage(folder).free / 2)
        if device.type != "cuda":
            memory /= self.ranks.beside
        return Room(int(memory), int(disk / self.ranks.beside), folder)


def gpu_name() -> str:
    """What the first GPU is called; "" where there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def bf16_of_cpu() -> str:
    """The instructions of this CPU that multiply in bfloat16, or "none"; "unknown" where none are listed."""
    from fsarctl.artifacts.provenance import processor_facts

    facts = processor_facts("flags", "Features")
    if facts is None:
        return "unknown"
    flags = {flag for line in facts for flag in line.partition(":")[2].split()}
    return ", ".join(flag for flag in BF16_FLAGS if flag in flags) or "none"
