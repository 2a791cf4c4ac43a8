"""HyRSM++: HyRSM, and a loss that asks for frames that change slowly."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fsarctl.config.setting_field import require_bounds, setting
from fsarctl.methods.frame_method import FrameOptions
from fsarctl.methods.hyrsm.hybrid_relation import Related
from fsarctl.methods.hyrsm.method import HyRSM, RelatedScores
from fsarctl.methods.hyrsm.method import Options as RelationOptions
from fsarctl.methods.hyrsm_plus_plus.temporal_coherence import temporal_incoherence
from fsarctl.methods.protocol import Lesson

__all__ = ["HyRSMPlusPlus", "Options", "incoherence"]

VERSION = 1


@dataclass(frozen=True)
class Options(RelationOptions):
    """What there is to choose."""

    coherence_weight: float = setting(0.2, "gamma: of the loss of temporal coherence")
    window: int = setting(3, "W: frames so near are pulled together, others pushed apart")
    sigma: float = setting(23.0, "how slowly the distance to be kept grows beyond the window")
    balance: float = setting(10.0, "rho: of pushing against pulling")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_bounds(self, "coherence_weight", "window", "balance", least=0)
        require_bounds(self, "sigma", above=0)


class HyRSMPlusPlus(HyRSM):
    """HyRSM++ (arXiv 2301.03330): HyRSM, trained for temporal coherence as well.

    It scores as HyRSM does. Coherence is asked of the frames that are matched: those of the support as each
    query's task makes them, and those of the query.
    """

    Options: ClassVar[type[FrameOptions]] = Options

    def training_loss(self, lesson: Lesson) -> Tensor:
        """L = CE + beta CE of frames + gamma R."""
        scores = lesson.scores
        assert isinstance(scores, RelatedScores)
        assert scores.related_support is not None
        assert scores.related_query is not None
        related = Related(scores.related_support, scores.related_query)
        unrest = incoherence(related, self.options)
        loss: Tensor = super().training_loss(lesson) + self.options.coherence_weight * unrest
        return loss


def incoherence(related: Related, options: Options) -> Tensor:
    """R: mean over the sequences of the support, as every query sees them, plus mean over queries."""
    of_support, of_query = (
        temporal_incoherence(each, window=options.window, sigma=options.sigma, balance=options.balance)
        for each in related
    )
    return of_support + of_query
