"""Results on disk, and the paired comparison of two of them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsarctl.errors import InputError
from fsarctl.results.intervals import Estimate, estimate, two_sided_p
from fsarctl.results.predictions import Predictions
from fsarctl.results.result import Result, compare, load_result, write_result

NAMES = [f"{label}/{number}" for label in "abc" for number in range(4)]
FACTS = {"split": "test", "way": 2, "shot": 1, "query": 2, "seed": 0, "episodes": 3, "model": "x"}
# Row r belongs to class r // 4. Two queries of each of two classes in each episode.
CLASSES = np.array([[0, 1], [2, 0], [1, 2]])
SUPPORT = np.array([[[0], [4]], [[8], [1]], [[5], [9]]])
QUERY = np.array([[2, 3, 6, 7], [10, 2, 11, 3], [6, 7, 10, 11]])
TARGETS = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]])


def predictions(right: list[list[int]]) -> Predictions:
    """Whose predictions are right where ``right`` is 1."""
    columns = np.where(np.array(right) == 1, TARGETS, 1 - TARGETS)
    scores = np.eye(2, dtype=np.float32)[columns]
    return Predictions(("a", "b", "c"), CLASSES, SUPPORT, QUERY, TARGETS, scores)


def result(folder: Path, made: Predictions, names: list[str] = NAMES, **facts: Any) -> Result:
    folder.mkdir(exist_ok=True)
    write_result(folder, made, names, {**FACTS, **facts})
    return load_result(folder)


FIRST = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
SECOND = [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = result(tmp_path, predictions(FIRST))
    assert found.predictions.episode_accuracies == [0.25, 0.5, 0.25]
    assert found.record["accuracy"] == pytest.approx(1 / 3)
    assert found.record["half_width"] == pytest.approx(estimate([0.25, 0.5, 0.25]).half_width)
    assert found.record["chance"] == 0.5
    assert found.record["model"] == "x"
    assert (found.predictions.support == SUPPORT).all()


def test_one_episode_has_no_interval_in_json(tmp_path: Path) -> None:
    one = predictions(FIRST)
    record = result(tmp_path, one.of([0]), episodes=1).record
    assert record["half_width"] is None
    assert record["intervals"]["episodes"] == {"low": None, "high": None, "count": 1}
    assert record["headline"] == "clips"


def test_a_comparison_is_paired_by_episode(tmp_path: Path) -> None:
    found = compare(result(tmp_path / "a", predictions(FIRST)), result(tmp_path / "b", predictions(SECOND)))
    differences = [0.5, 0.5, 0.0]
    assert found.difference == estimate(differences)
    z = (1 / 3) / (np.std(differences, ddof=1) / math.sqrt(3))
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert (found.episodes, found.gained, found.lost) == (3, 5, 1)


def test_the_other_way_round_is_the_negative(tmp_path: Path) -> None:
    one, two = result(tmp_path / "a", predictions(FIRST)), result(tmp_path / "b", predictions(SECOND))
    there, back = compare(one, two), compare(two, one)
    assert there.difference.mean == -back.difference.mean
    assert (there.gained, there.lost) == (back.lost, back.gained)
    assert there.p == back.p


def test_queries_in_another_order_are_the_same_episodes(tmp_path: Path) -> None:
    one = predictions(FIRST)
    turned = replace(
        one, query=QUERY[:, ::-1], targets=TARGETS[:, ::-1], scores=np.ascontiguousarray(one.scores[:, ::-1])
    )
    found = compare(result(tmp_path / "a", one), result(tmp_path / "b", turned))
    assert (found.difference.mean, found.gained, found.lost, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "facts", "names", "said"),
    [
        ({}, {"shot": 3}, NAMES, "shot 1 against 3"),
        ({}, {"seed": 7}, NAMES, "seed 0 against 7"),
        ({"query": QUERY[:, [1, 0, 3, 2]]}, {}, NAMES, "other clips"),
        ({"support": SUPPORT[::-1]}, {}, NAMES, "other clips"),
        ({"classes": CLASSES[:, ::-1]}, {}, NAMES, "other clips"),
        ({"labels": ("a", "b", "d")}, {}, NAMES, "2 classes are in one alone"),
        ({}, {}, [f"{name}.avi" for name in NAMES], "other clips"),
    ],
)
def test_results_of_other_episodes_are_refused(
    tmp_path: Path, change: dict[str, Any], facts: dict[str, Any], names: list[str], said: str
) -> None:
    one = predictions(FIRST)
    if "query" in change:  # other clips in the same places: only the order of a sorted pair is forgiven
        change = {"query": np.where(QUERY == 2, 1, QUERY)}
    # The settings differ only together with the episodes that they make.
    moved = replace(one, **change) if change else replace(one, support=np.where(SUPPORT == 0, 1, SUPPORT))
    other = result(tmp_path / "b", one if names is not NAMES else moved, names, **facts)
    with pytest.raises(InputError, match=said):
        compare(result(tmp_path / "a", one), other)


def test_the_test_agrees_with_the_interval() -> None:
    assert two_sided_p(Estimate(1.0, 1.01)) > 0.05 > two_sided_p(Estimate(1.0, 0.99))
    assert two_sided_p(Estimate(0.0, 0.0)) == 1
    assert two_sided_p(Estimate(0.1, 0.0)) == 0
    assert two_sided_p(Estimate(0.1, math.inf)) == 1
    assert two_sided_p(Estimate(-2.5758, 1.96)) == pytest.approx(0.01, abs=1e-5)
