"""Episodes: drawn, loaded, trained on and evaluated."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fsarctl.episodes.batch_sampler import EpisodeSampler
    from fsarctl.episodes.sampler import Episode, sample_episode

__all__ = ["Episode", "EpisodeSampler", "sample_episode"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"sampler": ["Episode", "sample_episode"], "batch_sampler": ["EpisodeSampler"]}
)
