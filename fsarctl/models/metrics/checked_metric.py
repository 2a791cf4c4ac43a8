"""A metric that somebody else wrote."""

from typing import Any

from torch import Tensor, nn

from fsarctl.config.plugins import Part
from fsarctl.errors import ConfigError

__all__ = ["OwnMetric"]


class OwnMetric(nn.Module):
    """Somebody else's metric, whose answers are looked at."""

    def __init__(self, part: Part, metric: Any) -> None:
        super().__init__()
        if not callable(metric):
            raise ConfigError(
                f"{part.called} is a {type(metric).__name__}, which cannot be called",
                next_step="Name a function of queries (..., Q, T, D) and prototypes (..., C, T, D).",
            )
        self._part = part
        self.metric = metric

    def forward(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Shapes: (..., Q, T, D), (..., C, T, D) -> (..., Q, C).

        Raises:
            ConfigError: the metric gave something else.
            InputError: it failed.
        """
        with self._part.running():
            scores = self.metric(queries, prototypes)
        wanted = (*queries.shape[:-2], prototypes.shape[-3])
        if not isinstance(scores, Tensor) or scores.shape != wanted:
            gave = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ConfigError(
                f"{self._part.called} gave {gave}, not scores of shape {wanted}",
                next_step="Queries (..., Q, T, D) and prototypes (..., C, T, D) make scores (..., Q, C).",
            )
        return scores
