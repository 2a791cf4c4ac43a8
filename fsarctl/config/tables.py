"""Every setting of fsarctl.toml: one frozen dataclass per table, each field documented once, here.

The rule that keeps caching honest: a table holds what changes a result; what does not (workers,
device, verbosity, where the cache is) is a flag. Reading the file, the environment and ``--set`` is
``fsarctl.config.sources``; this module knows only what is valid.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from itertools import product
from typing import Any, ClassVar, Literal, get_args

from fsarctl.config.parts import Part, find_part, require_known
from fsarctl.errors import ConfigError

__all__ = [
    "AblateConfig",
    "FORMULATION_CROPS",
    "ONLY_WITH",
    "WITHOUT_ADAPTERS",
    "Config",
    "DatasetConfig",
    "DescribeConfig",
    "EvalConfig",
    "ExtractConfig",
    "ModelConfig",
    "PAPER_LAYERS",
    "RowConfig",
    "SIDED",
    "SPLITS",
    "Shortcut",
    "TrainConfig",
    "keyed",
    "setting",
]

SPLITS = ("train", "val", "test")

Strategy = Literal["frozen", "full", "aim", "task-adapter", "task-adapter++"]
AdapterKind = Literal["temporal", "spatial", "task", "joint", "order"]
Position = Literal["top", "bottom", "all"]
TaskPosition = Literal["before", "between", "after"]
OrderPosition = Literal["before", "after"]
SubActionUse = Literal["none", "average", "concatenate", "stages"]
AlignmentKind = Literal["none", "attention", "conv1d"]
MetricName = Literal[
    "protonet", "protonet_frames", "protonet_means", "protonet_sequence", "bi_mhm", "otam", "trx"
]
TrxShots = Literal["prototypes", "pooled"]


Shortcut = Literal["transposed", "transposed-scoring", "test-selection", "released"]


def setting(default: Any, meaning: str, *, part: str = "", later: bool = False) -> Any:
    """A field with its default and its meaning; ``fsarctl config show`` and the README print both.

    ``part``: it names one of a group of ``fsarctl.config.parts``, fsarctl's or somebody else's.
    ``later``: it came when there were keys already, and leaves them as they are at its default.
    """
    facts = {"meaning": meaning, "part": part, "later": later}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=facts)
    return field(default=default, metadata=facts)


def keyed(table: Any) -> dict[str, Any]:
    """The settings of a table that enter keys, with their values."""
    return {
        each.name: getattr(table, each.name)
        for each in fields(table)
        if not each.metadata.get("later") or getattr(table, each.name) != _default(each)
    }


def _default(each: "Field[Any]") -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message, next_step="Correct it in fsarctl.toml, or override it with --set.")


@dataclass(frozen=True)
class DatasetConfig:
    """[datasets.NAME]: where clips come from."""

    kind: str = setting(
        "folder",
        "shapes: rendered here; folder: root/<class>/<clip>; benchmark: a public one whose splits ship; "
        "list: a file of paths and labels; or your own, as package.module:name",
        part="datasets",
    )
    name: Literal["", "hmdb51", "ucf101", "kinetics100", "ssv2-small", "ssv2-full"] = setting(
        "", "benchmark: hmdb51, ucf101, kinetics100, ssv2-small or ssv2-full"
    )
    root: str = setting(
        "", "where the videos are; folder: one directory per class; list: what its paths are relative to"
    )
    file: str = setting("", "list: lines of path,label[,split], as CSV, or of a path and a label, as text")
    label_map: str = setting(
        "", "folder, list: the file that says what labels that are numbers mean: classInd.txt, label_map.txt"
    )
    splits: Mapping[str, tuple[str, ...]] = setting(
        {}, "train, val and test, each a list of class names; without splits every class is a test class"
    )
    split_file: str = setting("", "the splits as a CSV file instead: lines of class,split")
    split_ratio: tuple[float, ...] = setting(
        (), "the splits by lot instead: shares of the classes for train, val and test, e.g. [0.6, 0.2, 0.2]"
    )
    group: str = setting(
        "",
        "a pattern on a clip's name (class/file) whose captures are its person, camera or recording, e.g. "
        "'_(g\\d+)_': support and query of an episode share none; hmdb51, ucf101: recording is theirs",
    )
    group_file: str = setting("", "the groups as a CSV file instead: lines of clip,group")
    group_column: str = setting("", "list: the column that holds the groups instead")
    options: Mapping[str, Any] = setting({}, "a kind of your own: what it is given, by name")
    clips_per_class: int = setting(20, "shapes: videos rendered for each class")
    seed: int = setting(0, "shapes: every video is a function of this; split_ratio: which lot is drawn")

    def settings(self) -> tuple[str, ...]:
        """The settings that mean something for this kind."""
        return ("kind", *KIND_SETTINGS.get(self.kind, OWN_KIND_SETTINGS))

    @property
    def grouped(self) -> bool:
        """Whether its clips are in groups that an episode keeps apart."""
        return bool(self.group or self.group_file or self.group_column)

    @property
    def own_kind(self) -> Part | None:
        """The part that opens this dataset, if it is not fsarctl's."""
        return find_part("datasets", self.kind, KIND_SETTINGS)

    def __post_init__(self) -> None:
        require_known("datasets", self.kind, KIND_SETTINGS)
        for each in fields(self):
            _require(
                each.name in self.settings() or getattr(self, each.name) == _default(each),
                f"{each.name} is not for kind = {self.kind}; that reads {', '.join(self.settings()[1:])}",
            )
        _require(
            self.kind not in ("folder", "benchmark") or bool(self.root), f"a {self.kind} dataset needs root"
        )
        _require(
            self.kind != "benchmark" or bool(self.name),
            f"a benchmark dataset needs name, one of {', '.join(PAPER_LAYERS)}",
        )
        _require(self.kind != "list" or bool(self.file), "a list dataset needs file")
        _require(
            set(self.splits) <= set(SPLITS),
            f"splits may name {', '.join(SPLITS)}, not {', '.join(sorted(set(self.splits) - set(SPLITS)))}",
        )
        ways = [way for way in ("splits", "split_file", "split_ratio") if getattr(self, way)]
        _require(len(ways) <= 1, f"{' and '.join(ways)} both say what the splits are; keep one")
        groups = [way for way in ("group", "group_file", "group_column") if getattr(self, way)]
        _require(len(groups) <= 1, f"{' and '.join(groups)} both say what the groups are; keep one")
        self._check_group()
        ratio = self.split_ratio
        _require(
            not ratio or (len(ratio) == len(SPLITS) and min(ratio) >= 0 < sum(ratio) < math.inf),
            f"split_ratio is {list(ratio)}; it must be three shares, for {', '.join(SPLITS)}",
        )
        _require(
            self.clips_per_class >= 1, f"clips_per_class is {self.clips_per_class}; it must be 1 or more"
        )

    def _check_group(self) -> None:
        if not self.group:
            return
        if self.group == RECORDING:
            _require(
                self.name in RECORDED_BENCHMARKS,
                f"group = {RECORDING} is for the benchmarks {', '.join(RECORDED_BENCHMARKS)}; elsewhere it is"
                r" a pattern with what tells clips apart in brackets, such as 'person(\d+)'",
            )
            return
        try:
            captures = re.compile(self.group).groups
        except re.error as error:
            raise ConfigError(
                f"group = {self.group!r} is no pattern: {error}",
                next_step=r"It is a regular expression on the clip's name, such as 'person(\d+)'.",
            ) from None
        _require(
            captures > 0,
            f"group = {self.group!r} captures nothing; put what tells persons or recordings apart in"
            r" brackets, such as 'person(\d+)'",
        )


RECORDING = "recording"
RECORDED_BENCHMARKS = ("hmdb51", "ucf101")

KIND_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "shapes": ("clips_per_class", "seed"),
    "folder": ("root", "splits", "split_file", "split_ratio", "seed", "label_map", "group", "group_file"),
    "benchmark": ("name", "root", "group", "group_file"),
    "list": (
        *("file", "root", "splits", "split_file", "split_ratio", "seed", "label_map"),
        *("group", "group_file", "group_column"),
    ),
}

OWN_KIND_SETTINGS = ("root", "file", "options", "group", "group_file")

PAPER_LAYERS: Mapping[str, tuple[int, int]] = {
    "hmdb51": (2, 8),
    "ucf101": (2, 8),
    "kinetics100": (2, 8),
    "ssv2-small": (6, 2),
    "ssv2-full": (6, 2),
}
"""Benchmark -> L, M of section 4.3: what [model] visual_layers and text_layers are unless they are set."""

SIDED = ("ssv2-small", "ssv2-full")
"""Benchmarks of which classes differ in left and right ("from left to right", "from right to left")."""


@dataclass(frozen=True)
class DescribeConfig:
    """[describe]: how a label becomes three sub-actions."""

    source: Literal["corpus", "openai"] = setting(
        "corpus", "corpus: written files; openai: any OpenAI-compatible server"
    )
    files: tuple[str, ...] = setting((), "corpus: your own JSON files, looked up before the shipped ones")
    missing: Literal["error", "label"] = setting(
        "error", "corpus: a label that no file describes is an error, or stands for all three stages itself"
    )
    model: str = setting("gpt-4o", "openai: the model's name on that server")
    base_url: str = setting("", "openai: the server, e.g. http://localhost:8000/v1; empty means OpenAI's own")
    template: str = setting("", "openai: your prompt template; empty means prompts/sub_actions.txt")
    temperature: float = setting(0.0, "openai: sampling temperature")
    price_in: float = setting(0.0, "openai: what a million prompt tokens cost, for the estimate; in no key")
    price_out: float = setting(0.0, "openai: what a million answered tokens cost; 0 and 0: no estimate")

    def __post_init__(self) -> None:
        _require(0 <= self.temperature <= 2, f"temperature is {self.temperature}; it must be within 0 and 2")
        for name in ("price_in", "price_out"):
            price = getattr(self, name)
            _require(0 <= price < math.inf, f"{name} is {price}; it must be 0 or more")


@dataclass(frozen=True)
class ExtractConfig:
    """[extract]: which frames are kept, and how large."""

    frames: int = setting(8, "frames per clip, one from the middle of each of as many equal segments")
    candidates: int = setting(
        1,
        "frames kept of each segment of the clips trained on: training draws one anew for each episode. "
        "Odd: the middle one is the segment's middle, which alone is kept, and seen, elsewhere",
    )
    size: int = setting(0, "side of the stored square, pixels; 0 means 1.15 times what the backbone reads")
    resize: Literal["squash", "aspect"] = setting(
        "squash", "squash: the whole picture, its sides scaled alike or not; aspect: its middle square"
    )

    def __post_init__(self) -> None:
        _require(2 <= self.frames <= 256, f"frames is {self.frames}; it must be within 2 and 256")
        _require(
            1 <= self.candidates <= 31 and self.candidates % 2 == 1,
            f"candidates is {self.candidates}; it must be odd, within 1 and 31",
        )
        _require(self.size == 0 or self.size >= 16, f"size is {self.size}; it must be 0, or 16 or more")


METHODS = ("task-adapter++",)
SHARED_SETTINGS = ("method", "options", "backbone", "weights", "precision", "visual_layers", "text_layers")
"""The settings of [model] that every method has, and those whose defaults follow the dataset."""

FORMULATION_CROPS: Mapping[str, Literal["clip", "frame"]] = {"paper": "clip", "released": "frame"}
"""Formulation -> how it draws training crops, where [model] crop leaves it open."""

ONLY_WITH: Mapping[str, tuple[str, str, Any]] = {
    "alignment_layers": ("alignment", "attention", 1),
    "alignment_residual": ("alignment", "attention", ""),
    "alignment_norm": ("alignment", "attention", ""),
    "trx_shots": ("metric", "trx", "prototypes"),
}
"""An option of [model] that one value of another alone has a use for: which, that value, its own default."""

WITHOUT_ADAPTERS = ("frozen", "full")

FORMULATION_OPTIONS = (
    "alignment_residual",
    "alignment_norm",
    "segments",
    "temporal_embedding",
    "task_adapter_start",
    "crop",
)


@dataclass(frozen=True)
class ModelConfig:
    """[model]: the frozen backbone, and where the adapters go."""

    method: str = setting(
        "task-adapter++",
        "the few-shot method; the other settings of this table but backbone, weights and precision are "
        "task-adapter++'s. Your own: package.module:name",
        part="methods",
        later=True,
    )
    options: Mapping[str, Any] = setting(
        {}, "a method other than task-adapter++: its options, by name", later=True
    )
    backbone: str = setting(
        "ViT-B-16-quickgelu",
        "an open_clip ViT's name, or tiny for the shipped one; or your own, as package.module:name",
        part="backbones",
    )
    weights: str = setting(
        "openai", "an open_clip tag, a local file, random (for tests), or shipped (with backbone = tiny)"
    )
    formulation: Literal["paper", "released"] = setting(
        "paper", "the paper's equations, or those of the authors' released code"
    )
    strategy: Strategy = setting(
        "task-adapter++",
        "what is trained: nothing (frozen), the whole CLIP (full), or adapters: aim (T, S, joint), "
        "task-adapter (also Task), task-adapter++ (also order)",
    )
    adapters: tuple[AdapterKind, ...] = setting(
        (), "these adapters instead of the strategy's, e.g. task alone; empty means the strategy's"
    )
    visual_layers: int = setting(
        2,
        "L: visual blocks with adapters; unless set, the paper's for train.dataset: 6 for SSv2, else 2; "
        "without effect if visual_position is all",
    )
    visual_position: Position = setting("top", "which end of the ViT the L blocks are at, or all of them")
    task_position: TaskPosition = setting("after", "Task-MSA before, between or after T-MSA and S-MSA")
    text_layers: int = setting(
        8,
        "M: text blocks with adapters; unless set, the paper's for train.dataset: 2 for SSv2, else 8; "
        "without effect if text_position is all",
    )
    text_position: Position = setting(
        "top", "which end of the text encoder the M blocks are at, or all of them"
    )
    order_position: OrderPosition = setting("after", "O-MSA before or after a text block's own attention")
    sub_actions: SubActionUse = setting(
        "stages",
        "none: the label alone; average: mean of the three features; concatenate: one prompt; "
        "stages: each matched with its segment. All but stages match the mean over frames",
    )
    alignment: AlignmentKind = setting(
        "attention", "of query frames with text: none, attention to the next frame, or a 1-D convolution"
    )
    alignment_layers: int = setting(1, "attention: layers, 1 to 3; each makes the video one frame shorter")
    metric: str = setting(
        "protonet",
        "the video score; protonet is the reading that the formulation says. Your own: package.module:name",
        part="metrics",
    )
    trx_shots: TrxShots = setting(
        "prototypes", "trx: a query meets class prototypes (Eq. 11), or the tuples of all shots, pooled"
    )
    score: Literal["both", "video", "text"] = setting(
        "both", "the video score, the video-text score, or their product (Eq. 18)"
    )
    logit_scale: float = setting(64.0, "the score is multiplied by this before the cross-entropy")
    precision: Literal["float32", "bf16"] = setting(
        "float32",
        "float32: the same numbers on every device, but for their last digits; bf16: the encoders multiply "
        "in bfloat16, many times faster on a GPU. What is trained, scores and loss are float32 either way",
    )
    alignment_residual: Literal["", "query", "key"] = setting(
        "", "Eq. 15 adds the frame that asks or the one that answers; empty: as the formulation"
    )
    alignment_norm: Literal["", True, False] = setting(
        "", "a LayerNorm on the alignment attention's output; empty: as the formulation"
    )
    segments: Literal["", "cosine_of_mean", "mean_of_cosines"] = setting(
        "", "Eq. 16-17: cosine of a segment's mean, or mean of its cosines; empty: as the formulation"
    )
    temporal_embedding: Literal["", True, False] = setting(
        "", "a learned offset for each frame before ln_pre; empty: as the formulation"
    )
    task_adapter_start: Literal["", "zero", "default"] = setting(
        "", "W2 of the Task adapter starts at zero or like any layer; empty: as the formulation"
    )
    crop: Literal["", "clip", "frame"] = setting(
        "", "training crops are drawn once for a clip or for each frame; empty: as the formulation"
    )

    def overrides(self) -> dict[str, object]:
        """The formulation's options that this table sets itself, by the formulation's names."""
        values = {name: getattr(self, name) for name in FORMULATION_OPTIONS}
        options = {name: value for name, value in values.items() if value != ""}
        return options if self.metric == "protonet" else {**options, "video_metric": self.metric}

    @property
    def own_method(self) -> Part | None:
        """The method, if it is not Task-Adapter++ with one of its strategies."""
        return find_part("methods", self.method, METHODS)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.method not in METHODS or self.strategy != "frozen"

    @property
    def trained_name(self) -> str:
        """What the trained model is called in results and tables."""
        return self.strategy if self.method in METHODS else self.method

    def _require_own_settings(self) -> None:
        if self.method in METHODS:
            _require(not self.options, f"options are for another method than {self.method}")
            return
        for each in fields(self):
            if each.name not in SHARED_SETTINGS and getattr(self, each.name) != each.default:
                _require(False, f"{each.name} is for method = {METHODS[0]}, and method is {self.method}")

    def __post_init__(self) -> None:
        require_known("methods", self.method, METHODS)
        require_known("metrics", self.metric, get_args(MetricName))
        self._require_own_settings()
        has_adapters = self.strategy not in WITHOUT_ADAPTERS
        _require(
            has_adapters or not self.adapters, f"strategy is {self.strategy}, which has no adapters to choose"
        )
        _require(
            len(set(self.adapters)) == len(self.adapters),
            f"adapters is {list(self.adapters)}; each may stand there once",
        )
        _require(
            1 <= self.alignment_layers <= 3,
            f"alignment_layers is {self.alignment_layers}; it must be within 1 and 3",
        )
        for name, (other, needed, default) in ONLY_WITH.items():
            _require(
                getattr(self, other) == needed or getattr(self, name) == default,
                f"{name} is for {other} = {needed}, and {other} is {getattr(self, other)}",
            )
        _require(self.visual_layers >= 1, f"visual_layers is {self.visual_layers}; it must be 1 or more")
        _require(self.text_layers >= 1, f"text_layers is {self.text_layers}; it must be 1 or more")
        _require(0 < self.logit_scale < math.inf, f"logit_scale is {self.logit_scale}; it must be above 0")

    @property
    def random_if_frozen(self) -> str:
        """What has weights of its own and so knows nothing without training, as a sentence; "" if nothing."""
        learned = {"metric = trx": self.metric == "trx", "alignment = conv1d": self.alignment == "conv1d"}
        parts = [name for name, there in learned.items() if there]
        return f"the weights of {' and '.join(parts)} are random, since nothing trains them" if parts else ""


@dataclass(frozen=True)
class TrainConfig:
    """[train]: episodic training of the adapters, one set per shot."""

    dataset: str = setting("", "which [datasets.NAME] the base and validation classes come from")
    shots: tuple[int, ...] = setting((1, 3, 5), "K: one adapter set is trained for each")
    way: int = setting(5, "C: classes in an episode")
    query: int = setting(1, "query videos per class; in joint mode another number makes another task")
    epochs: int = setting(10, "passes; the model is validated after each and the best one kept")
    episodes: int = setting(1000, "episodes in an epoch")
    episodes_per_step: int = setting(
        1, "episodes whose gradients make an optimiser step, as their mean", later=True
    )
    val_episodes: int = setting(1000, "validation episodes after each epoch, the same ones every time")
    optimiser: Literal["sgd", "adam", "adamw"] = setting(
        "sgd", "SGD (the paper's), Adam, or AdamW", later=True
    )
    lr: float = setting(1e-3, "learning rate")
    backbone_lr: float = setting(0.0, "the same for weights of the backbone in full fine-tuning; 0: lr")
    momentum: float = setting(0.0, "momentum of SGD")
    weight_decay: float = setting(0.0, "weight decay; of adamw apart from the gradient, else in it")
    schedule: Literal["constant", "steps", "cosine"] = setting(
        "constant", "of the learning rate: the same always, in steps, or half a cosine down to 0", later=True
    )
    steps: tuple[tuple[float, float], ...] = setting(
        (), "schedule = steps: [epoch, factor] pairs, e.g. [[6, 0.1], [8, 0.01]]", later=True
    )
    warmup: float = setting(0.0, "epochs in which the rate rises in a line to what it is to be", later=True)
    warmup_from: float = setting(0.0, "the factor that the rise starts from", later=True)
    clip_norm: float = setting(0.0, "a step's gradient is shortened to this norm; 0: never", later=True)
    flip: bool = setting(
        False,
        "mirror a training clip in one of two draws, anew for each episode; not where left and right matter",
        later=True,
    )
    seed: int = setting(0, "episode i, its crops and the adapters' start are pure functions of this")
    prefix_crops: int = setting(
        0,
        "random crops that a clip has in all of training, so that what is below the adapters is computed "
        "once; 0: drawn anew for each episode",
    )

    def __post_init__(self) -> None:
        _check_episode_shape(self.way, self.query, self.shots)
        for name in ("epochs", "episodes", "val_episodes"):
            _require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be 1 or more")
        _check_seed(self.seed)
        _require(0 < self.lr < math.inf, f"lr is {self.lr}; it must be above 0")
        _require(0 <= self.backbone_lr < math.inf, f"backbone_lr is {self.backbone_lr}; it must be 0 or more")
        _require(0 <= self.momentum < 1, f"momentum is {self.momentum}; it must be 0 or more and below 1")
        _require(self.prefix_crops >= 0, f"prefix_crops is {self.prefix_crops}; it must be 0 or more")
        _require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}; it must be 0 or more")
        together = self.episodes_per_step
        _require(together >= 1, f"episodes_per_step is {together}; it must be 1 or more")
        _require(
            self.episodes % together == 0,
            f"episodes_per_step is {together}; it must divide the {self.episodes} episodes of an epoch",
        )
        _require(
            self.momentum == 0 or self.optimiser == "sgd",
            f"momentum is for optimiser = sgd, and optimiser is {self.optimiser}",
        )
        _require(
            bool(self.steps) == (self.schedule == "steps"),
            "steps and schedule = steps go together: [epoch, factor] pairs",
        )
        epochs = [epoch for epoch, _ in self.steps]
        _require(
            epochs == sorted(set(epochs)) and all(factor >= 0 for _, factor in self.steps),
            f"steps is {list(map(list, self.steps))}; its epochs must rise, and factors be 0 or more",
        )
        _require(0 <= self.warmup <= self.epochs, f"warmup is {self.warmup}; it must be within 0 and epochs")
        _require(0 <= self.warmup_from <= 1, f"warmup_from is {self.warmup_from}; it must be within 0 and 1")
        _require(
            self.warmup_from == 0 or self.warmup > 0, "warmup_from is the start of a warm-up, and warmup is 0"
        )
        _require(0 <= self.clip_norm < math.inf, f"clip_norm is {self.clip_norm}; it must be 0 or more")


@dataclass(frozen=True)
class EvalConfig:
    """[eval]: C-way K-shot episodes of novel classes."""

    dataset: str = setting("", "which [datasets.NAME] the novel classes come from")
    split: Literal["test", "val"] = setting("test", "which classes; the test split is touched by eval alone")
    shots: tuple[int, ...] = setting((1, 3, 5), "K: one row of the table each; --shots replaces it")
    way: int = setting(5, "C: classes in an episode")
    query: int = setting(1, "query videos per class; in joint mode another number makes another task")
    query_mode: Literal["joint", "independent"] = setting(
        "joint", "joint: queries of an episode see each other, as in the paper; independent: each alone"
    )
    episodes: int = setting(10000, "episodes per shot")
    seed: int = setting(0, "episode i is a pure function of this and i")
    frozen: bool = setting(True, "also evaluate the frozen backbone on the same episodes")

    def __post_init__(self) -> None:
        _check_episode_shape(self.way, self.query, self.shots)
        _check_seed(self.seed)
        _require(self.episodes >= 1, f"episodes is {self.episodes}; it must be 1 or more")


def _check_seed(seed: int) -> None:
    _require(0 <= seed < 2**63, f"seed is {seed}; it must be 0 or more and below 2^63")


def _check_episode_shape(way: int, query: int, shots: tuple[int, ...]) -> None:
    _require(way >= 2, f"way is {way}; it must be 2 or more")
    _require(query >= 1, f"query is {query}; it must be 1 or more")
    _check_shots(shots)


def _check_shots(shots: tuple[int, ...]) -> None:
    _require(bool(shots), "shots is empty; name one or more")
    _require(all(shot >= 1 for shot in shots), f"shots is {list(shots)}; each must be 1 or more")
    _require(len(set(shots)) == len(shots), f"shots is {list(shots)}; each may stand there once")


@dataclass(frozen=True)
class RowConfig:
    """One row of a sweep: settings that replace the file's, or a shortcut to be measured.

    ``method`` pins all of [model] that the method's name says (``fsarctl/results/methods.toml``); ``set``
    stands above it.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    set: Mapping[str, Any] = field(default_factory=dict)
    method: Literal["", Strategy] = ""
    cells: tuple[str, ...] = ()
    against: str = ""
    shortcut: Literal["", Shortcut] = ""
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AblateConfig:
    """[ablate.NAME]: a sweep of your own, for ``fsarctl ablate NAME``."""

    title: str = setting("", "printed above the table")
    source: str = setting("", "where the sweep comes from, e.g. a table of a paper")
    shots: tuple[int, ...] = setting((1,), "K: a column of the table each; --shots replaces it")
    baseline: str = setting("", "the row that all others are compared with; empty means the first")
    columns: tuple[str, ...] = setting(
        (),
        "what stands before the accuracy: a setting (model.metric) or a heading of the paper's tables "
        "(method, order), both read from what was evaluated; or a heading of your own, with the rows' cells",
    )
    values: Mapping[str, tuple[Any, ...]] = setting(
        {}, 'settings and their values, e.g. "model.metric" = ["otam", "trx"]: every combination is a row'
    )
    rows: tuple[RowConfig, ...] = setting(
        (),
        "or the rows themselves: name, set (settings and values); optional: method (a strategy, and all that "
        "its name says), cells, against, paper",
    )

    def __post_init__(self) -> None:
        _require(
            bool(self.rows) != bool(self.values),
            "a sweep has either rows or values, and at least one of them",
        )
        _require(all(self.values.values()), "each of a sweep's values is a list that holds something")
        names = [row.name for row in self.expanded]
        _require(
            all(name.strip() and name.isprintable() for name in names),
            "a row's name is empty, or has line breaks or control characters",
        )
        texts = (self.title, self.source, *self.columns, *(cell for row in self.rows for cell in row.cells))
        _require(
            all(text.isprintable() for text in texts),
            "a title, source, column or cell has line breaks or control characters",
        )
        _require(
            not any(key in row.set for row in self.expanded for key in ("train.shots", "eval.shots")),
            "a row has no shots of its own: `shots` of the sweep, or --shots, is a column each",
        )
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        _require(not twice, f"several rows are called {', '.join(twice)}")
        known = {"", *names}
        for reference in (self.baseline, *(row.against for row in self.rows)):
            _require(
                reference in known,
                f"the baseline {reference!r} is none of the rows: {', '.join(names)}",
            )
        _require(
            all(len(row.cells) in (0, len(self.columns)) for row in self.rows),
            "a row has as many cells as there are columns, or none",
        )
        _check_shots(self.shots)

    @property
    def expanded(self) -> tuple[RowConfig, ...]:
        """The rows, those of ``values`` made up: the last setting changes fastest."""
        if self.rows:
            return self.rows
        combinations = [dict(zip(self.values, each, strict=True)) for each in product(*self.values.values())]
        return tuple(
            RowConfig(", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in each.items()), each)
            for each in combinations
        )

    def reference(self, row: RowConfig) -> str:
        """The name of the row that ``row`` is compared with."""
        return row.against or self.baseline or self.expanded[0].name


@dataclass(frozen=True)
class Config:
    """The whole file."""

    datasets: Mapping[str, DatasetConfig] = field(default_factory=dict)
    describe: DescribeConfig = field(default_factory=DescribeConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    ablate: Mapping[str, AblateConfig] = field(default_factory=dict)
