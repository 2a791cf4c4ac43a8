"""[model]: the few-shot method, its backbone, and what it trains."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from fsarctl.config.methods import TASK_ADAPTER, find_method, method_names
from fsarctl.config.plugins import Part, is_own, require_known
from fsarctl.config.setting_field import require, setting
from fsarctl.errors import ConfigError

__all__ = [
    "AdapterKind",
    "AdapterStart",
    "AlignmentKind",
    "FORMULATION_CROPS",
    "FORMULATION_OPTIONS",
    "MetricName",
    "ModelConfig",
    "ONLY_WITH",
    "OrderPosition",
    "Position",
    "Precision",
    "RandomCrop",
    "Residual",
    "SHARED_SETTINGS",
    "ScoreKind",
    "SegmentReading",
    "Strategy",
    "SubActionUse",
    "TaskPosition",
    "TrxShots",
    "WITHOUT_ADAPTERS",
]

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
ScoreKind = Literal["both", "video", "text"]
Precision = Literal["float32", "bf16"]
Residual = Literal["query", "key"]
SegmentReading = Literal["cosine_of_mean", "mean_of_cosines"]
AdapterStart = Literal["zero", "default"]
RandomCrop = Literal["clip", "frame"]

SHARED_SETTINGS = (
    *("method", "options", "backbone", "weights", "precision"),
    *("visual_layers", "text_layers"),
)
"""The settings of [model] that every method has, and those whose defaults follow the dataset."""

FORMULATION_CROPS: Mapping[str, RandomCrop] = {"paper": "clip", "released": "frame"}
"""Formulation -> how it draws training crops, where [model] crop leaves it open."""

ONLY_WITH: Mapping[str, tuple[str, str]] = {
    "alignment_layers": ("alignment", "attention"),
    "alignment_residual": ("alignment", "attention"),
    "alignment_norm": ("alignment", "attention"),
    "trx_shots": ("metric", "trx"),
}
"""An option of [model] that one value of another alone has a use for: which, and that value."""

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
        TASK_ADAPTER,
        "the few-shot method, of those that `fsarctl methods` lists; the other settings of this table but "
        "options, backbone, weights and precision are task-adapter++'s. Your own: package.module:name",
        part="methods",
        later=True,
    )
    options: Mapping[str, Any] = setting(
        {}, "of a method other than task-adapter++, by name; `fsarctl methods NAME` lists them", later=True
    )
    backbone: str = setting(
        "ViT-B-16-quickgelu",
        "tiny for the shipped one, or the name of an open_clip ViT or ResNet (RN50), or of a torchvision "
        "ResNet (resnet50-imagenet), which has no text encoder; or your own, as package.module:name",
        part="backbones",
    )
    weights: str = setting(
        "openai",
        "a tag of open_clip or torchvision, a local file, random (for tests), or shipped (with backbone = "
        "tiny)",
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
    score: ScoreKind = setting(
        "both",
        "the video score, the video-text score, or their product (Eq. 18); both is the video score where the "
        "backbone is frozen and has no text encoder",
    )
    logit_scale: float = setting(64.0, "the score is multiplied by this before the cross-entropy")
    precision: Precision = setting(
        "float32",
        "float32: the same numbers on every device, but for their last digits; bf16: the encoders multiply "
        "in bfloat16, many times faster on a GPU, and about three times on a CPU that has it (as `fsarctl "
        "doctor` says). What is trained, scores and loss are float32 either way",
    )
    alignment_residual: Literal["", Residual] = setting(
        "", "Eq. 15 adds the frame that asks or the one that answers; empty: as the formulation"
    )
    alignment_norm: Literal["", True, False] = setting(
        "", "a LayerNorm on the alignment attention's output; empty: as the formulation"
    )
    segments: Literal["", SegmentReading] = setting(
        "", "Eq. 16-17: cosine of a segment's mean, or mean of its cosines; empty: as the formulation"
    )
    temporal_embedding: Literal["", True, False] = setting(
        "", "a learned offset for each frame before ln_pre; empty: as the formulation"
    )
    task_adapter_start: Literal["", AdapterStart] = setting(
        "", "W2 of the Task adapter starts at zero or like any layer; empty: as the formulation"
    )
    crop: Literal["", RandomCrop] = setting(
        "", "training crops are drawn once for a clip or for each frame; empty: as the formulation"
    )

    def overrides(self) -> dict[str, object]:
        """The formulation's options that this table sets itself, by the formulation's names."""
        values = {name: getattr(self, name) for name in FORMULATION_OPTIONS}
        options = {name: value for name, value in values.items() if value != ""}
        return options if self.metric == "protonet" else {**options, "video_metric": self.metric}

    @property
    def other_method(self) -> Part | None:
        """The method, if it is not Task-Adapter++ with one of its strategies."""
        return find_method(self.method)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.method != TASK_ADAPTER or self.strategy != "frozen"

    @property
    def trained_name(self) -> str:
        """What the trained model is called in results and tables."""
        return self.strategy if self.method == TASK_ADAPTER else self.method

    def _require_own_settings(self) -> None:
        if self.method == TASK_ADAPTER:
            require(not self.options, f"options are for another method than {self.method}")
            return
        others = [
            each
            for each in fields(self)
            if each.name not in SHARED_SETTINGS and getattr(self, each.name) != each.default
        ]
        if others:
            are = "is" if len(others) == 1 else "are"
            instead = " ".join(f"--set model.{each.name}={json.dumps(each.default)}" for each in others)
            raise ConfigError(
                f"{' and '.join(each.name for each in others)} {are} for method = {TASK_ADAPTER}, and method"
                f" is {self.method}",
                next_step=f"Take {'it' if are == 'is' else 'them'} out of [model], or add: "
                + instead.replace('"', ""),
            )

    def __post_init__(self) -> None:
        require_known("methods", self.method, method_names())
        require_known("metrics", self.metric, get_args(MetricName))
        if is_own(self.backbone):
            require_known("backbones", self.backbone, ())
        self._require_own_settings()
        has_adapters = self.strategy not in WITHOUT_ADAPTERS
        require(
            has_adapters or not self.adapters, f"strategy is {self.strategy}, which has no adapters to choose"
        )
        require(
            len(set(self.adapters)) == len(self.adapters),
            f"adapters is {list(self.adapters)}; each may stand there once",
        )
        require(
            1 <= self.alignment_layers <= 3,
            f"alignment_layers is {self.alignment_layers}; it must be within 1 and 3",
        )
        for name, (other, needed) in ONLY_WITH.items():
            require(
                getattr(self, other) == needed or getattr(self, name) == getattr(ModelConfig, name),
                f"{name} is for {other} = {needed}, and {other} is {getattr(self, other)}",
            )
        require(self.visual_layers >= 1, f"visual_layers is {self.visual_layers}; it must be 1 or more")
        require(self.text_layers >= 1, f"text_layers is {self.text_layers}; it must be 1 or more")
        require(0 < self.logit_scale < math.inf, f"logit_scale is {self.logit_scale}; it must be above 0")

    @property
    def random_if_frozen(self) -> str:
        """What has weights of its own and so knows nothing without training, as a sentence; "" if nothing."""
        learned = {"metric = trx": self.metric == "trx", "alignment = conv1d": self.alignment == "conv1d"}
        parts = [name for name, there in learned.items() if there]
        return f"the weights of {' and '.join(parts)} are random, since nothing trains them" if parts else ""
