"""The number format of the network's products; what is trained, summed and compared is float32 always."""

from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import torch

from fsarctl.config.model_table import Precision
from fsarctl.errors import ConfigError

__all__ = ["Precision", "computing"]


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
