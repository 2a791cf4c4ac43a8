"""What is published for what a project evaluates, where its dataset is a public benchmark."""

from typing import Any

from fsarctl.config.methods import TASK_ADAPTER, method_file
from fsarctl.config.model_table import WITHOUT_ADAPTERS
from fsarctl.config.settings import Settings
from fsarctl.config.sweep_table import RowConfig
from fsarctl.models.strategies import TITLES
from fsarctl.results.footnotes import Footnotes
from fsarctl.results.published import TABLES_1_AND_2, WAY, of_benchmark, of_method, of_row
from fsarctl.results.published_rows import published_rows
from fsarctl.results.sweeps import overrides_of

__all__ = ["paper_numbers", "published_on"]


def paper_numbers(settings: Settings, benchmark: str) -> list[dict[str, Any]]:
    """Accuracies (0 to 1) of Tables 1 and 2 for the strategy that is set, with their footnotes.

    None for another dataset, another way, or settings that are not those of the paper's row.
    """
    if not _is_the_papers(settings, benchmark):
        return []
    title = TITLES[settings.config.model.strategy]
    return [
        {
            "title": title,
            "shot": int(shot),
            "accuracy": accuracy / 100,
            "source": TABLES_1_AND_2,
            "footnote": of_row(title, accuracy, TABLES_1_AND_2, benchmark, int(shot), papers=True).footnote,
        }
        for shot, accuracy in of_method(title).get(benchmark, {}).items()
    ]


def published_on(settings: Settings, benchmark: str) -> dict[str, Any]:
    """Everything that is published on the benchmark: rows, the shots that they have, and their footnotes.

    No rows for another way.
    """
    numbers = of_benchmark(benchmark) if settings.config.eval.way == WAY else []
    footnotes = Footnotes()
    rows = published_rows(numbers, footnotes)
    shots = sorted({each.shot for each in numbers if each.shot is not None})
    return {"rows": rows, "shots": shots, "footnotes": footnotes.texts}


def _is_the_papers(settings: Settings, benchmark: str) -> bool:
    """Whether the model that is set is the paper's, as far as [model] says, in the paper's episodes."""
    config = settings.config
    row = RowConfig("", method=config.model.strategy)
    if config.eval.way != WAY or settings.changed(overrides_of(row)).config.model != config.model:
        return False
    if config.model.strategy in WITHOUT_ADAPTERS:
        return True
    published = method_file(TASK_ADAPTER).presets.get(benchmark)
    if published is None:
        return False
    said = {key: value for key, value in published.settings.items() if key.startswith("model.")}
    return all(getattr(config.model, key.removeprefix("model.")) == value for key, value in said.items())
