"""The number format of the network's products; what is trained, summed and compared is float32 always."""

from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from fsarctl.config.model_table import Precision
from fsarctl.errors import ConfigError

__all__ = ["Precision", "computing", "linear", "rounded"]


def computing(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within it, products on ``device`` are computed in ``precision``.

    "float32" is everything as it stands. "bf16" is autocast: linear layers, the convolution and attention
    read bfloat16, while weights, what is trained and the sums along the residual path stay float32.

    Raises:
        ConfigError: no such precision.
    """
    if precision == "float32":
        return nullcontext()
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    raise ConfigError(
        f"precision is {precision!r}; it must be {' or '.join(get_args(Precision))}",
        next_step="Set model.precision.",
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight.T + bias``, of a matrix that may be frozen.

    Within bf16 on a CPU, where no gradient is asked for, the bias is added before the product is rounded.
    PyTorch writes it into the result and reads it back, which takes a tenth of a ViT-B/16's products. The
    numbers are the same either way.

    Shapes: (..., in), (out, in), (out) -> (..., out).
    """
    read = rounded(weight)
    if read is weight or torch.is_grad_enabled() or not _fuses():
        return F.linear(x, read, bias)
    fused: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.to(read.dtype), read, bias.to(read.dtype), "none", [], ""
    )
    return fused


def _fuses() -> bool:
    """Whether this PyTorch has oneDNN's products, which that for macOS lacks, and this CPU their bfloat16."""
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return asked is not None and bool(asked())


def rounded(weight: Tensor) -> Tensor:
    """What a product reads of ``weight``: within bf16 on a CPU a frozen one is rounded once, and kept.

    Autocast rounds a matrix at every call, which takes as long as a tenth of a ViT-B/16's products. What is
    trained is left to it, and so is what lies on a GPU. The numbers are the same either way.
    """
    if weight.requires_grad or weight.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return weight
    if weight.dtype != torch.float32 or weight.is_inference():
        return weight
    made_of = weight.data_ptr(), weight._version  # another one once its numbers have changed
    kept: tuple[tuple[int, int], Tensor] | None = vars(weight).get("_rounded")
    if kept is None or kept[0] != made_of:
        with torch.inference_mode(False), torch.no_grad():  # training may read it later
            kept = made_of, weight.to(torch.get_autocast_dtype("cpu"))
        vars(weight)["_rounded"] = kept
    return kept[1]
