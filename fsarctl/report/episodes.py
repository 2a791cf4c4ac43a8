"""Which episodes are worth a look: the best, the worst, and the one that the model decides least."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsarctl.results.predictions import Predictions

__all__ = ["Choice", "choose_episodes", "runner_up"]


@dataclass(frozen=True)
class Choice:
    """An episode, and why it was chosen.

    ``margin``: mean over its queries of the true class's score minus the best other one's. ``gap``: mean of
    the best score minus the second best.
    """

    kind: str
    number: int
    accuracy: float
    margin: float
    gap: float


def choose_episodes(predictions: Predictions) -> list[Choice]:
    """Up to three different episodes.

    best: highest accuracy, then largest margin; worst: lowest accuracy, then smallest margin; most confused:
    smallest gap, so the model could as well have said something else.
    """
    scores, targets = predictions.scores, predictions.targets
    true = np.take_along_axis(scores, targets[..., None], -1)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, targets[..., None], -np.inf, -1)
    margin = (true - others.max(-1)).mean(1)
    ranked = np.sort(scores, -1)
    gap = (ranked[..., -1] - ranked[..., -2]).mean(1)
    accuracy = np.array(predictions.episode_accuracies)
    orders = {
        "best": np.lexsort((-margin, -accuracy)),
        "worst": np.lexsort((margin, accuracy)),
        "most confused": np.lexsort((gap,)),
    }
    chosen: list[Choice] = []
    for kind, order in orders.items():
        left = [int(number) for number in order if int(number) not in {each.number for each in chosen}]
        if left:
            number = left[0]
            chosen.append(
                Choice(kind, number, float(accuracy[number]), float(margin[number]), float(gap[number]))
            )
    return chosen


def runner_up(scores: npt.NDArray[np.float32], target: int) -> int:
    """The column that scores best of all but the true one; (way,) scores."""
    others = scores.copy()
    others[target] = -np.inf
    return int(others.argmax())
