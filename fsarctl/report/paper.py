"""The paper's numbers for what a project evaluates, where its dataset is the paper's."""

from typing import Any

from fsarctl.config.sources import Settings
from fsarctl.models.strategies import title_of
from fsarctl.results.sweeps import overrides_of, sweeps

__all__ = ["paper_numbers"]

SWEEP = "shots"
WAY = 5


def paper_numbers(settings: Settings, benchmark: str) -> list[dict[str, Any]]:
    """Accuracies (0 to 1) of Tables 1 and 2 for the strategy that is set: title, shot, accuracy, source.

    None for another dataset, another way, or settings that are not those of the paper's row.
    """
    config = settings.config
    if config.eval.way != WAY:
        return []
    sweep = sweeps(settings)[SWEEP]
    return [
        {"title": row.name, "shot": int(shot), "accuracy": accuracy / 100, "source": sweep.source}
        for row in sweep.expanded
        if row.name == title_of(config.model.trained_name)
        and settings.changed(overrides_of(row)).config.model == config.model
        for shot, accuracy in row.paper.get(benchmark, {}).items()
    ]
