"""Episodic training of the adapters, chosen on validation, resumable to the bit.

An optimiser step for each ``episodes_per_step`` episodes (section 4.1: SGD, one). After each epoch the same
validation episodes are scored and the best adapters so far are kept; the test split is never seen here.
"""

import json
import math
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fsarctl.artifacts.atomic_write import replacing
from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.feature_cache import Kept, Room
from fsarctl.episodes.loader import EpisodeLoader, ahead, score_batch, upload
from fsarctl.episodes.optimisation import Optimisation
from fsarctl.episodes.sampler import Episode
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training_log import Line, TrainingLog, Watch
from fsarctl.errors import ConfigError, IntegrityError
from fsarctl.methods.protocol import FewShotMethod, QueryMode, Scores
from fsarctl.progress import Advance, Reporter

__all__ = ["Epoch", "Training", "train_adapters"]

CHECKPOINT_EPISODES = 100
CHECKPOINT_SECONDS = 60.0
# Steps whose loss is read at once: a GPU that is asked after each waits for the next one to be launched.
READ_AT_ONCE = {"cpu": 1, "cuda": 20}


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: mean training loss, and accuracies from 0 to 1."""

    epoch: int
    loss: float
    accuracy: float
    val_accuracy: float


@dataclass
class Training:
    """The state of a training run, all of it in the checkpoint."""

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    log: TrainingLog = field(default_factory=TrainingLog)

    @property
    def best_val_accuracy(self) -> float:
        """Validation accuracy of the adapters that are kept, 0 to 1."""
        return self.epochs[self.best_epoch - 1].val_accuracy if self.best_epoch else -1.0


def train_adapters(
    model: FewShotMethod,
    base: EpisodeLoader,
    validation: EpisodeLoader,
    config: TrainConfig,
    *,
    scratch: Path,
    reporter: Reporter,
    title: str,
    query_mode: QueryMode = "joint",
    room: Room | None = None,
    watch: Watch = lambda line: None,
) -> Training:
    """Train ``model``'s adapters in place and leave the best ones in it.

    The loaders decide which episodes; of ``config`` count epochs, episodes, val_episodes and what
    ``Optimisation`` reads. ``query_mode`` and ``room`` are validation's. ``watch`` is given each line of the
    log, those from before an interruption too. ``scratch`` holds the checkpoint; a rerun goes on from it and
    ends with the same bytes.

    Raises:
        ConfigError: the loss is no longer finite (the checkpoint before it is kept), or crops are fixed for
            a model whose prefix is trained.
        IntegrityError: a frozen weight moved, which is a bug.
    """
    epochs, episodes, together = config.epochs, config.episodes, config.episodes_per_step
    frozen = model.frozen_digest()
    scorer = Scorer(model, validation, query_mode, room)
    optimisation = Optimisation(model, config)
    checkpoint = scratch / "checkpoint.safetensors"
    state = _load(checkpoint, model, optimisation) if checkpoint.exists() else Training()
    prefixes = _prefixes(model, base, room or Room()) if base.crops else None
    if state.step:
        reporter.note(f"{title}: going on from episode {state.step} of {epochs * episodes}")
    for before in state.log.lines:
        watch(before)
    saved = time.monotonic()
    unread: list[tuple[Episode, Tensor]] = []
    at_once = READ_AT_ONCE.get(next(model.parameters()).device.type, 1)
    # Validation is counted too, so that the time left is told right.
    total = epochs * (episodes + config.val_episodes)
    done = state.step + len(state.epochs) * config.val_episodes
    with (
        closing(_scored(model, base, prefixes, range(state.step, epochs * episodes))) as scored,
        reporter.task(title, total, "episode", done=done) as advance,
    ):
        while len(state.epochs) < epochs:
            if state.step == (len(state.epochs) + 1) * episodes:
                # The steps are in the checkpoint already: a kill while validating costs no training.
                accuracy = _validate(scorer, config.val_episodes, advance)
                _finish_epoch(model, state, accuracy, episodes, base.way * base.query)
                watch(state.log.lines[-1])
            else:
                unread.append(_learn(model, optimisation, state.step, *next(scored)))
                state.step += 1
            late = time.monotonic() - saved > CHECKPOINT_SECONDS
            regular = state.step % (together * max(1, CHECKPOINT_EPISODES // together)) == 0
            # Gradients that wait for others of their step are in no checkpoint.
            due = state.step % together == 0 and (regular or state.step % episodes == 0 or late)
            if unread and (due or len(unread) == at_once):
                for line in _read(unread, state, episodes):
                    watch(line)
                detail = _detail(state, state.step % episodes or episodes, base.way * base.query)
                advance(len(unread), detail)
                unread.clear()
            if due:
                _save(checkpoint, model, optimisation, state)
                saved = time.monotonic()
    model.load_adapter_state(state.best)
    if model.frozen_digest() != frozen:
        raise IntegrityError(
            "a frozen weight of the backbone moved during training",
            next_step="This is a bug in fsarctl; please report it with --debug output.",
        )
    return state


def _prefixes(model: FewShotMethod, base: EpisodeLoader, room: Room) -> Kept[int]:
    """The frozen prefix of each clip's fixed crops, each computed once as far as there is room."""
    if not model.prefix_is_constant:
        raise ConfigError(
            "train.prefix_crops keeps what is below the adapters, and in this model it is trained too",
            next_step="Set train.prefix_crops = 0, or leave model.temporal_embedding and full fine-tuning.",
        )
    device = next(model.parameters()).device

    @torch.no_grad()
    def compute(names: list[int]) -> Tensor:
        return model.prefix(model.normalise(upload(base.fixed_crops(names), device)))

    return Kept(compute, room)


def _scored(
    model: FewShotMethod, base: EpisodeLoader, prefixes: Kept[int] | None, numbers: Iterable[int]
) -> Generator[tuple[Episode, Scores], None, None]:
    """Training episodes, each scored when it is asked for."""
    if prefixes is None:
        device = next(model.parameters()).device
        with closing(ahead(lambda number: base.load(number).to(device), numbers)) as batches:
            for batch in batches:
                yield batch.episode, score_batch(model, batch)
        return
    for episode in map(base.episode, numbers):
        videos = model.alone(prefixes.of(base.crop_names(episode)))
        support, query = videos[: episode.support.size], videos[episode.support.size :]
        yield (
            episode,
            model.score_features(
                model.support_features(support) if model.needs_support else None,
                model.query_features(query),
                model.text_features(base.tokens_of(episode)),
                way=len(episode.classes),
            ),
        )


def _learn(
    model: FewShotMethod, optimisation: Optimisation, number: int, episode: Episode, scores: Scores
) -> tuple[Episode, Tensor]:
    """Learn from episode ``number``; its loss and how many queries were right, (2,), where the model is."""
    targets = upload(torch.from_numpy(episode.targets), scores.score.device)
    loss = model.loss(scores, targets)
    optimisation.add(loss, number)
    right = (scores.score.argmax(1) == targets).sum()
    return episode, torch.stack([loss.detach(), right.to(loss.dtype)])


def _read(unread: Sequence[tuple[Episode, Tensor]], state: Training, episodes: int) -> list[Line]:
    """Add the outcome of steps to ``state``; ``episodes`` make an epoch. The lines of the log that are due.

    Raises:
        ConfigError: a loss is not finite.
    """
    lines = []
    outcomes = torch.stack([outcome for _, outcome in unread]).tolist()
    for (episode, _), (loss, right) in zip(unread, outcomes, strict=True):
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss is {loss} at training episode {episode.number}"
                f" (classes {', '.join(episode.classes)})",
                next_step="Lower train.lr or model.logit_scale; the last checkpoint before it is kept.",
            )
        state.loss_sum += loss
        state.correct += int(right)
        sums = (state.loss_sum, state.correct)
        line = state.log.interval(episode.number + 1, *sums, episodes=episodes, queries=episode.query.size)
        if line:
            lines.append(line)
    return lines


def _validate(scorer: Scorer, val_episodes: int, advance: Advance) -> float:
    """Accuracy over the validation episodes, the same ones every time."""
    scorer.forget_adapters()
    targets, answers = [], []
    for episodes, scores in scorer.score(range(val_episodes)):
        targets += [episode.targets for episode in episodes]
        answers.append(scores.score.argmax(-1))
        advance(len(episodes), f"validating, {len(targets)} of {val_episodes}")
    return float((torch.cat(answers).cpu().numpy() == np.stack(targets)).mean())


def _finish_epoch(
    model: FewShotMethod, state: Training, accuracy: float, episodes: int, queries: int
) -> None:
    number = state.step // episodes
    # A tie keeps the earlier epoch, which is the less fitted one.
    better = accuracy > state.best_val_accuracy
    if better:
        state.best_epoch = number
        state.best = {name: tensor.detach().clone() for name, tensor in model.adapter_state().items()}
    train_accuracy = state.correct / (episodes * queries)
    epoch = Epoch(number, state.loss_sum / episodes, train_accuracy, accuracy)
    state.epochs.append(epoch)
    state.log.epoch(**asdict(epoch), kept=better)
    state.loss_sum, state.correct = 0.0, 0


def _detail(state: Training, since_epoch: int, queries: int) -> str:
    accuracy = state.correct / (since_epoch * queries)
    detail = f"epoch {len(state.epochs) + 1} loss {state.loss_sum / since_epoch:.2f} acc {accuracy:.0%}"
    return f"{detail} val {state.epochs[-1].val_accuracy:.0%}" if state.epochs else detail


def _save(path: Path, model: FewShotMethod, optimisation: Optimisation, state: Training) -> None:
    tensors = {f"adapters/{name}": tensor for name, tensor in model.adapter_state().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    tensors |= {f"optimiser/{name}": tensor for name, tensor in optimisation.state().items()}
    facts = {
        "step": state.step,
        "loss_sum": state.loss_sum,
        "correct": state.correct,
        "best_epoch": state.best_epoch,
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "log": asdict(state.log),
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(contiguous, partial, metadata={"training": json.dumps(facts)})


def _load(path: Path, model: FewShotMethod, optimisation: Optimisation) -> Training:
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model.load_adapter_state(_under("adapters/", tensors))
    optimisation.load_state(_under("optimiser/", tensors))
    epochs = [Epoch(**epoch) for epoch in facts.pop("epochs")]
    log = TrainingLog(**facts.pop("log"))
    return Training(**facts, epochs=epochs, log=log, best=_under("best/", tensors))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
