"""On a GPU: the plain float32 path against ours in float32 and in bf16, and how near to what the card can do.

torch.compile is measured on request (--compile) and is no part of the pipeline: it takes minutes, needs a
compiler, and sums in an order of its own, so that results would depend on whether it was there.
"""

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from made import VIT, flops_of, noise_loader, random_model
from plain_path import plain_scores
from precision import measure as accuracies
from timing import NothingToMeasureError, Options, Row, print_rows
from torch import Tensor, nn

from fsarctl.config.training_tables import TrainConfig
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.loader import Batch, EpisodeLoader
from fsarctl.episodes.scoring import Scorer
from fsarctl.episodes.training.checkpoint import Training as State
from fsarctl.episodes.training.optimisation import Optimisation
from fsarctl.episodes.training.trainer import READ_AT_ONCE, _learn, _prepare, _read, _Teacher
from fsarctl.execution.device import Machine
from fsarctl.methods import TaskAdapterPlusPlus
from fsarctl.models.precision import Precision

LAYERS = 2
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    backbone: str = VIT
    classes: int = 24
    clips: int = 10
    scored: int = 640
    plain: int = 5
    steps: int = 60
    product: int = 8192
    repeats: int = 3


QUICK = Size("tiny", 5, 2, 2, 1, 2, 256, 1)


@dataclass(frozen=True)
class Measured:
    """``rate``: so many a second; of each ``flops`` and ``waits`` for the GPU; ``mib``: at the peak."""

    rate: float
    flops: float
    mib: float
    waits: float

    @property
    def tflops(self) -> float:
        """TFLOP/s that were reached."""
        return self.rate * self.flops / 1e12


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Until all of it is done."""
    finish(device)
    start = time.perf_counter()
    call()
    finish(device)
    return time.perf_counter() - start


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def counted_waits(device: torch.device) -> Iterator[list[object]]:
    """How often the host waits for the GPU, as CUDA's own calls have it."""
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")


def measure(call: Callable[[], int], device: torch.device, repeats: int) -> Measured:
    """``call`` does some episodes or steps and says how many; what is done once was done before."""
    call()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    count = call()
    taken = median(seconds(call, device) for _ in range(repeats))
    mib = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    with counted_waits(device) as waits:
        call()
    return Measured(count / taken, flops_of(call) / count, mib, len(waits) / count)


def ceiling(side: int, device: torch.device) -> float:
    """TFLOP/s of one bf16 product of two squares."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in "ab")
    left @ right
    taken = min(seconds(lambda: [left @ right for _ in range(10)], device) for _ in range(5)) / 10
    return float(2 * side**3 / taken / 1e12)


def model_of(size: Size, precision: Precision, device: torch.device, compiled: bool) -> TaskAdapterPlusPlus:
    """Random weights, except for the tiny one."""
    model = random_model(size.backbone, LAYERS, precision=precision).to(device)
    if compiled:
        for part in ("prefix", "alone", "together"):
            setattr(model.visual, part, torch.compile(getattr(model.visual, part)))
    return model


def everything_on(batch: Batch, device: torch.device) -> Batch:
    """The episode, its tokens included, which the plain path looks up at once."""
    moved = batch.to(device)
    return Batch(moved.episode, moved.support, moved.query, moved.tokens.to(device), moved.targets)


def evaluation(size: Size, folder: Path, device: torch.device, compiled: bool) -> dict[str, Measured]:
    """Episodes of clips that were all seen before: what one more episode costs."""
    found = {}
    for precision in PRECISIONS:
        model = model_of(size, precision, device, compiled)
        loader = noise_loader(model, folder, classes=size.classes, clips=size.clips, way=5, shot=1)
        scorer = Scorer(model, loader, room=Room(memory=2**36))

        def ours(scorer: Scorer = scorer) -> int:
            kept = [scores.score for _, scores in scorer.score(range(size.scored))]
            return sum(map(len, kept))

        if precision == "float32":
            batches = [everything_on(loader.load(number), device) for number in range(size.plain)]

            @torch.inference_mode()
            def plain(model: TaskAdapterPlusPlus = model, batches: list[Batch] = batches) -> int:
                for batch in batches:
                    support, query = model.normalise(batch.support), model.normalise(batch.query)
                    plain_scores(model, support, query, batch.tokens)
                return len(batches)

            found["plain"] = measure(plain, device, size.repeats)
        found[precision] = measure(ours, device, size.repeats)
    return found


def training(size: Size, folder: Path, device: torch.device, compiled: bool) -> dict[str, Measured]:
    """Steps of the training loop, crops drawn anew, read and sent while the one before is computed."""
    found = {}
    for precision in PRECISIONS:
        model = model_of(size, precision, device, compiled)
        how = {"stream": "train", "crop": "clip"}
        loader = noise_loader(model, folder, classes=size.classes, clips=size.clips, way=5, shot=1, **how)
        optimisation = Optimisation(model, TrainConfig(lr=1e-6))

        def ours(
            model: TaskAdapterPlusPlus = model,
            loader: EpisodeLoader = loader,
            optimisation: Optimisation = optimisation,
        ) -> int:
            classes, _ = _prepare(model, loader, TrainConfig())
            lessons = _Teacher(model, loader, classes, None, 0).lessons(range(size.steps))
            at_once = READ_AT_ONCE["cuda"]
            state, unread = State(), []
            for number, lesson in enumerate(lessons):
                unread.append((number, _learn(model, optimisation, lesson, None)))
                optimisation.step(number)
                if len(unread) == at_once or number + 1 == size.steps:
                    _read(unread, state, loader, TrainConfig(episodes=size.steps), model.scored_by)
                    unread.clear()
            return size.steps

        if precision == "float32":
            batches = [everything_on(loader.load(number), device) for number in range(min(3, size.steps))]
            embedding = nn.Parameter(
                torch.zeros(1, model.frames, 1, model.visual.vit.conv1.out_channels, device=device)
            )

            def plain(
                model: TaskAdapterPlusPlus = model,
                batches: list[Batch] = batches,
                embedding: Tensor = embedding,
                optimiser: torch.optim.Optimizer = optimisation.optimiser,
            ) -> int:
                for batch in batches:
                    optimiser.zero_grad(set_to_none=True)
                    support, query = model.normalise(batch.support), model.normalise(batch.query)
                    scores = plain_scores(
                        model, support, query, batch.tokens, touch=lambda tokens: tokens + embedding
                    )
                    model.loss(scores, batch.targets).backward()
                    optimiser.step()
                return len(batches)

            found["plain"] = measure(plain, device, size.repeats)
        found[precision] = measure(ours, device, size.repeats)
    return found


def rows_of(what: str, found: dict[str, Measured], limit: float, asked: str) -> list[Row]:
    """The lines of evaluation or of training."""
    plain, rows = found["plain"], []
    for precision in PRECISIONS:
        ours = found[precision]
        target = asked if precision == "bf16" else ""
        name = f"{what}, {precision}"
        rows += [
            Row(f"{name}: a second", f"{ours.rate:.1f}", f"{plain.rate:.2f}", ours.rate / plain.rate, target),
            Row(f"{name}: TFLOP/s, and of the bf16 ceiling", f"{ours.tflops:.2f}", f"{limit:.2f}",
                ours.tflops / limit, "0.40" if precision == "bf16" else ""),
            Row(f"{name}: GFLOP each", f"{ours.flops / 1e9:.1f}", f"{plain.flops / 1e9:.1f}",
                plain.flops / ours.flops, ""),
        ]  # fmt: skip
        if ours.mib:
            rows += [
                Row(f"{name}: MiB at the peak", f"{ours.mib:.0f}", f"{plain.mib:.0f}",
                    plain.mib / ours.mib, ""),
                Row(f"{name}: waits for the GPU, each", f"{ours.waits:.3f}", "", None, ""),
            ]  # fmt: skip
    return rows


def main(options: Options) -> None:
    """Print the table.

    Raises:
        NothingToMeasureError: there is no GPU.
    """
    device = Machine().choose_device()
    if device.type != "cuda" and not options.quick:
        raise NothingToMeasureError(
            "torch sees no GPU here, so nothing was measured; --quick runs it at a tiny size on the CPU"
        )
    size = QUICK if options.quick else Size()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU, to see that it works"
    limit = ceiling(size.product, device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for what, one, asked in (("episodes", evaluation, "40"), ("training steps", training, "10")):
            (place / what).mkdir()
            rows += rows_of(what, one(size, place / what, device, False), limit, asked)
            if options.compile:
                compiled = one(size, place / what, device, True)
                rows += rows_of(f"{what}, compiled", compiled, limit, asked)
    rows += accuracies(options, device)
    print_rows(f"GPU: {size.backbone}, L = {LAYERS}, 5-way 1-shot, 8 frames, on {name}", rows)


if __name__ == "__main__":
    main(Options(quick=not torch.cuda.is_available()))
