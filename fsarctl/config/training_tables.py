"""[train] and [eval]: episodes, and how they are learnt from and scored."""

from dataclasses import dataclass
from typing import Any, Literal

from fsarctl.config.setting_field import (
    check_episode_shape,
    check_seed,
    keyed,
    require,
    require_bounds,
    setting,
)

__all__ = [
    "EvalConfig",
    "QueryMode",
    "TrainConfig",
]

QueryMode = Literal["joint", "independent"]

ELSEWHERE = ("dataset", "shots", "episode_shot", "published")
"""Settings of [train] that are in a key in another form."""


@dataclass(frozen=True)
class TrainConfig:
    """[train]: episodic training of the adapters, one set per shot."""

    dataset: str = setting("", "which [datasets.NAME] the base and validation classes come from")
    published: bool = setting(
        False,
        "the method's settings for the benchmark, which hold where nothing else sets them, stand above this "
        "file's [train] and [model.options] too; --set stands above them",
        later=True,
    )
    shots: tuple[int, ...] = setting((1, 3, 5), "K: one adapter set is trained for each")
    episode_shot: int = setting(
        0,
        "K of the episodes trained on, whatever is evaluated: one training for all shots; 0: the same K",
        later=True,
    )
    way: int = setting(5, "C: classes in an episode")
    query: int = setting(1, "query videos per class; in joint mode another number makes another task")
    epochs: int = setting(10, "passes; the model is validated after each and the best one kept")
    episodes: int = setting(1000, "episodes in an epoch")
    episodes_per_step: int = setting(
        1, "episodes whose gradients make an optimiser step, as their mean", later=True
    )
    reduction: Literal["ordered", "fast"] = setting(
        "ordered",
        "ordered: several processes' gradients are added episode after episode, the same bytes however many "
        "processes there are; fast: as they come, and the last bits depend on their number",
        later=True,
    )
    val_episodes: int = setting(1000, "validation episodes after each epoch, the same ones every time")
    optimiser: Literal["sgd", "adam", "adamw"] = setting(
        "sgd", "SGD (the paper's), Adam, or AdamW", later=True
    )
    lr: float = setting(1e-3, "learning rate")
    backbone_lr: float = setting(0.0, "the same for weights of the backbone in full fine-tuning; 0: lr")
    momentum: float = setting(0.0, "momentum of SGD")
    betas: tuple[float, float] = setting(
        (0.9, 0.999), "adam, adamw: how much of the gradient's two means each step keeps", later=True
    )
    epsilon: float = setting(1e-8, "adam, adamw: added to the denominator", later=True)
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
    base_head: float = setting(
        0.0,
        "weight of an additional loss: a linear classifier of the base classes on the mean feature of each "
        "clip, kept while training alone",
        later=True,
    )
    base_text: float = setting(
        0.0,
        "weight of an additional loss: each clip's mean feature against the texts of all base classes",
        later=True,
    )
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
        check_episode_shape(self.way, self.query, self.shots)
        require_bounds(self, "epochs", "episodes", "val_episodes", "episodes_per_step", least=1)
        require_bounds(self, "lr", "epsilon", above=0)
        require_bounds(self, "episode_shot", "prefix_crops", "backbone_lr", "weight_decay", least=0)
        require_bounds(self, "base_head", "base_text", "clip_norm", least=0)
        require_bounds(self, "warmup_from", least=0, most=1)
        check_seed(self.seed)
        require(0 <= self.momentum < 1, f"momentum is {self.momentum}; it must be 0 or more and below 1")
        together = self.episodes_per_step
        require(
            self.episodes % together == 0,
            f"episodes_per_step is {together}; it must divide the {self.episodes} episodes of an epoch",
        )
        require(
            self.momentum == 0 or self.optimiser == "sgd",
            f"momentum is for optimiser = sgd, and optimiser is {self.optimiser}",
        )
        require(
            bool(self.steps) == (self.schedule == "steps"),
            "steps and schedule = steps go together: [epoch, factor] pairs",
        )
        epochs = [epoch for epoch, _ in self.steps]
        require(
            epochs == sorted(set(epochs)) and all(min(each) >= 0 for each in self.steps),
            f"steps is {list(map(list, self.steps))}; its epochs must rise, and all be 0 or more",
        )
        require(0 <= self.warmup <= self.epochs, f"warmup is {self.warmup}; it must be within 0 and epochs")
        require(
            self.warmup_from == 0 or self.warmup > 0, "warmup_from is the start of a warm-up, and warmup is 0"
        )
        require(
            all(0 <= beta < 1 for beta in self.betas),
            f"betas is {list(self.betas)}; both must be 0 or more and below 1",
        )

    def key(self) -> dict[str, Any]:
        """The settings that enter a training's key, but for what it is trained on and in what episodes."""
        return {name: value for name, value in keyed(self).items() if name not in ELSEWHERE}


@dataclass(frozen=True)
class EvalConfig:
    """[eval]: C-way K-shot episodes of novel classes."""

    dataset: str = setting("", "which [datasets.NAME] the novel classes come from")
    split: Literal["test", "val"] = setting("test", "which classes; the test split is touched by eval alone")
    shots: tuple[int, ...] = setting((1, 3, 5), "K: one row of the table each; --shots replaces it")
    way: int = setting(5, "C: classes in an episode")
    query: int = setting(1, "query videos per class; in joint mode another number makes another task")
    query_mode: QueryMode = setting(
        "joint", "joint: queries of an episode see each other, as in the paper; independent: each alone"
    )
    episodes: int = setting(10000, "episodes per shot")
    seed: int = setting(0, "episode i is a pure function of this and i")
    frozen: bool = setting(True, "also evaluate the frozen backbone on the same episodes")

    def __post_init__(self) -> None:
        check_episode_shape(self.way, self.query, self.shots)
        check_seed(self.seed)
        require(self.episodes >= 1, f"episodes is {self.episodes}; it must be 1 or more")
