"""What starts at random, as a function of a seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(generator: torch.Generator | None) -> Iterator[None]:
    """PyTorch's own initialisation becomes a function of ``generator``; nobody else's draws move."""
    if generator is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator).item()))
        yield
