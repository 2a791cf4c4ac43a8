"""In whatever order files come, the same ones answer the same ids; and classes are shared out whole."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from fsarctl.config.setting_field import SPLITS
from fsarctl.datasets.benchmark import SPELLINGS, match_videos
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.class_splits import draw_splits

HMDB = {video: label for rows in load_split_lists("hmdb51").values() for label, video in rows}
ODD = sorted(video for video in HMDB if re.search(r"[^\w-]", video) or "oom_" in video or "oom-" in video)
LABELS = {video: HMDB[video] for video in ODD}
WAYS = (
    lambda video: f"{video}.avi",
    lambda video: f"{HMDB[video].replace(' ', '_')}/{video}.mp4",
    lambda video: re.sub(r"[^\w.-]", "_", video) + ".mkv",
    lambda video: re.sub(r"[^a-z0-9]", "_", video.lower()) + ".webm",
    lambda video: "x/" + re.sub(r"[\W_]+", " ", video) + ".avi",
)
copies = st.lists(st.tuples(st.sampled_from(ODD), st.sampled_from(range(len(WAYS)))), max_size=30)


@settings(deadline=None)
@given(copies, st.randoms(use_true_random=False))
def test_matching_does_not_depend_on_order_and_takes_no_file_twice(
    chosen: list[tuple[str, int]], shuffler: "object"
) -> None:
    paths = sorted({WAYS[way](video) for video, way in chosen})
    first = match_videos(LABELS, paths, SPELLINGS["hmdb51"])
    shuffled = list(paths)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert match_videos(LABELS, shuffled, SPELLINGS["hmdb51"]) == first
    taken = [path for video in first.files for path in first.doubles.get(video, (first.files[video],))]
    assert len(taken) == len({*taken})
    assert {*taken} <= {*paths}


@settings(deadline=None)
@given(copies)
def test_a_file_under_an_exact_name_answers_its_id(chosen: list[tuple[str, int]]) -> None:
    paths = sorted({WAYS[way](video) for video, way in chosen})
    found = match_videos(LABELS, paths, SPELLINGS["hmdb51"]).files
    for video, way in chosen:
        if way < 2:  # spelt exactly
            assert found[video] in {WAYS[0](video), WAYS[1](video)}
    # Whatever answers an id has its letters and digits.
    for video, path in found.items():
        stem = path.rpartition("/")[2].rpartition(".")[0]
        assert re.sub(r"[\W_]", "", stem).lower() == re.sub(r"[\W_]", "", video).lower()


names = st.sets(st.text(min_size=1, max_size=8), min_size=3, max_size=60)
ratios = st.tuples(*[st.floats(0.05, 10)] * 3)


@given(names, ratios, st.integers(0, 9))
def test_every_class_is_in_one_split_and_shares_are_kept(
    classes: set[str], ratio: tuple[float, ...], seed: int
) -> None:
    drawn = draw_splits("mine", classes, ratio, seed)
    assert sorted(label for labels in drawn.values() for label in labels) == sorted(classes)
    for split, share in zip(SPLITS, ratio, strict=True):
        exact = len(classes) * share / sum(ratio)
        assert len(drawn[split]) >= min(2, len(classes) // 3)  # of two an episode can be drawn
        assert abs(len(drawn[split]) - exact) <= 2 or min(map(len, drawn.values())) <= 2
