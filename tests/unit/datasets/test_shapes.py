"""The shapes benchmark: what is drawn, that order alone tells pairs apart, and that videos come whole."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from fsarctl.datasets.shapes import rendering as shapes
from fsarctl.datasets.shapes.drawing import KINDS, Sprite, draw
from fsarctl.datasets.shapes.rendering import CLASSES, draw_nuisance, render, render_clip, render_split
from fsarctl.progress import SILENT

FORWARDS = [one for one in CLASSES if not one.backwards]
PARTNER = {
    one.label: other.label
    for one in FORWARDS
    for other in CLASSES
    if other.backwards and other.motion is one.motion
}


def labels(split: str) -> list[str]:
    return [one.label for one in CLASSES if one.split == split]


def test_splits_are_large_enough_and_share_no_class():
    assert len({one.label for one in CLASSES}) == len(CLASSES) >= 36
    assert len(labels("train")) >= 20
    assert len(labels("val")) >= 6
    assert len(labels("test")) >= 10
    assert {one.split for one in CLASSES} == {"train", "val", "test"}


def test_a_class_and_its_reverse_are_in_the_same_split():
    split = {one.label: one.split for one in CLASSES}
    assert len(PARTNER) == len(FORWARDS) == len(CLASSES) / 2
    assert all(split[a] == split[b] for a, b in PARTNER.items())


@pytest.mark.parametrize(("label", "reverse"), PARTNER.items())
def test_a_reverse_is_its_partner_played_backwards(label, reverse):
    nuisance = draw_nuisance(label, 3, seed=0)
    forwards, backwards = render(label, nuisance), render(reverse, nuisance)
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert not np.allclose(forwards, backwards, atol=0.05)


@pytest.mark.parametrize(
    ("label", "path"),
    [
        ("a shape moves from left to right", [(-1, 0), (0, 0), (1, 0)]),
        ("a shape moves from the top to the bottom", [(0, -1), (0, 0), (0, 1)]),
        ("a shape visits the left, then the top, then the right", [(-1, 0), (0, -1), (1, 0)]),
        ("a shape visits the left, then the right, then the top", [(-1, 0), (1, 0), (0, -1)]),
        ("a shape circles counterclockwise from the top", [(0, -1), (-1, 0), (0, 1), (1, 0), (0, -1)]),
        ("a shape moves up, then left, then down", [(1, 1), (1, -1), (-1, -1), (-1, 1)]),
    ],
)
def test_the_shape_is_where_the_label_says(label, path):
    """The mean place of what differs from the background, at evenly spaced moments of the motion."""
    plain = shapes.Nuisance(
        progress=tuple(np.clip(np.linspace(0, 1, 13), 1e-6, 1 - 1e-6)),
        actors=(Sprite("circle", (1.0, 1.0, 1.0), 0.5, 0.5, 0.1),) * 2,
        bystanders=(),
        backdrop=shapes.Backdrop("plain", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        shift=(0.0, 0.0),
        stretch=1.0,
        anchor=(0.5, 0.5),
        grain=0.0,
        grain_seed=0,
    )
    frames = render(label, plain)
    rows, columns = np.mgrid[: shapes.SIDE, : shapes.SIDE] / shapes.SIDE - 0.5
    for moment, (x, y) in zip(np.linspace(0, 12, len(path)).round().astype(int), path, strict=True):
        weight = frames[moment, ..., 0] / frames[moment, ..., 0].sum()
        assert np.sign(np.round((columns * weight).sum() * 5)) == x
        assert np.sign(np.round((rows * weight).sum() * 5)) == y


def test_a_clip_is_a_pure_function_of_seed_label_and_number():
    clip = render_clip("a shape grows", 4, seed=2)
    assert clip.dtype == np.uint8
    assert 20 <= len(clip) <= 40
    np.testing.assert_array_equal(clip, render_clip("a shape grows", 4, seed=2))
    for other in (("a shape grows", 5, 2), ("a shape grows", 4, 3), ("a shape shrinks", 4, 2)):
        different = render_clip(*other)
        assert different.shape != clip.shape or (different != clip).any()


def test_nuisance_varies_everything_it_names():
    draws = [draw_nuisance("a shape grows", number, 0) for number in range(60)]
    assert len({len(one.progress) for one in draws}) > 10
    assert {one.actors[0].kind for one in draws} == set(KINDS)
    assert len({one.backdrop.pattern for one in draws}) == 4
    assert {len(one.bystanders) for one in draws} == {1, 2, 3, 4}
    assert np.std([one.shift for one in draws]) > 0.02


def test_the_mean_of_all_frames_is_the_same_for_both_of_a_pair():
    for label, reverse in PARTNER.items():
        nuisance = draw_nuisance(label, 0, seed=1)
        np.testing.assert_allclose(
            render(label, nuisance).mean(0), render(reverse, nuisance).mean(0), atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_inside_its_radius_and_stays_within_the_picture(kind):
    black = np.zeros((80, 80, 3), np.float32)
    picture = draw(black, [Sprite(kind, (1.0, 0.5, 0.0), 0.5, 0.5, 0.2)])
    assert not black.any()
    rows, columns, _ = np.nonzero(picture)
    assert 0.02 < picture[..., 0].mean() < 4 * 0.2**2 * 1.4
    assert np.hypot(rows - 39.5, columns - 39.5).max() < 0.2 * 80 * 1.35
    np.testing.assert_allclose(picture[..., 1], picture[..., 0] / 2, atol=1e-6)
    assert draw(black, [Sprite(kind, (1.0, 1.0, 1.0), 1.5, 0.5, 0.2)]).max() == 0


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    render_split(folder, "val", 2, seed=0, workers=2, reporter=SILENT)
    return folder


def test_videos_hold_the_frames_that_were_rendered(rendered):
    rows = json.loads((rendered / "clips.json").read_text())
    assert [row["label"] for row in rows] == [label for label in labels("val") for _ in range(2)]
    assert rows[0] == {
        "name": "val/a-shape-moves-from-the-bottom-left-to-the-top-right/00.mp4",
        "label": "a shape moves from the bottom left to the top right",
        "file": "val/a-shape-moves-from-the-bottom-left-to-the-top-right/00.mp4",
    }
    with av.open(str(rendered / rows[1]["file"])) as container:
        stored = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    wanted = render_clip(rows[1]["label"], 1, seed=0)
    assert stored.shape == wanted.shape
    assert abs(stored.astype(int) - wanted.astype(int)).mean() < 12
    assert sorted(str(path.relative_to(rendered)) for path in rendered.rglob("*.mp4")) == sorted(
        row["file"] for row in rows
    )


def test_an_interrupted_rendering_goes_on_to_the_same_bytes(rendered, tmp_path):
    render_split(tmp_path, "val", 2, seed=0, workers=1, reporter=SILENT)
    whole = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert whole == {
        path.relative_to(rendered): path.read_bytes() for path in rendered.rglob("*") if path.is_file()
    }

    first, second = sorted(tmp_path.rglob("*.mp4"))[:2]
    kept = second.stat().st_mtime_ns
    first.with_suffix(".partial").write_bytes(first.read_bytes()[:1000])
    first.unlink()
    (tmp_path / "clips.json").unlink()
    render_split(tmp_path, "val", 2, seed=0, workers=1, reporter=SILENT)
    assert whole == {
        path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert second.stat().st_mtime_ns == kept
