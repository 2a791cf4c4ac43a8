"""The processes of one training, and what they tell each other.

Each has a share of every step's episodes. Their gradients are added episode after episode, in the order of
one process, so that the trained bytes do not depend on how many there are (DistributedDataParallel adds in
the order in which they arrive).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fsarctl.errors import ConfigError, FsarctlError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ALONE", "RankLostError", "Ranks", "require_shares"]

NUMBERS_AT_ONCE = 2**22
"""Of a gradient: what every process holds of all episodes of a step at a time."""


class RankLostError(FsarctlError):
    """Another process of the training is not there any more."""

    exit_code = 7

    def __init__(self) -> None:
        super().__init__(
            "another process of this training ended before it was through",
            next_step="Run the same command again, with as many processes as you like: it goes on from the"
            " last checkpoint.",
        )


@dataclass(frozen=True)
class Ranks:
    """One process among ``world``, torch.distributed's default group; ``rank`` 0 writes what is kept.

    ``local``: its number among the ``beside`` of its machine, and so of its GPU.

    Raises (every method):
        RankLostError: another process does not answer.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    beside: int = 1

    def share(self, episodes: int) -> range:
        """Which of a step's episodes are this process's; ``world`` divides ``episodes``."""
        each = episodes // self.world
        return range(self.rank * each, (self.rank + 1) * each)

    def gather(self, own: "Tensor") -> "Tensor":
        """What every process gives, one after another along the first axis; shapes are alike."""
        if self.world == 1:
            return own
        import torch
        import torch.distributed as dist

        everyone = [torch.empty_like(own) for _ in range(self.world)]
        with _reaching():
            dist.all_gather(everyone, own.contiguous())
        return torch.cat(everyone)

    def total(self, number: int) -> int:
        """The sum of a whole number over all processes."""
        import torch

        return int(self.gather(torch.tensor([number])).sum())

    def words(self, said: str = "") -> list[str]:
        """What every process says, in their order."""
        import torch

        text = torch.tensor(list(said.encode()), dtype=torch.uint8)
        lengths = self.gather(torch.tensor([len(text)])).tolist()
        padded = torch.zeros(max(1, *lengths), dtype=torch.uint8)
        padded[: len(text)] = text
        rows = self.gather(padded[None]).tolist()
        return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]

    def add_in_order(
        self, own: "Sequence[Sequence[Tensor | None]]", like: "Sequence[Tensor]"
    ) -> "list[Tensor | None]":
        """The sum over a step's episodes, in their order, of the gradient of each parameter ``like`` these.

        ``own``: the gradients of each episode of this process's share; None where its loss does not depend
        on the parameter. The bits are those of one process that adds episode after episode.
        """
        import torch

        there = self.gather(torch.tensor([[each is not None for each in episode] for episode in own]))
        sums: list[Tensor | None] = []
        for bucket in _buckets([each.numel() for each in like]):
            rows = [torch.cat([_flat(episode[i], like[i]) for i in bucket]) for episode in own]
            episodes = self.gather(torch.stack(rows))
            parts = torch.split(episodes, [like[i].numel() for i in bucket], dim=1)
            for i, part in zip(bucket, parts, strict=True):
                sums.append(_sum(part[there[:, i]], like[i]))
        return sums

    def add_fast(self, own: "Sequence[Tensor | None]", like: "Sequence[Tensor]") -> "list[Tensor | None]":
        """The sum over processes of the gradient of each parameter, in whatever order is fastest."""
        import torch
        import torch.distributed as dist

        there = self.gather(torch.tensor([[each is not None for each in own]])).any(0)
        sums: list[Tensor | None] = []
        for gradient, parameter, anywhere in zip(own, like, there.tolist(), strict=True):
            total = _flat(gradient, parameter).clone() if anywhere else None
            if total is not None:
                with _reaching():
                    dist.all_reduce(total)
            sums.append(None if total is None else total.view_as(parameter))
        return sums


ALONE = Ranks()


def require_shares(episodes: int, world: int) -> None:
    """Refuse a number of processes that cannot share the ``episodes`` of a step equally.

    Raises:
        ConfigError: it does not divide them; those that do are named.
    """
    if episodes % world:
        divisors = [str(each) for each in range(2, episodes + 1) if episodes % each == 0]
        fitting = f"{' or '.join(divisors)} processes can; or set" if divisors else "Set"
        raise ConfigError(
            f"train.episodes_per_step is {episodes}, which {world} processes cannot share",
            next_step=f"{fitting} train.episodes_per_step to a multiple of {world} (another training).",
        )


def _buckets(sizes: Sequence[int]) -> Iterator[range]:
    """Consecutive parameters that have ``NUMBERS_AT_ONCE`` numbers together, or one that has more."""
    start, numbers = 0, 0
    for i, size in enumerate(sizes):
        if i > start and numbers + size > NUMBERS_AT_ONCE:
            yield range(start, i)
            start, numbers = i, 0
        numbers += size
    if sizes:
        yield range(start, len(sizes))


def _flat(gradient: "Tensor | None", like: "Tensor") -> "Tensor":
    import torch

    return torch.zeros_like(like).flatten() if gradient is None else gradient.flatten()


def _sum(gradients: "Tensor", like: "Tensor") -> "Tensor | None":
    """Of one parameter, row after row; None without rows."""
    if not len(gradients):
        return None
    total = gradients[0].clone()
    for each in gradients[1:]:
        total += each
    return total.view_as(like)


@contextmanager
def _reaching() -> Iterator[None]:
    import torch.distributed as dist

    try:
        yield
    except (RuntimeError, dist.DistBackendError) as error:
        raise RankLostError from error
