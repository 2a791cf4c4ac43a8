"""How often 95 % intervals hold the truth, where the truth is known: the table of docs/honest-numbers.md.

    PYTHONPATH=tests python -m simulations.interval_coverage --worlds 50

A world is classes; from each come clips, as few as asked, and the project's own episodes of them are scored
by two models. The truth is what thousands of episodes give of which each has clips of its own: of the same
classes (for the interval over clips), or of classes of its own too (for the one over classes). With 200
worlds of each kind, as in the docs, it takes about an hour on a core.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fsarctl.episodes.sampler import sample_episode
from fsarctl.results.clip_intervals import intervals_of
from fsarctl.results.predictions import Predictions

CLIPS = (2, 5, 20, 100)
CLASSES = (3, 5, 24)
WAY = 5


@dataclass(frozen=True)
class Prototypes:
    """Clips are points around their class; the nearest mean of a support set wins, as in ProtoNet.

    ``apart``: standard deviation of the classes' centres, in those of a clip. Clips differ in how far off
    they may lie (a lognormal), classes too. The second model sees 0.8 of that, and an error of its own.
    """

    apart: float
    dimensions: int = 6

    def classes(self, random, shape):
        centres = self.apart * random.normal(size=(*shape, self.dimensions))
        return centres, np.exp(0.3 * random.normal(size=(*shape, 1)))

    def clips(self, random, classes):
        """One clip for each class given, as both models see it."""
        centres, spread = classes
        far = spread * np.exp(0.5 * random.normal(size=spread.shape))
        off = far * random.normal(size=centres.shape)
        return np.stack([centres + off, centres + 0.8 * off + 0.4 * random.normal(size=centres.shape)])

    def right(self, random, classes, support, query, targets, clips):
        """(2, episodes, way): support (2, episodes, way, shot, dimensions), query (2, episodes, way, ...)."""
        means = support.mean(3)  # (2, episodes, way, dimensions)
        near = query @ means.swapaxes(-1, -2) - (means**2).sum(-1)[..., None, :] / 2
        return near.argmax(-1) == targets


@dataclass(frozen=True)
class ClipEffects:
    """The log odds of being right: a mean, and effects of the class, of the other classes, of the clip that
    asks, of the clips that support its class, and of those that support others.

    The effects of one clip are much alike (correlation 0.7), so that a clip that is hard to name also is a
    bad example: the worst case for intervals. The second model is better by half, its effects alike by 0.7.
    """

    mean: float
    query: float
    support: float
    others: float = 0.3
    of_class: float = 0.7

    def classes(self, random, shape):
        effects = self._correlated(random, (2, *shape))  # (models, its own and as another class, ...)
        return np.moveaxis(effects, (0, 1), (-2, -1)), np.zeros((*shape, 1))

    def clips(self, random, classes):
        alike = self._correlated(random, classes[1].shape[:-1])  # (2, ...)
        own = random.normal(size=(2, *alike.shape))
        support, others = 0.7 * alike + 0.714 * own
        return np.stack([self.query * alike, self.support * support, self.others * others], axis=-1)

    def right(self, random, classes, support, query, targets, clips):
        of_class = self.of_class * np.moveaxis(classes[0], -2, 0)  # (models, episodes, way, 2)
        theirs, confused = of_class[..., 0], 0.4 * of_class[..., 1]
        mine = theirs + support[..., 1].mean(3)
        against = confused + support[..., 2].mean(3)
        against = against.sum(2, keepdims=True) - against
        of_query = np.take_along_axis(mine + against, np.broadcast_to(targets, query.shape[:3]), 2)
        odds = self.mean + query[..., 0] + of_query
        odds[1] += 0.5
        return clips_decide(random, clips, odds.shape[1:]) < 1 / (1 + np.exp(-odds))

    @staticmethod
    def _correlated(random, shape):
        first, other = random.normal(size=(2, *shape))
        return np.stack([first, 0.7 * first + 0.714 * other])


def clips_decide(random, clips, shape):
    """Uniform numbers, the same wherever the same clips meet: a model has no luck."""
    if clips is None:
        return random.random(shape)
    support, query = clips
    mixed = (query * 1_000_003 + support.reshape(len(support), -1).sum(1)[:, None] * 104_729) % 100_003
    return random.random(100_003)[mixed]


WORLDS = {
    "clip effects": ClipEffects(0.4, query=1.0, support=1.0),
    "prototypes": Prototypes(2.0),
    "support effects": ClipEffects(0.3, query=0.5, support=2.0, others=0.6),
}


def drawn(classes: int, clips: int, shot: int, episodes: int, seed: int) -> Predictions:
    """The project's own episodes of so many clips, whatever these show; nothing is predicted yet."""
    rows = {f"c{c:02d}": list(range(c * clips, (c + 1) * clips)) for c in range(classes)}
    labels = tuple(sorted(rows))
    made = [
        sample_episode(rows, stream="test", seed=seed, number=n, way=min(WAY, classes), shot=shot, query=1)
        for n in range(episodes)
    ]
    stacked = {name: np.stack([getattr(e, name) for e in made]) for name in ("support", "query", "targets")}
    chosen = np.array([[labels.index(label) for label in e.classes] for e in made])
    return Predictions(labels, chosen, **stacked, scores=np.zeros((0, 0, 0), np.float32))


def truth(world, random, classes, way, shot, episodes):
    """(2,): both models' accuracy over clips without end; of classes without end where these are None."""
    if classes is None:
        classes = world.classes(random, (episodes, way))
    else:
        chosen = random.random((episodes, len(classes[1]))).argsort(1)[:, :way]
        classes = tuple(part[chosen] for part in classes)
    support = np.stack([world.clips(random, classes) for _ in range(shot)], axis=3)
    targets = np.broadcast_to(np.arange(way), (episodes, way))
    right = world.right(random, classes, support, world.clips(random, classes), targets, None)
    return right.reshape(2, -1).mean(1)


def measured(world, random, classes, episodes: Predictions, clips: int):
    """(2, episodes, way): whether both models are right in these episodes of newly drawn clips."""
    expanded = tuple(np.repeat(part, clips, axis=0) for part in classes)
    seen = world.clips(random, expanded)  # (2, clips of all classes, ...)
    of_episode = tuple(part[episodes.classes] for part in classes)
    return world.right(
        random, of_episode, seen[:, episodes.support], seen[:, episodes.query], episodes.targets,
        (episodes.support, episodes.query),
    )  # fmt: skip


def cover(
    world, classes: int, clips: int, *, worlds: int, episodes: int = 1000, shot: int = 1, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Which interval of what -> how often it holds the truth, and its mean half-width; both 0 to 1."""
    random = np.random.default_rng(seed)
    way = min(WAY, classes)
    # The interval of many clips is narrow, and its truth must be known the better.
    enough = 30_000 if clips >= 20 else 2000 + 150 * clips
    of_all = truth(world, random, None, way, shot, 30_000)
    made = drawn(classes, clips, shot, episodes, seed)
    found: dict[str, list[tuple[bool, float]]] = {}
    for _ in range(worlds):
        its = world.classes(random, (classes,))
        of_these = truth(world, random, its, way, shot, enough)
        right = measured(world, random, its, made, clips).astype(np.float64)
        alone = intervals_of(made, right[0])
        paired = intervals_of(made, right[1] - right[0], paired=True)
        for name, interval, true in (
            ("episodes, of these classes", alone["episodes"], of_these[0]),
            ("clips", alone["clips"], of_these[0]),
            ("episodes, of other classes", alone["episodes"], of_all[0]),
            ("classes", alone["classes"], of_all[0]),
            ("difference: episodes", paired["episodes"], of_these[1] - of_these[0]),
            ("difference: clips", paired["clips"], of_these[1] - of_these[0]),
        ):
            found.setdefault(name, []).append((interval.low <= true <= interval.high, interval.half_width))
    return {name: tuple(np.mean(each, axis=0)) for name, each in found.items()}


def lines(worlds: int, shot: int) -> Iterator[str]:
    """The table as Markdown: of each interval how often it holds, in % and in the order of the worlds."""
    head: list[str] = []
    for clips in (n for n in CLIPS if n > shot):
        for classes in CLASSES:
            every = [cover(world, classes, clips, worlds=worlds, shot=shot) for world in WORLDS.values()]
            if not head:
                head = ["clips a class", "classes", *every[0]]
                yield "| " + " | ".join(head) + " |"
                yield "|" + "--:|" * len(head)
            cells = [
                " ".join(f"{100 * found[name][0]:.0f}" for found in every)
                + f" (± {100 * np.mean([found[name][1] for found in every]):.1f})"
                for name in every[0]
            ]
            yield "| " + " | ".join([str(clips), str(classes), *cells]) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200, help="of each kind, for each cell")
    parser.add_argument("--shot", type=int, default=1, help="clips of a class in a support set")
    options = parser.parse_args()
    for line in lines(options.worlds, options.shot):
        print(line, flush=True)
