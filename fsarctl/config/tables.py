"""The whole of fsarctl.toml: one frozen dataclass per table, each field documented once, there.

The rule that keeps caching honest: a table holds what changes a result; what does not (workers,
device, verbosity, where the cache is) is a flag. Reading the file, the environment and ``--set`` is
``fsarctl.config.read_settings``, and ``validation`` asks the tables what is valid.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal
from unicodedata import normalize

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.setting_field import EngineName, Resize, require, setting
from fsarctl.config.sweep_table import AblateConfig
from fsarctl.config.training_tables import EvalConfig, TrainConfig

__all__ = [
    "FILE_NAME",
    "NAMED_TABLES",
    "OPTIONS",
    "TABLES",
    "Config",
    "DescribeConfig",
    "ExecutionConfig",
    "ExtractConfig",
    "RayConfig",
    "SlurmConfig",
    "TrackingConfig",
]


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
    temperature: float | Literal["none"] = setting(
        0.0, 'openai: sampling temperature; "none" leaves it to the server'
    )
    max_tokens: int = setting(
        0, "openai: longest answer, thoughts included, in tokens; 0 leaves it to the server; in no key"
    )
    price_in: float = setting(0.0, "openai: what a million prompt tokens cost, for the estimate; in no key")
    price_out: float = setting(0.0, "openai: what a million answered tokens cost; 0 and 0: no estimate")

    def __post_init__(self) -> None:
        require(
            self.temperature == "none" or 0 <= self.temperature <= 2,
            f'temperature is {self.temperature}; it must be within 0 and 2, or "none"',
        )
        require(self.max_tokens >= 0, f"max_tokens is {self.max_tokens}; it must be 0 or more")
        for name in ("price_in", "price_out"):
            price = getattr(self, name)
            require(0 <= price < math.inf, f"{name} is {price}; it must be 0 or more")


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
    resize: Resize = setting(
        "squash", "squash: the whole picture, its sides scaled alike or not; aspect: its middle square"
    )

    def __post_init__(self) -> None:
        require(2 <= self.frames <= 256, f"frames is {self.frames}; it must be within 2 and 256")
        require(
            1 <= self.candidates <= 31 and self.candidates % 2 == 1,
            f"candidates is {self.candidates}; it must be odd, within 1 and 31",
        )
        require(self.size == 0 or self.size >= 16, f"size is {self.size}; it must be 0, or 16 or more")


@dataclass(frozen=True)
class CacheConfig:
    """[cache]: where else finished artifacts may be; none of it is in a key."""

    remote: str = setting(
        "",
        "a folder that others push to (s3://bucket/folder, gs://, ssh://, a path): what is finished there is "
        "brought and compared rather than made",
    )


@dataclass(frozen=True)
class RayConfig:
    """[execution.ray]: which cluster, and what a task asks of it; none of it is in a key."""

    address: str = setting("", "the cluster's: host:6379, or auto; empty: one is started on this machine")
    memory_gib: float = setting(0.0, "of a task; 0: what its work is known to need")
    cores: int = setting(0, "of a task; 0: what its work can use")

    def __post_init__(self) -> None:
        _require_sizes("ray", self.memory_gib, self.cores)


SET_OF_SBATCH = (
    *("account", "array", "cpus-per-task", "error", "gpus-per-node", "job-name", "mem", "nodes", "ntasks"),
    *("ntasks-per-node", "open-mode", "output", "partition", "qos", "signal", "time", "wrap"),
)
"""Options that have a setting of their own, or without which a job is none of fsarctl's."""


@dataclass(frozen=True)
class SlurmConfig:
    """[execution.slurm]: what jobs ask of Slurm; none of it is in a key."""

    partition: str = setting("", "the partition; empty: the cluster's default")
    account: str = setting("", "whom the time is charged to; empty: your default")
    qos: str = setting("", "the quality of service; empty: your default")
    time: int = setting(240, "minutes a job may take; one that runs out of them is submitted again")
    detached_time: int = setting(1440, "the same for the job that --detach submits, which submits the others")
    memory_gib: float = setting(0.0, "of a job; 0: what its work is known to need")
    cores: int = setting(0, "of a job; 0: what its work can use")
    gpus: int = setting(0, "GPUs of a job that trains or evaluates, 0 or 1")
    options: Mapping[str, str] = setting({}, 'other options of sbatch, e.g. { constraint = "a100" }')
    setup: tuple[str, ...] = setting((), "shell lines before the work begins, e.g. a module that is loaded")
    array: int = setting(32, "into how many jobs a large unit is divided, at most")

    def __post_init__(self) -> None:
        for name in ("time", "detached_time", "array"):
            require(getattr(self, name) >= 1, f"slurm.{name} is {getattr(self, name)}; it must be 1 or more")
        _require_sizes("slurm", self.memory_gib, self.cores)
        require(
            self.gpus in (0, 1), f"slurm.gpus is {self.gpus}; it must be 0 or 1: `train --gpus` takes more"
        )
        for name in self.options:
            ours = name.replace("_", "-") in SET_OF_SBATCH
            require(
                not ours and bool(re.fullmatch("[a-z][a-z0-9_-]*", name)),
                f"slurm.options has {name!r}; it must be a long option of sbatch that fsarctl leaves to you",
            )
        lines = (self.partition, self.account, self.qos, *self.options.values())
        require(
            all(each.isprintable() for each in lines),
            "slurm has a line break, or what cannot be printed, in a value; each must be one line",
        )


def _require_sizes(table: str, memory_gib: float, cores: int) -> None:
    for name, value in (("memory_gib", memory_gib), ("cores", cores)):
        require(0 <= value < math.inf, f"{table}.{name} is {value}; it must be 0 or more")


@dataclass(frozen=True)
class ExecutionConfig:
    """[execution]: who does the work; none of it is in a key."""

    engine: EngineName = setting(
        "local", "local: this machine; ray, slurm: the machines of a cluster (docs/cluster.md)"
    )
    jobs: int = setting(
        0, "processes that work beside each other; 0: local: this one alone; ray, slurm: as many as it lends"
    )
    tasks_per_gpu: int = setting(1, "local, ray: how many trainings or evaluations share a GPU")
    ray: RayConfig = field(default_factory=RayConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)

    def __post_init__(self) -> None:
        require(self.jobs >= 0, f"jobs is {self.jobs}; it must be 0 or more")
        require(self.tasks_per_gpu >= 1, f"tasks_per_gpu is {self.tasks_per_gpu}; it must be 1 or more")


@dataclass(frozen=True)
class TrackingConfig:
    """[tracking]: who else is told of trainings and results while they are made; none of it is in a key."""

    tools: tuple[Literal["wandb", "mlflow", "tensorboard"], ...] = setting(
        (), "told of each training's curve, each result, their settings and keys, and of the report"
    )
    project: str = setting("fsarctl", "what wandb calls the project, and mlflow the experiment")
    folder: str = setting("tracking", "where they write what goes to no server, from fsarctl.toml")

    def __post_init__(self) -> None:
        require(len(set(self.tools)) == len(self.tools), f"tools is {list(self.tools)}; each may stand once")
        for name in ("project", "folder"):
            require(bool(getattr(self, name).strip()), f"{name} is empty; name one")


@dataclass(frozen=True)
class Config:
    """The whole file."""

    datasets: Mapping[str, DatasetConfig] = field(default_factory=dict)
    describe: DescribeConfig = field(default_factory=DescribeConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    ablate: Mapping[str, AblateConfig] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Label -> what prompts call it, of all datasets."""
        tables = (table.names.items() for table in self.datasets.values())
        return {
            normalize("NFC", label): " ".join(name.split()) for label, name in chain.from_iterable(tables)
        }

    def __post_init__(self) -> None:
        names = self.names
        for table, config in self.datasets.items():
            for label, given in config.names.items():
                name, known = " ".join(given.split()), names[normalize("NFC", label)]
                require(
                    known == name,
                    f"[datasets.{table}.names] calls {label!r} {name!r}, and another dataset {known!r}",
                )


FILE_NAME = "fsarctl.toml"
TABLES: Mapping[str, type[Any]] = {
    "describe": DescribeConfig,
    "extract": ExtractConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "cache": CacheConfig,
    "execution": ExecutionConfig,
    "execution.ray": RayConfig,
    "execution.slurm": SlurmConfig,
    "tracking": TrackingConfig,
}
# Tables of tables: [datasets.NAME], [ablate.NAME].
NAMED_TABLES: Mapping[str, type[Any]] = {"datasets": DatasetConfig, "ablate": AblateConfig}
OPTIONS = "model.options"
