"""How often the interval over shared clips holds the truth, where the truth is known: docs/comparing.md.

    PYTHONPATH=tests python -m simulations.shared_clips_coverage --worlds 200

A world is classes with clips. Two people have a copy each, from which clips are missing at random; each
draws episodes of her own and scores them with a model of her own. Whether a query is right depends on its
class, on itself, and on the clips that support its class and the others; much of that is alike for both
models. The truth is the difference of the models for these classes, over all clips that there might be.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from fsarctl.results.exchange.comparison import SharedComparison, compare_exported
from fsarctl.results.exchange.reading import ExportedClip, ExportedResult
from fsarctl.results.predictions import Predictions

WAY = 5
MISSING = 0.15
BETTER = 0.4  # of the log odds
POPULATION = 50_000


@dataclass(frozen=True)
class World:
    """Log odds of being right: of a class (classes,), and of each clip as query and as support (2, clips)."""

    classes: np.ndarray
    asking: np.ndarray
    supporting: np.ndarray

    @classmethod
    def drawn(cls, random: np.random.Generator, classes: np.ndarray, each: int) -> "World":
        clips = len(classes) * each
        alike, own = random.normal(size=clips), random.normal(size=(2, clips))
        asking = 1.2 * (0.8 * alike + 0.6 * own)
        supporting = 0.5 * (0.8 * random.normal(size=clips) + 0.6 * random.normal(size=(2, clips)))
        return cls(classes, asking, supporting + 0.2 * asking)

    def odds(self, model: int, label: np.ndarray, query: np.ndarray, own: np.ndarray, others: np.ndarray):
        """``own`` (..., shot) supports the query's class, ``others`` (..., more) other classes."""
        support = self.supporting[model]
        helped = support[own].mean(-1) - 0.5 * support[others].mean(-1)
        return BETTER * model + self.classes[label] + self.asking[model][query] + helped

    def truth(self, random: np.random.Generator, shot: int) -> float:
        """Of clips without end, of these classes."""
        size = POPULATION // len(self.classes)
        wide = World.drawn(random, self.classes, size)
        label = np.repeat(np.arange(len(self.classes)), size)
        query = np.arange(len(label))
        own = label[:, None] * size + random.integers(size, size=(len(label), shot))
        others = random.integers(len(label), size=(len(label), shot * (WAY - 1)))
        shares = [1 / (1 + np.exp(-wide.odds(m, label, query, own, others))) for m in (0, 1)]
        return float(np.mean(shares[1] - shares[0]))


def exported(
    random: np.random.Generator, world: World, each: int, model: int, shot: int, episodes: int
) -> ExportedResult:
    """One person's result, on a copy of her own."""
    count = len(world.classes)
    there = [np.nonzero(random.random(each) >= MISSING)[0] + label * each for label in range(count)]
    there = [
        rows if len(rows) > shot else label * each + np.arange(shot + 1) for label, rows in enumerate(there)
    ]
    classes = np.stack([random.permutation(count)[:WAY] for _ in range(episodes)])
    drawn = [[random.permutation(there[label])[: shot + 1] for label in row] for row in classes]
    support, query = np.array(drawn)[..., 1:], np.array(drawn)[..., 0]
    targets = np.tile(np.arange(WAY), (episodes, 1))
    others = np.stack([np.delete(support, k, axis=1).reshape(episodes, -1) for k in range(WAY)], 1)
    odds = world.odds(model, classes, query, support, others)
    right = random.random(odds.shape) < 1 / (1 + np.exp(-odds))
    predicted = np.where(right, targets, (targets + 1) % WAY)
    scores = (predicted[..., None] == np.arange(WAY)).astype(np.float32)
    labels = tuple(f"class {label}" for label in range(count))
    clips = tuple(
        ExportedClip(f"{label}/{n}", label, f"{place:03}{n:061}")
        for place, label in enumerate(labels)
        for n in range(each)
    )
    kept = np.concatenate(there)
    place = np.full(len(clips), -1)
    place[kept] = np.arange(len(kept))
    record = {"way": WAY, "shot": shot, "query": 1, "query_mode": "independent"}
    made = Predictions(labels, classes, place[support], place[query], targets, scores)
    return ExportedResult("", "", "", record, made, tuple(clips[row] for row in kept))


def compared(
    random: np.random.Generator, *, classes: int, each: int, shot: int, episodes: int
) -> tuple[SharedComparison, float]:
    """A comparison of two people's results in a world of its own, and the truth."""
    world = World.drawn(random, random.normal(size=classes), each)
    pair = [exported(random, world, each, model, shot, episodes) for model in (0, 1)]
    return compare_exported(*pair), world.truth(random, shot)


def coverage(worlds: int, seed: int, **size: int) -> tuple[float, float, float]:
    """The share of worlds whose interval over clips holds the truth, its half-width, and the error."""
    random = np.random.default_rng(seed)
    inside, width, error = 0, 0.0, 0.0
    for _ in range(worlds):
        found, truth = compared(random, **size)
        interval = found.found.intervals["clips"]
        inside += interval.low <= truth <= interval.high
        width += interval.half_width / worlds
        error += (found.found.difference - truth) / worlds
    return inside / worlds, width, error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    print(f"| classes | clips of each | shots | episodes | covers | half-width | error |\n{'|---' * 7}|")
    for size in (
        {"classes": 5, "each": 10, "shot": 1, "episodes": 300},
        {"classes": 12, "each": 6, "shot": 1, "episodes": 300},
        {"classes": 12, "each": 20, "shot": 5, "episodes": 1000},
        {"classes": 24, "each": 100, "shot": 1, "episodes": 1000},
        {"classes": 24, "each": 100, "shot": 5, "episodes": 1000},
        {"classes": 24, "each": 100, "shot": 1, "episodes": 4000},
    ):
        share, width, error = coverage(worlds, 0, **size)
        cells = [*size.values(), f"{100 * share:.0f} %", f"{100 * width:.1f}", f"{100 * error:+.1f}"]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
