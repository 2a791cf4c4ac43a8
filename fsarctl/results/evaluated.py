"""What was evaluated, in words: a table's methods and ticks, read from the settings in the key of a result.

A row of a sweep says what it wants; what it got is what these settings say. Needs no torch.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fsarctl.config.methods import TASK_ADAPTER
from fsarctl.config.model_table import ModelConfig, Strategy
from fsarctl.config.plugins import is_own
from fsarctl.errors import ConfigError
from fsarctl.models.backbone_catalogue import BLOCKS, architecture
from fsarctl.models.strategies import STRATEGIES, TITLES, adapters_of, frozen_title, title_of

__all__ = ["COLUMNS", "Evaluated", "called", "is_tick", "require_columns"]

YES, NO, NONE = "✓", "×", "–"
TICKS = {"✓", "✔", "✅", "☑", "√", "×", "✗", "✘", "❌", "☐"}
NAMED = re.compile(
    r"(?<!\w)(?:(?P<plusplus>task[\s_-]?adapter\s?\+\+)|(?P<plain>task[\s_-]?adapter(?!\w))"
    r"|(?P<full>full[\s_-]fine[\s_-]?tuning(?!\w))|(?P<frozen>frozen(?!\w))|(?P<aim>(?-i:AIM)(?!\w)))",
    re.IGNORECASE,
)
STRATEGY_NAMED = {"plusplus": "task-adapter++", "plain": "task-adapter"}


@dataclass(frozen=True)
class Evaluated:
    """The settings of one evaluated model, as its unit's key has them.

    ``model`` holds the fields of [model]; those that have no effect on a frozen model are their defaults.
    ``settings`` are all that entered the keys of training and evaluation, by dotted name.
    """

    model: Mapping[str, Any]
    way: int
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, config: Mapping[str, Any], training: Mapping[str, Any]) -> "Evaluated":
        """Of an evaluation's (or a shortcut's) key, and of its training's ({} where nothing was trained)."""
        if "oracle" in config:
            model = {**vars(ModelConfig()), "method": f"oracle of {config['oracle']}"}
            return cls(model, config["way"], {f"eval.{name}": value for name, value in config.items()})
        model = {**vars(ModelConfig()), **{name: _plain(value) for name, value in config["model"].items()}}
        # A shortcut always trains; an evaluation says whether there were adapters.
        if not config.get("adapted", "shortcut" in config):
            model |= {"strategy": "frozen", "adapters": ()}
        testing = config.get("eval", config)
        trained = {**training, **config.get("train", {})}
        return cls(
            model,
            testing["way"],
            {
                **{f"model.{name}": value for name, value in model.items()},
                **{f"train.{name}": v for name, v in trained.items() if name not in ("model", "shot")},
                **{f"eval.{name}": v for name, v in testing.items() if not isinstance(v, Mapping)},
            },
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The adapters that were trained; those of the text only where text is read."""
        if self.is_own:
            return ()
        kinds = adapters_of(self.model["strategy"], self.model["adapters"] or None)
        return tuple(kind for kind in kinds if kind != "order" or self.reads_text)

    @property
    def is_own(self) -> bool:
        """Whether it is another method than Task-Adapter++, of whose parts nothing is known here."""
        return bool(self.model["method"] != TASK_ADAPTER)

    @property
    def reads_text(self) -> bool:
        """Whether the score has a text part, as far as is known."""
        return not self.is_own and self.model["score"] != "video"

    @property
    def method(self) -> str:
        """What people call it, and in which of its parts it is not that."""
        model = self.model
        metric = [f"metric {model['metric']}"] * (is_own(model["metric"]) and model["score"] != "text")
        strategy: Strategy = model["strategy"]
        if self.is_own:
            return title_of(str(model["method"]))
        if strategy == "frozen":
            return ", ".join([frozen_title(model["backbone"]), *metric])
        if model["adapters"] and {*model["adapters"]} != {*STRATEGIES[strategy]}:
            return ", ".join(["adapters " + ", ".join(adapters_of(strategy, model["adapters"])), *metric])
        if strategy == "task-adapter++":
            changed = [f"sub-actions {SUB_ACTIONS[model['sub_actions']]}"]
            changed *= model["sub_actions"] != "stages"
            changed += [f"alignment {_aligned_by(self)}"] * (model["alignment"] != "attention")
        else:
            parts = ["sub-actions"] * (model["sub_actions"] != "none")
            parts += ["alignment"] * (model["alignment"] != "none")
            changed = [f"with {' and '.join(parts)}"] * bool(parts)
        return ", ".join([TITLES[strategy], *changed, *metric])

    def named(self, text: str) -> str:
        """``text``, with what was evaluated after it where it names a method that this is not."""
        found = {STRATEGY_NAMED.get(kind, kind) for kind in map(_kind, NAMED.finditer(text))}
        if not found or [self.method] == [TITLES[each] for each in found]:
            return text
        return f"{text} [evaluated: {self.method}]"

    def cells(self, columns: Sequence[str], said: Sequence[str]) -> list[str]:
        """A row's cells: read from the settings where the column is known, else as ``said``, if it is."""
        given = said or [""] * len(columns)
        return [self._cell(column, text) for column, text in zip(columns, given, strict=True)]

    def _cell(self, column: str, said: str) -> str:
        if read := COLUMNS.get(_loosely(column)):
            return read(self) if not self.is_own or read in OF_ANY_METHOD else NONE
        if column.startswith(DOTTED):
            value = self.settings.get(column, NONE)
            return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        return self.named(said)


def called(model: str, config: Mapping[str, Any]) -> str:
    """What people call the model of a result: its method, and in which of its parts it is not that.

    ``model``: its name in the result; ``config``: of the evaluation's key.
    """
    return Evaluated.of(config, {}).method if model in TITLES else title_of(model)


def require_columns(sweep: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Refuse ticks of which nobody can say whether they are true; ``rows`` are the rows' cells.

    Raises:
        ConfigError: a tick stands in a column that is no known one.
    """
    for number, column in enumerate(columns):
        known = _loosely(column) in COLUMNS or column.startswith(DOTTED)
        if not known and any(is_tick(cells[number]) for cells in rows if cells):
            raise ConfigError(
                f"sweep {sweep!r} has ticks in column {column!r}, and what they stand for is not known",
                next_step=f"Ticks are read from what was evaluated: call the column {', '.join(HEADINGS)} or "
                'like a setting ("model.alignment"), or write words in it.',
            )


def is_tick(cell: str) -> bool:
    """Whether a cell is a tick or a cross."""
    return cell.strip().replace("\ufe0f", "") in TICKS


def _plain(value: Any) -> Any:
    """A part that is not fsarctl's is named by its target; lists, which JSON has, are tuples."""
    if isinstance(value, Mapping) and "part" in value:
        return value["part"]
    return tuple(value) if isinstance(value, list) else value


def _kind(match: re.Match[str]) -> str:
    return match.lastgroup or ""


def _loosely(heading: str) -> str:
    """A heading in small letters, without hyphens, plurals and what the paper's tables say around it."""
    words = re.sub(r"[^a-z0-9+&. ]+", " ", heading.casefold()).split()
    return " ".join(word.removesuffix("s") for word in words if word not in ("adaptation", "adapting", "the"))


def _mark(test: Callable[[Evaluated], bool]) -> Callable[[Evaluated], str]:
    return lambda each: YES if test(each) else NO


def _blocks(each: Evaluated, branch: str) -> tuple[str, int, int]:
    """Position, layers and blocks of a branch; no layers where it has no adapters."""
    table = {"visual": "vision_cfg", "text": "text_cfg"}[branch]
    layers = architecture(each.model["backbone"]).get(table, {}).get("layers", BLOCKS)
    # A ResNet's is a list; it has no adapters to place, and need not have a text encoder.
    blocks = layers if isinstance(layers, int) else 0
    kinds = {*each.kinds} & {"order"} if branch == "text" else {*each.kinds} - {"order"}
    position: str = each.model[f"{branch}_position"]
    count: int = blocks if position == "all" else each.model[f"{branch}_layers"]
    return position, count if kinds else 0, blocks


def _adapted(branch: str) -> Callable[[Evaluated], str]:
    def read(each: Evaluated) -> str:
        position, count, blocks = _blocks(each, branch)
        if not count:
            return "none"
        return "all" if position == "all" else f"{position} {count}" + (" (all)" if count >= blocks else "")

    return read


def _is_partial(each: Evaluated) -> bool:
    _, count, blocks = _blocks(each, "visual")
    return 0 < count < blocks


def _aligned_by(each: Evaluated) -> str:
    if each.model["alignment"] == "attention" and each.reads_text:
        return f"{each.model['alignment_layers']}-layer cross-attention"
    return {"conv1d": "1-D convolution"}.get(each.model["alignment"], "none") if each.reads_text else "none"


def _adapts(*kinds: str) -> Callable[[Evaluated], str]:
    return _mark(lambda each: {*kinds} <= {*each.kinds})


SUB_ACTIONS = {
    "none": "without",
    "average": "averaged features",
    "concatenate": "one prompt",
    "stages": "stage-wise",
}
METRICS = {
    "protonet": "ProtoNet",
    "protonet_frames": "ProtoNet, frame by frame",
    "protonet_means": "ProtoNet of means",
    "protonet_sequence": "ProtoNet of the sequence",
    "bi_mhm": "Bi-MHM",
    "otam": "OTAM",
    "trx": "TRX",
}
SCORES = {"both": "both", "video": "video matching", "text": "video-text matching"}
TASK_MSA = {"before": "before T- and S-MSA", "between": "between them", "after": "after them"}
O_MSA = {"before": "before MSA", "after": "after MSA"}

READ: Mapping[str, Callable[[Evaluated], str]] = {
    "method": lambda each: each.method,
    "frozen backbone": _mark(lambda each: each.model["strategy"] != "full"),
    "AIM": _adapts("temporal", "spatial", "joint"),
    "task-specific": _adapts("task"),
    "partial": _mark(_is_partial),
    "Task-Adapter": _adapts("temporal", "spatial", "task", "joint"),
    "three sub-actions": _mark(lambda each: each.reads_text and each.model["sub_actions"] != "none"),
    "order": _adapts("order"),
    "alignment": _mark(lambda each: each.reads_text and each.model["alignment"] != "none"),
    "alignment module": _aligned_by,
    "sub-actions": lambda each: SUB_ACTIONS[each.model["sub_actions"]] if each.reads_text else "without",
    "score": lambda each: SCORES[each.model["score"]],
    "metric": lambda each: (
        METRICS.get(each.model["metric"], each.model["metric"]) if each.model["score"] != "text" else "none"
    ),
    "way": lambda each: f"{each.way}-way",
    "visual blocks": _adapted("visual"),
    "text blocks": _adapted("text"),
    "Task-MSA": lambda each: TASK_MSA[each.model["task_position"]] if "task" in each.kinds else "none",
    "O-MSA": lambda each: O_MSA[each.model["order_position"]] if "order" in each.kinds else "none",
}
"""Heading of a column -> what stands in it for a model: the columns of the paper's tables."""

ALSO = {
    "task-specific adaptation": "task-specific",
    "partial adapting": "partial",
    "order adapter": "order",
    "order adaptation": "order",
    "cross-modal alignment": "alignment",
    "frozen": "frozen backbone",
    "model": "method",
    "L": "visual blocks",
    "M": "text blocks",
}
"""What the paper, and people, call some of them."""

OF_ANY_METHOD = (READ["method"], READ["way"])
"""What is known of a method that is somebody else's."""

HEADINGS = tuple(READ)
COLUMNS = {_loosely(name): read for name, read in READ.items()}
COLUMNS |= {_loosely(name): READ[of] for name, of in ALSO.items()}
DOTTED = ("model.", "train.", "eval.")
