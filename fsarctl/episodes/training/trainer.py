"""Episodic training of the adapters, chosen on validation, resumable to the bit.

An optimiser step for each ``episodes_per_step`` episodes (section 4.1: SGD, one). After each epoch the same
validation episodes are scored and the best adapters so far are kept; the test split is never seen here.
"""

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.feature_cache import Kept, Room
from fsarctl.episodes.loader import EpisodeLoader, ahead, upload
from fsarctl.episodes.ranks import ALONE, Ranks, require_shares
from fsarctl.episodes.sampler import Episode, random_words
from fsarctl.episodes.scoring import Scorer, require_finite_scores, told
from fsarctl.episodes.training.base_loss import BaseLoss
from fsarctl.episodes.training.checkpoint import Checkpoint, Epoch, Training
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.episodes.training.training_log import Line, Watch
from fsarctl.episodes.training.training_memory import draws_for_clips, free_memory, measure, videos_in_parts
from fsarctl.errors import ConfigError, IntegrityError
from fsarctl.methods.protocol import BaseClasses, FewShotMethod, Lesson, QueryMode, without_pixels
from fsarctl.models.seeding import seeded
from fsarctl.progress import GIB, Advance, Reporter

__all__ = ["Epoch", "Training", "train_adapters"]

CHECKPOINT_EPISODES = 100
CHECKPOINT_SECONDS = 60.0
# Steps whose loss is read at once: a GPU that is asked after each waits for the next one to be launched.
READ_AT_ONCE = {"cpu": 1, "cuda": 20}


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
    of: str = "",
    ranks: Ranks = ALONE,
) -> Training:
    """Train ``model``'s adapters in place and leave the best ones in it.

    The loaders decide which episodes; of ``config`` count epochs, episodes, val_episodes and what
    ``Optimisation`` reads. ``query_mode`` is validation's; ``room`` is for all that is kept. ``watch`` is
    given each line of the log, those from before an interruption too. ``scratch`` holds the checkpoint of the
    build ``of``; a rerun goes on from it and ends with the same bytes. Each of several ``ranks`` learns from
    its share of every step's episodes, and all end with the same weights, those of one process. Where nothing
    can be trained no epoch is, and a note says so.

    Raises:
        RankLostError: another of the ``ranks`` has ended.
        ConfigError: the loss is no longer finite (the checkpoint before it is kept), or crops are fixed for
            a model whose prefix is trained; or ``ranks`` cannot share the work.
        IntegrityError: a frozen weight moved, which is a bug.
    """
    if not model.trainable_parameters():
        reporter.note(
            f"{title}: there is nothing to train; a method whose `trains` says so needs no base classes"
        )
        return Training()
    epochs, episodes, together = config.epochs, config.episodes, config.episodes_per_step
    frozen = model.frozen_digest()
    room = base.room = room or Room()
    scorer = Scorer(model, validation, query_mode, room)
    classes, extra = _prepare(model, base, config)
    _require_shares(model, config, ranks)
    optimisation = Optimisation(model, config, ranks)
    checkpoint = Checkpoint(scratch, of, model, optimisation, ranks)
    state = checkpoint.resumed(reporter)
    prefixes = _prefixes(model, base, room) if base.crops else None
    if state.step:
        reporter.note(f"{title}: going on from episode {state.step} of {epochs * episodes}")
    for before in state.log.lines:
        watch(before)
    saved = time.monotonic()
    unread: list[tuple[int, Tensor]] = []
    at_once = READ_AT_ONCE.get(model.device.type, 1)
    teacher = _Teacher(model, base, classes, prefixes, config.seed)
    if prefixes is None and state.step < epochs * episodes:
        teacher.fit_memory(0 if config.optimiser == "sgd" and not config.momentum else 2, reporter, title)
    # Validation is counted too, so that the time left is told right.
    total = epochs * (episodes + config.val_episodes)
    done = state.step + len(state.epochs) * config.val_episodes
    share = ranks.share(together)
    own = [number for number in range(state.step, epochs * episodes) if number % together in share]
    with (
        closing(teacher.lessons(own)) as lessons,
        reporter.task(title, total, "episode", done=done) as advance,
    ):
        while len(state.epochs) < epochs:
            if state.step == (len(state.epochs) + 1) * episodes:
                # The steps are in the checkpoint already: a kill while validating costs no training.
                accuracy = _validate(model, scorer, config.val_episodes, advance, ranks)
                _finish_epoch(model, state, accuracy, episodes, base.way * base.query)
                watch(state.log.lines[-1])
            else:
                outcomes = [_learn(model, optimisation, next(lessons), extra) for _ in share]
                optimisation.step(state.step)
                unread += enumerate(ranks.gather(torch.stack(outcomes)), start=state.step)
                state.step += together
            late = time.monotonic() - saved > CHECKPOINT_SECONDS
            regular = state.step % (together * max(1, CHECKPOINT_EPISODES // together)) == 0
            due = regular or state.step % episodes == 0 or late
            if unread and (due or len(unread) >= at_once):
                for line in _read(unread, state, base, config, model.scored_by):
                    watch(line)
                detail = _detail(state, state.step % episodes or episodes, base.way * base.query)
                advance(len(unread), detail)
                unread.clear()
            if due:
                checkpoint.save(state)
                saved = time.monotonic()
    model.load_adapter_state(state.best)
    model.eval()
    if model.frozen_digest() != frozen:
        raise IntegrityError(
            "a frozen weight of the backbone moved during training",
            next_step="This is a bug in fsarctl; please report it with --debug output.",
        )
    return state


def _require_shares(model: FewShotMethod, config: TrainConfig, ranks: Ranks) -> None:
    """Refuse what several processes cannot do as one does.

    Raises:
        ConfigError: they have no equal shares of a step, or running statistics go from episode to episode.
    """
    require_shares(config.episodes_per_step, ranks.world)
    if ranks.world > 1 and model.keeps_statistics:
        raise ConfigError(
            "the running statistics of batch normalisation go from episode to episode, in one process",
            next_step="Leave out --gpus, or freeze the backbone.",
        )


def _prefixes(model: FewShotMethod, base: EpisodeLoader, room: Room) -> Kept[int]:
    """The frozen prefix of each clip's fixed crops, each computed once as far as there is room."""
    if not model.prefix_is_constant:
        raise ConfigError(
            "train.prefix_crops keeps what is below the adapters, and in this model it is trained too",
            next_step="Set train.prefix_crops = 0, or leave model.temporal_embedding and full fine-tuning; "
            'other methods than task-adapter++ may have model.options.backbone = "frozen".',
        )
    if model.reads_pixels:
        raise without_pixels()
    device = model.device

    @torch.no_grad()
    def compute(names: list[int]) -> Tensor:
        return model.prefix(model.normalise(upload(base.fixed_crops(names), device)))

    return Kept(compute, room, lasting=base.lasting)


def _prepare(
    model: FewShotMethod, base: EpisodeLoader, config: TrainConfig
) -> tuple[BaseClasses, BaseLoss | None]:
    """The base classes, which the method now knows, and the additional loss over them, if any."""
    device = model.device
    labels = tuple(base.rows)
    classes = BaseClasses(labels, torch.stack([base.tokens[label] for label in labels]).to(device))
    extra = None
    with seeded(torch.Generator().manual_seed(config.seed)):
        model.prepare(classes)
        if config.base_head or config.base_text:
            extra = BaseLoss(model, classes, config)
    model.train()
    return classes, extra


class _Teacher:
    """Training episodes, each computed when it is asked for, as far as their loss is concerned."""

    def __init__(
        self,
        model: FewShotMethod,
        base: EpisodeLoader,
        classes: BaseClasses,
        prefixes: Kept[int] | None,
        seed: int,
    ) -> None:
        self._model, self._base, self._prefixes, self._seed = model, base, prefixes, seed
        self._device = model.device
        self._numbers = {label: number for number, label in enumerate(classes.labels)}
        self._at_once = 0

    def fit_memory(self, moments: int, reporter: Reporter, title: str) -> None:
        """Look at what an episode needs, and let its clips go through in parts where that is too much."""
        model, batch = self._model, self._base.load(0)
        clip = model.normalise(batch.query[0].to(self._device))
        clips = len(batch.query) + len(batch.support) * model.needs_support
        need = measure(model, clip, clips, moments)
        free = free_memory(self._device)
        at_once = need.clips_at_once(free)
        sizes = f"{need.whole / GIB:.1f} GiB for {clips} clips at once, and {free / GIB:.1f} GiB are free"
        if not at_once:
            if need.whole > GIB:
                reporter.note(f"{title}: needs about {sizes}")
            return
        if model.clips_meet:
            reporter.note(f"{title}: needs about {sizes}; the batch normalisation needs them together")
            return
        if draws_for_clips(model, clip):
            reporter.note(
                f"{title}: needs about {sizes}; its dropout draws for all of them together, and in parts it"
                " would draw otherwise: lower train.query or train.way if memory runs out"
            )
            return
        self._at_once = at_once
        reporter.note(f"{title}: needs about {sizes}; they go through {at_once} at a time, twice as long")

    def lessons(self, numbers: Iterable[int]) -> Generator[Lesson, None, None]:
        """What the loss of each of these episodes looks at."""
        model, base = self._model, self._base
        if self._prefixes is not None:
            for episode in map(base.episode, numbers):
                with _drawing(self._seed, episode.number, self._device):
                    videos = model.alone(self._prefixes.of(base.crop_names(episode)))
                    split = episode.support.size
                    support = videos[:split] if model.needs_support else None
                    yield self._lesson(episode, support, videos[split:], base.tokens_of(episode))
            return
        with closing(ahead(lambda number: base.load(number).to(self._device), numbers)) as batches:
            for batch in batches:
                with _drawing(self._seed, batch.episode.number, self._device):
                    support = self._videos(batch.support) if model.needs_support else None
                    lesson = self._lesson(batch.episode, support, self._videos(batch.query), batch.tokens)
                    yield replace(lesson, support_frames=batch.support, query_frames=batch.query)

    def _videos(self, frames: Tensor) -> Tensor:
        return videos_in_parts(self._model, self._model.normalise(frames), self._at_once)

    def _lesson(self, episode: Episode, support: Tensor | None, query: Tensor, tokens: Tensor) -> Lesson:
        model = self._model
        scores = model.score_features(
            None if support is None else model.support_features(support),
            model.query_features(query),
            model.text_features(tokens),
            way=len(episode.classes),
        )
        classes = torch.tensor([self._numbers[label] for label in episode.classes])
        targets = torch.from_numpy(episode.targets)
        return Lesson(scores, upload(targets, self._device), upload(classes, self._device), support, query)


@contextmanager
def _drawing(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """What is drawn within is a function of the seed and the episode alone, and nobody else's draws move."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(random_words("draws", seed, number, 1)[0]) % 2**63)
        yield


def _learn(
    model: FewShotMethod, optimisation: Optimisation, lesson: Lesson, extra: BaseLoss | None
) -> Tensor:
    """Learn from an episode; its loss and how many queries were right, (2,), where the model is.

    Raises:
        ConfigError: nothing that is trained has a part in the loss.
    """
    loss = model.training_loss(lesson)
    if extra is not None:
        loss = loss + extra(lesson)
    if not loss.requires_grad:
        raise ConfigError(
            f"{model.scored_by}: the loss depends on nothing that is trained",
            next_step="Let scores come from what is trained, or say in a method's `trains` that nothing is.",
        )
    optimisation.add(loss)
    right = (lesson.scores.score.argmax(1) == lesson.targets).sum()
    return torch.stack([loss.detach(), right.to(loss.dtype)])


def _read(
    unread: Sequence[tuple[int, Tensor]],
    state: Training,
    base: EpisodeLoader,
    config: TrainConfig,
    scored_by: str,
) -> list[Line]:
    """Add what episodes came to to ``state``. The lines of the log that are due.

    Raises:
        ConfigError: a loss is not finite.
    """
    lines = []
    outcomes = torch.stack([outcome for _, outcome in unread]).tolist()
    for (number, _), (loss, right) in zip(unread, outcomes, strict=True):
        if not math.isfinite(loss):
            learned = number >= config.episodes_per_step
            raise ConfigError(
                f"the loss is {loss} at training episode {number}"
                f" (classes {', '.join(base.episode(number).classes)}); its scores are of {scored_by}",
                next_step="Lower train.lr or model.logit_scale; the last checkpoint before it is kept."
                if learned
                else f"Nothing was learned before it, so it is not the rate: look into {scored_by}.",
            )
        state.loss_sum += loss
        state.correct += int(right)
        sums = (state.loss_sum, state.correct)
        queries = base.way * base.query
        line = state.log.interval(number + 1, *sums, episodes=config.episodes, queries=queries)
        if line:
            lines.append(line)
    return lines


def _validate(
    model: FewShotMethod, scorer: Scorer, val_episodes: int, advance: Advance, ranks: Ranks
) -> float:
    """Accuracy over the validation episodes, the same ones every time, of which each rank scores a part.

    Raises:
        ConfigError: a score is not finite.
    """
    scorer.forget_adapters()
    model.eval()
    seen: list[Episode] = []
    scored, done = [], 0
    for episodes, scores in scorer.score(range(val_episodes), ranks):
        seen += episodes
        scored.append(scores.score)
        more = min(len(episodes) * ranks.world, val_episodes - done)
        done += more
        advance(more, f"validating, {done} of {val_episodes}")
    model.train()
    right = 0
    if seen:
        found = torch.cat(scored).cpu()
        require_finite_scores(model, found, lambda number: told(seen[number], "validation"))
        right = int((found.argmax(-1).numpy() == np.stack([each.targets for each in seen])).sum())
    return ranks.total(right) / (val_episodes * scorer.queries)


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
