"""A support set's clips named from each other: by hand, and by the command."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from typed import type_in

from fsarctl.cli.terminal.check import print_check
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.groups import grouped_by
from fsarctl.errors import InputError
from fsarctl.predict.leave_one_out import Check, MixedUp, check_of

Example = tuple[str, str, str]


def nearest(places: Sequence[float], clips: Sequence[Example]) -> Check | None:
    """Checked by the distance to each class's nearest clip."""

    def name_without(left: Sequence[int], number: int) -> Mapping[str, float]:
        scores: dict[str, float] = {}
        for other in left:
            label = clips[other][1]
            scores[label] = max(scores.get(label, -math.inf), -abs(places[other] - places[number]))
        return scores

    return check_of(sorted({label for _, label, _ in clips}), clips, name_without)


def named(labels: str, groups: str = "") -> list[Example]:
    groups = groups or " " * len(labels)
    return [
        (f"{i}", label, group.strip()) for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def test_each_clip_is_named_from_the_others() -> None:
    check = nearest([0, 0.5, 2, 10, 11, 1.8], named("aaabbb"))
    assert check is not None
    assert [each.answer for each in check.held] == list("aabbba")
    assert check.accuracy == pytest.approx(4 / 6)
    # Wilson's interval of 4 of 6, with z = 1.96 and its exact value.
    z = 1.959963984540054
    middle, half = (4 + z**2 / 2) / (6 + z**2), z / (6 + z**2) * math.sqrt(4 * 2 / 6 + z**2 / 4)
    assert (check.low, check.high) == (
        pytest.approx(middle - half, abs=1e-4),
        pytest.approx(middle + half, abs=1e-4),
    )
    assert check.mixed_up == (MixedUp("a", "b", 1, 3), MixedUp("b", "a", 1, 3))
    assert [each.clip for each in check.odd] == ["2", "5"]
    assert check.tells_nothing
    assert check.alone == ()
    assert not check.is_sample


def test_of_a_thousand_classes_some_clips_are_named_spread_evenly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clips = [(f"{number}", f"class {number // 2:04}", "") for number in range(2000)]
    asked = []

    def name_without(left: Sequence[int], number: int) -> Mapping[str, float]:
        asked.append(number)
        assert len(left) == 1999
        return {clips[number][1]: 1.0, "another": 2.0 * (number == 0)}

    check = check_of(sorted({label for _, label, _ in clips}), clips, name_without)
    assert check is not None
    assert check.is_sample
    assert (len(check.held), check.possible, check.independent) == (200, 2000, 200)
    assert (asked[0], asked[-1]) == (0, 1999)
    assert set(np.diff(asked)) == {10, 11}
    print_check(check, as_data=True)
    assert "199 of 200 clips (of 2,000, spread evenly) right" in capsys.readouterr().out


def test_clips_of_one_group_are_not_compared() -> None:
    places, clips = [0, 0.1, 5, 20, 20.1, 6], named("aaabbb", "xxyxxy")
    apart, together = nearest(places, clips), nearest(places, named("aaabbb"))
    assert apart is not None
    assert together is not None
    # x's clips are alike: without groups each is named by its twin
    assert [each.right for each in together.held] == [True, True, False, True, True, False]
    assert [each.right for each in apart.held] == [True, True, True, True, True, False]
    # a's are nearest to 5, b's to 6; y's own are compared with x's: 5 with 0.1, and 6 with 0.1 too
    assert (apart.independent, apart.accuracy) == (2, pytest.approx((1 + 0.5) / 2))
    assert apart.by_group


def test_a_class_with_one_clip_stays_in_question_and_is_not_checked() -> None:
    check = nearest([0, 1, 0.4], named("aab"))
    assert check is not None
    assert [(each.clip, each.answer) for each in check.held] == [("0", "b"), ("1", "b")]
    assert check.alone == ("b",)
    assert nearest([0, 1], named("ab")) is None
    # everything but its own class is of its group
    assert nearest([0, 1, 2], named("aab", "xyx")) is not None


def test_it_is_what_a_loop_over_clips_says() -> None:
    draw = random.Random(0)
    for _ in range(200):
        clips = named(
            "".join(draw.choice("abc") for _ in range(8)), "".join(draw.choice("xyz ") for _ in range(8))
        )
        places = [draw.random() for _ in clips]
        check = nearest(places, clips)
        expected = []
        for i, (name, label, group) in enumerate(clips):
            rest = [j for j, other in enumerate(clips) if j != i and not (group and other[2] == group)]
            labels = {clips[j][1] for j in rest}
            if label in labels and len(labels) > 1:
                answer = clips[min(rest, key=lambda j: abs(places[j] - places[i]))][1]
                expected.append((name, answer))
        assert [(each.clip, each.answer) for each in check.held] == expected if check else not expected


def test_groups_are_what_a_pattern_captures() -> None:
    clips = [Clip(f"wave/{name}", "wave", name) for name in ("anna_1.mp4", "ben_1.mp4", "anna_2.mp4")]
    assert [each.group for each in grouped_by(r"/([a-z]+)_", clips)] == ["anna", "ben", "anna"]
    for pattern, says in (
        ("(", "is no pattern"),
        ("anna", "captures nothing"),
        ("(anna)", "'wave/ben_1.mp4'"),
    ):
        with pytest.raises(InputError, match=says):
            grouped_by(pattern, clips)


def test_the_command(shapes: Path, tmp_path: Path) -> None:
    videos = sorted(path for path in shapes.glob("cache/artifacts/render/*/**/*.mp4"))
    classes = sorted({path.parent for path in videos})[:3]
    support = tmp_path / "support"
    for folder in classes:
        (support / folder.name).mkdir(parents=True)
        for path in sorted(folder.glob("*.mp4"))[:3]:
            (support / folder.name / path.name).write_bytes(path.read_bytes())
    words = ("predict", "--support", str(support), "--frozen", "--workers", "1", "--check")
    said = type_in(shapes, *words)
    assert "of 9 clips right, each named with that clip left out" in said.stdout
    assert "(95 % interval over 9 clips; a guess: 33.3 %)" in said.stdout
    document = json.loads(type_in(shapes, *words, "--json").stdout)["check"]
    assert len(document["clips"]) == 9
    right = sum(each["answer"] == each["class"] for each in document["clips"])
    assert document["accuracy"] == pytest.approx(right / 9)
    assert f"check: {right} of 9" in said.stdout
    assert ("these are guesses" in said.stderr) == (document["low"] <= document["chance"])
    for line, says in (
        ("--group x", "--group is for --check"),
        ("--check --group (", "is no pattern"),
    ):
        refused = type_in(
            shapes, "predict", "--support", str(support), "--frozen", *line.split(), expect=None
        )
        assert refused.returncode in (2, 3)
        assert says in refused.stderr
