"""How gradients become steps: the optimiser, the learning rate of each step, and the bound on a gradient.

The rate is a function of the episode that a step begins with and of nothing else, so that a training that
goes on after an interruption has nothing to remember of it.
"""

import math
from typing import Any

import torch
from torch import nn

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.ranks import ALONE, Ranks
from fsarctl.methods.protocol import FewShotMethod

__all__ = ["Optimisation", "rate_factor"]


def rate_factor(config: TrainConfig, episode: int) -> float:
    """What the learning rates are multiplied by in the step that begins with ``episode``.

    With e = ``episode`` / episodes an epoch, the epochs gone by: constant is 1; steps is the factor of the
    last [epoch, factor] with epoch <= e; cosine is (1 + cos(pi e / epochs)) / 2. Below ``warmup`` epochs it
    is also multiplied by a line from ``warmup_from`` to 1.
    """
    gone = episode / config.episodes
    factor = 1.0
    if config.schedule == "cosine":
        factor = (1 + math.cos(math.pi * gone / config.epochs)) / 2
    elif config.schedule == "steps":
        factor = next((scale for epoch, scale in reversed(config.steps) if epoch <= gone), 1.0)
    if gone < config.warmup:
        factor *= config.warmup_from + (1 - config.warmup_from) * gone / config.warmup
    return factor


class Optimisation:
    """The steps of one training.

    Pretrained weights, which move where a method trains the backbone, are a group with a rate of their own.
    What a method leaves undecayed is a group, too.

    Args:
        model: what is trained.
        config: which optimiser, rates, schedule and bound; E = ``episodes_per_step``.
        ranks: the processes of this training, each of which adds its share of a step's episodes.
    """

    def __init__(self, model: FewShotMethod, config: TrainConfig, ranks: Ranks = ALONE) -> None:
        self.parameters = model.trainable_parameters()
        self._ranks = ranks
        self._apart: list[list[torch.Tensor | None]] = []
        groups = _groups(model, config)
        decay = config.weight_decay
        adam: dict[str, Any] = {"betas": config.betas, "eps": config.epsilon}
        self.optimiser: torch.optim.Optimizer
        if config.optimiser == "sgd":
            self.optimiser = torch.optim.SGD(
                groups, lr=config.lr, momentum=config.momentum, weight_decay=decay
            )
        elif config.optimiser == "adam":
            self.optimiser = torch.optim.Adam(groups, lr=config.lr, weight_decay=decay, **adam)
        else:
            self.optimiser = torch.optim.AdamW(groups, lr=config.lr, weight_decay=decay, **adam)
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self._config = config

    def add(self, loss: torch.Tensor) -> None:
        """Add the gradient of the mean loss of one of the step's episodes, in the order of their numbers."""
        loss.backward()  # type: ignore[no-untyped-call]
        if self._ranks.world > 1 and self._config.reduction == "ordered":
            self._apart.append([each.grad for each in self.parameters])
            self.optimiser.zero_grad(set_to_none=True)

    def step(self, first: int) -> None:
        """Move the weights by the mean gradient of a step's episodes, of which ``first`` is the first.

        Raises:
            RankLostError: another process has ended.
        """
        config, ranks = self._config, self._ranks
        if ranks.world > 1:
            if config.reduction == "ordered":
                sums = ranks.add_in_order(self._apart, self.parameters)
            else:
                sums = ranks.add_fast([each.grad for each in self.parameters], self.parameters)
            self._apart.clear()
            for each, total in zip(self.parameters, sums, strict=True):
                each.grad = total
        if config.episodes_per_step > 1:
            for each in self.parameters:
                if each.grad is not None:
                    each.grad.div_(config.episodes_per_step)
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, config.clip_norm)
        factor = rate_factor(config, first)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """What the optimiser remembers between steps, by name."""
        return {
            f"{index}/{name}": value if isinstance(value, torch.Tensor) else torch.tensor(value)
            for index, memory in self.optimiser.state_dict()["state"].items()
            for name, value in memory.items()
            if value is not None
        }

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        memories: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.items():
            index, _, name = key.partition("/")
            memories.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": memories})


def _groups(model: FewShotMethod, config: TrainConfig) -> list[dict[str, Any]]:
    """The trained parameters by what their rate and their weight decay are."""
    pretrained = {id(each) for each in model.pretrained_parameters()}
    factors = model.rate_factors
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {
        (False, True, 1.0): [],
        (True, True, 1.0): [],
    }
    for name, each in model.named_parameters():
        if each.requires_grad:
            decays = not any(part in name for part in model.undecayed)
            factor = next((factors[start] for start in factors if name.startswith(start)), 1.0)
            groups.setdefault((id(each) in pretrained, decays, factor), []).append(each)
    return [
        {
            "params": parameters,
            "lr": factor * (config.backbone_lr or config.lr if of_backbone else config.lr),
            **({} if decays else {"weight_decay": 0.0}),
        }
        for (of_backbone, decays, factor), parameters in groups.items()
    ]
