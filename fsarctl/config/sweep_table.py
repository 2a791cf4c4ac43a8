"""[ablate.NAME]: a sweep, and one row of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, Literal, get_args

from fsarctl.config.dataset_table import PROBES, Ability
from fsarctl.config.methods import method_names
from fsarctl.config.model_table import Strategy
from fsarctl.config.setting_field import check_shots, either, require, setting

__all__ = [
    "AblateConfig",
    "RowConfig",
    "Shortcut",
]

Shortcut = Literal[
    "transposed",
    "transposed-scoring",
    "test-selection",
    "released",
    "random-frames",
    "shared-clips",
    "shared-groups",
    "double-speed",
    "true-texts",
]


@dataclass(frozen=True)
class RowConfig:
    """One row of a sweep: settings that replace the file's, or a shortcut or an oracle to be measured.

    ``method`` pins all of [model] that the name of a strategy or method says
    (``fsarctl/results/methods.toml``), a method's published settings among it; ``set`` stands above it.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    set: Mapping[str, Any] = field(default_factory=dict)
    method: str = ""
    cells: tuple[str, ...] = ()
    against: str = ""
    shortcut: Literal["", Shortcut] = ""
    oracle: Literal["", Ability] = ""
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AblateConfig:
    """[ablate.NAME]: a sweep of your own, for ``fsarctl ablate NAME``."""

    title: str = setting("", "printed above the table")
    source: str = setting("", "where the sweep comes from, e.g. a table of a paper")
    shots: tuple[int, ...] = setting((1,), "K: a column of the table each; --shots replaces it")
    seeds: tuple[int, ...] = setting((), "of training and episodes, a run each; --seeds replaces it")
    baseline: str = setting("", "the row that all others are compared with; empty means the first")
    columns: tuple[str, ...] = setting(
        (),
        "what stands before the accuracy: a setting (model.metric) or a heading of the paper's tables "
        "(method, order), both read from what was evaluated; or a heading of your own, with the rows' cells",
    )
    datasets: Mapping[str, Mapping[str, Any]] = setting(
        {},
        "datasets that are columns of the table: name = the settings of [datasets.NAME], or name = {} for "
        "the project's own; each row is trained and evaluated on each",
    )
    set: Mapping[str, Any] = setting(
        {}, "settings of every row, instead of the file's; a row's own and --set stand above them"
    )
    values: Mapping[str, tuple[Any, ...]] = setting(
        {}, 'settings and their values, e.g. "model.metric" = ["otam", "trx"]: every combination is a row'
    )
    rows: tuple[RowConfig, ...] = setting(
        (),
        "or the rows themselves: name, set (settings and values); optional: method (a strategy, and all that "
        f"its name says), cells, against, paper, oracle (on a probe: {either(PROBES)})",
    )
    of_method: bool = setting(
        False,
        "rows with a method are for projects of that method alone, and rows without one for projects of "
        "another method than any of theirs",
    )
    every_method: bool = setting(
        False, "after the rows, one for each of fsarctl's methods, with its published settings"
    )

    def __post_init__(self) -> None:
        require(
            bool(self.rows or self.every_method) != bool(self.values),
            "a sweep has either rows or values, and at least one of them",
        )
        require(all(self.values.values()), "each of a sweep's values is a list that holds something")
        names = [row.name for row in self.expanded]
        require(
            all(name.strip() and name.isprintable() for name in names),
            "a row's name is empty, or has line breaks or control characters",
        )
        texts = (self.title, self.source, *self.columns, *(cell for row in self.rows for cell in row.cells))
        require(
            all(text.isprintable() for text in texts),
            "a title, source, column or cell has line breaks or control characters",
        )
        require(
            not any(key in row.set for row in self.expanded for key in ("train.shots", "eval.shots")),
            "a row has no shots of its own: `shots` of the sweep, or --shots, is a column each",
        )
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        require(not twice, f"several rows are called {', '.join(twice)}")
        for reference in (self.baseline, *(row.against for row in self.rows)):
            require(
                reference in ("", *names),
                f"the baseline {reference!r} is none of the rows: {', '.join(names)}",
            )
        require(
            all(len(row.cells) in (0, len(self.columns)) for row in self.rows),
            "a row has as many cells as there are columns, or none",
        )
        known = list(dict.fromkeys((*get_args(Strategy), *method_names())))
        for row in self.rows:
            require(
                row.method in ("", *known),
                f"row {row.name!r} is of method {row.method!r}; there are {', '.join(known)}",
            )
        require(
            len(set(self.seeds)) == len(self.seeds) and all(seed >= 0 for seed in self.seeds),
            f"seeds is {list(self.seeds)}; each must be 0 or more, and there once",
        )
        given = ("train.dataset", "eval.dataset")
        require(
            not self.datasets or not any(key in row.set for row in self.expanded for key in given),
            "a row has no dataset of its own where datasets are columns",
        )
        check_shots(self.shots)

    @property
    def expanded(self) -> tuple[RowConfig, ...]:
        """The rows, those of ``values`` made up: the last setting changes fastest."""
        if not self.values:
            named = {row.name for row in self.rows}
            others = [name for name in method_names() if self.every_method and name not in named]
            return (*self.rows, *(RowConfig(name, method=name) for name in others))
        combinations = [dict(zip(self.values, each, strict=True)) for each in product(*self.values.values())]
        return tuple(
            RowConfig(", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in each.items()), each)
            for each in combinations
        )

    def reference(self, row: RowConfig) -> str:
        """The name of the row that ``row`` is compared with."""
        return row.against or self.baseline or self.expanded[0].name
