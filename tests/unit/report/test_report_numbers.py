"""What the report counts from stored predictions, against counts by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsarctl.config.settings import load_settings
from fsarctl.report.confusion import Confusion, as_document, class_rows, confusion
from fsarctl.report.episodes import choose_episodes, runner_up
from fsarctl.report.paper import paper_numbers
from fsarctl.results.predictions import Predictions


def predictions(
    classes: list[list[int]], targets: list[list[int]], scores: Any, labels: str = "abcd"
) -> Predictions:
    episodes, queries = np.shape(targets)
    return Predictions(
        tuple(labels),
        np.array(classes, np.int64),
        np.zeros((episodes, np.shape(classes)[1], 1), np.int64),
        np.zeros((episodes, queries), np.int64),
        np.array(targets, np.int64),
        np.array(scores, np.float32),
    )


def chosen(column: int, way: int = 3) -> list[float]:
    return [1.0 if each == column else 0.0 for each in range(way)]


def test_confusion_counts_by_class_and_not_by_column() -> None:
    # Episode 0 offers b, d, a; its queries are of d, a, b and are taken for d, d, a.
    # Episode 1 offers a, b, c; its queries are of a, b, c and are all taken for a.
    found = confusion(
        predictions(
            [[1, 3, 0], [0, 1, 2]],
            [[1, 2, 0], [0, 1, 2]],
            [[chosen(1), chosen(1), chosen(2)], [chosen(0)] * 3],
        )
    )
    given = np.zeros((4, 4), int)
    for true, taken in ("dd", "ad", "ba", "aa", "ba", "ca"):
        given["abcd".index(true), "abcd".index(taken)] += 1
    assert (found.given == given).all()
    met = np.zeros((4, 4), int)
    for offered in ("bda", "abc"):
        for true in offered:
            for other in offered:
                met["abcd".index(true), "abcd".index(other)] += 1
    assert (found.met == met).all()
    assert found.right == ((0, 1), (0, 0), (0,), (1,))
    assert found.rates[1, 0] == 1.0
    assert found.rates[0, 3] == 1.0
    assert found.rates[2, 3] == 0.0  # never met


def test_the_matrix_of_rates_is_made_once_for_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Confusion] = []
    real = Confusion.rates.fget
    assert real is not None

    def rates(found: Confusion) -> Any:
        made.append(found)
        return real(found)

    monkeypatch.setattr(Confusion, "rates", property(rates))
    found = confusion(predictions([[0, 1, 2]] * 2, [[0, 1, 2]] * 2, [[chosen(0)] * 3] * 2))
    assert [row["baseline"] for row in class_rows(found, found)] == [1.0, 0.0, 0.0]
    assert made == [found]


def test_class_rows_say_accuracy_and_the_likeliest_mistake() -> None:
    one = predictions(
        [[0, 1, 2]] * 4, [[0, 1, 2]] * 4, [[chosen(0), chosen(n % 3), chosen(1)] for n in range(4)]
    )
    rows = {row["label"]: row for row in class_rows(confusion(one), None)}
    assert set(rows) == {"a", "b", "c"}  # d was never a query
    assert rows["a"]["accuracy"] == 1.0
    assert rows["a"]["taken_for"] is None
    assert rows["b"]["accuracy"] == 0.25  # taken for a, b, c, a
    # One clip asks and supports in all four episodes: it counts as half a query, and the four are drawn from
    # it, each right with 1/4: 1 / n = 2 + 1/4 where all are right, 2 + (4/3) / 4 where one of four is.
    n = 1 / (2 + 1 / 3)
    for end in (rows["b"]["low"], rows["b"]["high"]):
        assert (end - 0.25) ** 2 == pytest.approx(1.96**2 * end * (1 - end) / n)
    assert rows["b"]["low"] < 0.25 < rows["b"]["high"]
    assert (rows["a"]["low"], rows["a"]["high"]) == pytest.approx((1 / (1 + 1.96**2 * 2.25), 1.0))
    assert rows["a"]["clips"] == 1
    assert (rows["b"]["taken_for"], rows["b"]["taken_for_rate"]) == ("a", 0.5)
    assert (rows["c"]["taken_for"], rows["c"]["taken_for_rate"]) == ("b", 1.0)
    assert rows["b"]["baseline"] is None
    other = predictions([[0, 1, 2]] * 2, [[0, 1, 2]] * 2, [[chosen(0), chosen(1), chosen(0)]] * 2)
    rows = {row["label"]: row for row in class_rows(confusion(one), confusion(other))}
    assert (rows["b"]["baseline"], rows["c"]["baseline"]) == (1.0, 0.0)


def test_the_counts_are_json() -> None:
    found = confusion(predictions([[0, 1]], [[0, 1]], [[[1, 0], [1, 0]]], "ab"))
    assert json.loads(json.dumps(as_document(found))) == {
        "labels": ["a", "b"],
        "given": [[1, 0], [1, 0]],
        "met": [[1, 1], [1, 1]],
    }


def test_the_best_worst_and_most_confused_episodes() -> None:
    way, targets = [[0, 1]] * 6, [[0, 1]] * 6
    scores = [
        [[0.6, 0.4], [0.4, 0.6]],  # all right, by 0.2
        [[0.9, 0.1], [0.1, 0.9]],  # all right, by 0.8: the best
        [[0.1, 0.9], [0.2, 0.8]],  # half right
        [[0.1, 0.9], [0.9, 0.1]],  # all wrong, by 0.8: the worst
        [[0.4, 0.6], [0.6, 0.4]],  # all wrong, by 0.2
        [[0.51, 0.49], [0.5, 0.49]],  # half right, all by a hair
    ]
    found = choose_episodes(predictions(way, targets, scores, "ab"))
    assert [(each.kind, each.number) for each in found] == [("best", 1), ("worst", 3), ("most confused", 5)]
    best, worst, confused = found
    assert (best.accuracy, best.margin, best.gap) == pytest.approx((1.0, 0.8, 0.8))
    assert (worst.accuracy, worst.margin, worst.gap) == pytest.approx((0.0, -0.8, 0.8))
    assert (confused.margin, confused.gap) == pytest.approx((0.005, 0.015), abs=1e-6)


def test_fewer_episodes_than_kinds_are_each_shown_once() -> None:
    found = choose_episodes(predictions([[0, 1]], [[0, 1]], [[[1, 0], [0, 1]]], "ab"))
    assert [(each.kind, each.number) for each in found] == [("best", 0)]


def test_the_runner_up_is_never_the_true_class() -> None:
    assert runner_up(np.array([0.9, 0.3, 0.5], np.float32), 0) == 2
    assert runner_up(np.array([0.1, 0.3, 0.5], np.float32), 0) == 2
    assert runner_up(np.array([-3.0, -1.0, -2.0], np.float32), 1) == 2


FILE = """
[datasets.kinetics100]
kind = "folder"
root = "clips"
[model]
backbone = "tiny"
weights = "shipped"
"""


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {1: 0.962, 3: 0.973, 5: 0.975}),
        (["eval.way=6"], {}),
        (["model.strategy=aim"], {}),
        (["model.strategy=task-adapter"], {}),
        (
            ["model.strategy=task-adapter", "model.sub_actions=none", "model.alignment=none"],
            {1: 0.95, 3: 0.963, 5: 0.968},
        ),
    ],
)
def test_the_papers_numbers_stand_beside_its_own_settings_alone(
    tmp_path: Path, overrides: list[str], expected: dict[int, float]
) -> None:
    (tmp_path / "fsarctl.toml").write_text(FILE)
    settings = load_settings(tmp_path, overrides, environment={})
    found = paper_numbers(settings, "kinetics100")
    assert {each["shot"]: each["accuracy"] for each in found} == pytest.approx(expected)
    assert {each["source"] for each in found} <= {"Tables 1 and 2"}
    assert paper_numbers(settings, "shapes") == []


def test_the_demo_stands_beside_no_number_of_the_paper(tmp_path: Path) -> None:
    """Its settings are published for *shapes*, training among them, and nobody's paper has it."""
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    assert paper_numbers(load_settings(tmp_path, environment={}), "shapes") == []
