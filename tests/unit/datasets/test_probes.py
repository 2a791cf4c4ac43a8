"""Each probe has the property that it claims, by brute force over what is rendered."""

import json
from collections import Counter, defaultdict
from importlib import resources
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from fsarctl.config.dataset_table import PROBES, DatasetConfig
from fsarctl.datasets.class_sets import ClassSets
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.datasets.kinds import open_dataset
from fsarctl.datasets.probes.classes import CELLS, MOMENTS, SAID, State, class_of, classes_of
from fsarctl.datasets.probes.oracles import ORACLES, PARTS, Facts
from fsarctl.datasets.probes.rendering import (
    FRAMES,
    Nuisance,
    clip_name,
    draw_clip,
    render_probe,
    render_probe_clip,
    sets_of,
    shown,
)
from fsarctl.episodes.sampler import sample_episode
from fsarctl.errors import ConfigError, InputError
from fsarctl.models.segments import segments
from fsarctl.progress import SILENT
from fsarctl.text.corpus import sub_actions_from

CLIPS = 12
SAMPLED = slice(FRAMES // 2, None, FRAMES)
PLAIN = Nuisance("square", 0.3, (0.1, 0.1, 0.2), (0.01, -0.01), 0.0, 0)


def by_set(probe):
    sets = defaultdict(list)
    for each in classes_of(probe):
        sets[each.set].append(each)
    return sets.values()


def clips_of(each):
    return [shown(each.label, number, 0) for number in range(CLIPS)]


@pytest.mark.parametrize("probe", PROBES)
def test_splits_share_no_class_and_each_makes_five_way_episodes(probe, tmp_path):
    classes = classes_of(probe)
    assert len({each.label for each in classes}) == len(classes)
    shows = [(each.scenes, each.step, each.sub_actions) for each in classes]
    assert len(set(shows)) == len(shows)
    for split in ("train", "val", "test"):
        assert min(Counter(each.set for each in classes if each.split == split).values()) >= 5
    dataset = open_dataset(probe, DatasetConfig("probe", probe, clips_per_class=4), tmp_path)
    assert {split: set(dataset.found[split]) for split in dataset.found} == {
        split: {each.label for each in classes if each.split == split} for split in ("train", "val", "test")
    }
    assert {count for some in dataset.found.values() for count in some.values()} == {4}


@pytest.mark.parametrize("probe", PROBES)
def test_a_clip_is_a_function_of_seed_class_and_number(probe):
    label = classes_of(probe)[-1].label
    clip = render_probe_clip(label, 3, 7)
    assert clip.shape == (FRAMES * MOMENTS, 112, 112, 3)
    assert clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, render_probe_clip(label, 3, 7))
    for label_, number, seed in ((label, 4, 7), (label, 3, 8), (classes_of(probe)[0].label, 3, 7)):
        assert (clip != render_probe_clip(label_, number, seed)).any()


@pytest.mark.parametrize("probe", PROBES)
def test_the_shipped_descriptions_are_what_the_classes_say_in_words_the_tiny_clip_knows(probe):
    from fsarctl.models.backbone import load_backbone

    shipped = json.loads((resources.files("fsarctl.prompts") / "probes.json").read_text(encoding="utf-8"))
    tokenizer = load_backbone("tiny", "shipped").tokenizer
    for each in classes_of(probe):
        assert tuple(shipped[each.label]) == sub_actions_from(each.sub_actions)
        for sentence in each.sub_actions:
            words = sentence.rstrip(".").split()
            assert len(tokenizer.encode(sentence)) == len(words) + 1, sentence  # and the full stop
    assert len(shipped) == sum(len(classes_of(each)) for each in PROBES)


@pytest.mark.parametrize("probe", ["order", "task", "motion"])
def test_where_the_text_is_not_asked_for_it_says_the_same_of_all(probe):
    assert len({each.sub_actions for each in classes_of(probe)}) == 1


def test_order_is_all_that_tells_the_classes_of_order():
    for classes in by_set("order"):
        shown_in = [set(clips_of(each)) for each in classes]
        bags = [{frozenset(Counter(clip).items()) for clip in some} for some in shown_in]
        assert all(bag == bags[0] for bag in bags)
        assert len(bags[0]) == 1
        steps = [{frozenset(Counter(pairwise(clip)).items()) for clip in some} for some in shown_in]
        assert all(each == steps[0] for each in steps)
        orders = [{tuple(state for state in clip if state) for clip in some} for some in shown_in]
        assert all(len(each) == 1 for each in orders)
        assert len(set.union(*orders)) == len(classes) == 6


def test_task_tells_by_one_attribute_and_shares_three_scenes_of_the_others():
    told = set()
    for classes in by_set("task"):
        values = {
            name: [{getattr(clip[0], name) for clip in clips_of(each)} for each in classes]
            for name in ("place", "colour", "size")
        }
        (telling,) = [name for name, each in values.items() if all(len(some) == 1 for some in each)]
        told.add(telling)
        assert len(set.union(*values[telling])) == len(classes) == 5
        for name in values.keys() - {telling}:
            assert all(some == values[name][0] and len(some) == 3 for some in values[name])
        for clip in clips_of(classes[0]):
            assert set(clip) == {clip[0]}
            assert isinstance(clip[0], State)
    assert told == {"place", "colour", "size"}


def test_stages_share_their_words_and_differ_in_when():
    for classes in by_set("stages"):
        assert len({frozenset(each.sub_actions) for each in classes}) == 1
        assert len({each.sub_actions for each in classes}) == len(classes) == 6
        ((told, _),) = {(SAID[sentence][0], 0) for each in classes for sentence in each.sub_actions}
        other = {"place": "colour", "colour": "place"}[told]
        for each in classes:
            for clip in clips_of(each):
                for sentence, part in zip(each.sub_actions, PARTS, strict=True):
                    seen = {getattr(clip[moment], told) for moment in part if clip[moment]}
                    assert seen == {SAID[sentence][1]}
        scenes = [
            {tuple((getattr(clip[m], other), clip[m].size) for m in (0, 3, 6)) for clip in clips_of(each)}
            for each in classes
        ]
        assert all(each == scenes[0] for each in scenes)
        assert len(scenes[0]) == 3
    assert [set(each) <= set(part) for each, part in zip(PARTS, segments(MOMENTS), strict=True)] == [True] * 3


def test_in_motion_any_single_frame_is_as_likely_for_each_class():
    """By rendering: from all starts each moment shows the same pictures, in each class of the split."""
    pictures = []
    for each in [each for each in classes_of("motion") if each.split == "test"]:
        found = [Counter(), Counter()]
        for cell in product(range(CELLS), repeat=2):
            ends = ((np.array(cell) + each.step) % CELLS).tolist()
            moments = [State(tuple((c + 0.5) / CELLS for c in at)) for at in (cell, ends)]
            for bag, frame in zip(found, draw_clip(moments, PLAIN)[SAMPLED], strict=True):
                bag[np.round(frame * 255).astype(np.uint8).tobytes()] += 1
        pictures.append(found)
    assert all(each == pictures[0] for each in pictures)
    assert pictures[0][0] == pictures[0][1]
    assert set(pictures[0][0].values()) == {1}


def test_motion_comes_both_ways_and_its_differences_are_the_class():
    for split in ("train", "val", "test"):
        steps = {each.step for each in classes_of("motion") if each.split == split}
        assert {(-x, -y) for x, y in steps} == steps
    each = class_of("motion 20")
    for clip in clips_of(each):
        for a, b in ((clip[0], clip[1]), (clip[3], clip[4]), (clip[6], clip[7])):
            moved = np.rint((np.array(b.place) - a.place) * CELLS).astype(int)
            assert ((moved - each.step) % CELLS == 0).all()
        assert clip[2] is clip[5] is None


def test_the_moving_shape_leaves_at_one_edge_and_comes_in_at_the_other():
    still = [State((0.5 / CELLS, 0.5)), State(((CELLS - 0.5) / CELLS, 0.5))]
    frames = draw_clip(still, PLAIN)
    away = np.abs(frames - np.array(PLAIN.background, np.float32)).max(-1) > 0.1
    for frame in away[1:5]:
        columns = np.flatnonzero(frame.any(0))
        assert len(columns) < 40 or {0, 111} <= set(columns)  # never across the middle
        assert not frame[:, 30:82].any()


@pytest.fixture(scope="module")
def oracle_table():
    """Probe -> ability -> accuracy over 1-shot 5-way test episodes, ties shared."""
    table = {}
    for probe in PROBES:
        classes = [each for each in classes_of(probe) if each.split == "test"]
        names = [(each.label, number) for each in classes for number in range(CLIPS)]
        rows = {each.label: list(range(i * CLIPS, (i + 1) * CLIPS)) for i, each in enumerate(classes)}
        rules = sets_of(probe, "test", CLIPS)
        groups = None
        if rules.groups:
            said = [rules.groups[clip_name(label, "test", number)] for label, number in names]
            groups = np.unique(said, return_inverse=True)[1].astype(np.int64)
        right = {ability: [] for ability in ORACLES}
        for number in range(150):
            episode = sample_episode(
                rows,
                **{"stream": "test", "seed": 0, "number": number, "way": 5, "shot": 1, "query": 1},
                groups=groups,
                sets=rules.sets,
            )
            assert len({rules.sets[label] for label in episode.classes}) == 1
            support = [[shown(*names[row], 0) for row in shots] for shots in episode.support]
            said = [class_of(label).sub_actions for label in episode.classes]
            for row, target in zip(episode.query, episode.targets, strict=True):
                facts = Facts(support, shown(*names[row], 0), said)
                for ability, score in ORACLES.items():
                    scores = np.array(score(facts))
                    best = scores == scores.max()
                    right[ability].append(best[target] / best.sum())
        table[probe] = {ability: float(np.mean(each)) for ability, each in right.items()}
    return table


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("ability", PROBES)
def test_a_probe_is_solved_by_its_ability_and_not_by_the_others(oracle_table, probe, ability):
    accuracy = oracle_table[probe][ability]
    assert accuracy == 1 if ability == probe else abs(accuracy - 0.2) < 0.06


def test_support_and_query_of_a_class_are_never_of_one_scene():
    rules = sets_of("task", "val", 6)
    assert rules.groups is not None
    assert Counter(Counter(rules.groups.values()).values()) == {2: 3 * 15}
    assert sets_of("order", "val", 6).groups is None is sets_of("motion", "val", 6).groups
    label = classes_of("task")[-1].label
    same = [number for number in range(1, 6) if shown(label, number, 0) == shown(label, 0, 0)]
    assert same == [3]


def test_videos_lie_beside_the_sets_that_episodes_are_drawn_from(tmp_path):
    render_probe("motion", tmp_path, "val", 2, 0, 1, SILENT)
    rows = json.loads((tmp_path / "clips.json").read_text())
    assert len(rows) == 12
    assert all((tmp_path / row["file"]).stat().st_size for row in rows)
    assert rows[1] == {
        "name": "val/motion-13/01.mp4",
        "label": "motion 13",
        "file": "val/motion-13/01.mp4",
    }
    rules = ClassSets.read(tmp_path)
    assert rules == ClassSets({f"motion {n}": "val" for n in range(13, 19)}, None)
    (tmp_path / "sets.json").unlink()
    assert ClassSets.read(tmp_path) is None


def test_a_probe_names_its_ability():
    with pytest.raises(ConfigError, match="probe dataset needs name, one of order, task, stages, motion"):
        DatasetConfig("probe", "hmdb51")
    with pytest.raises(ConfigError, match="benchmark dataset needs name, one of hmdb51"):
        DatasetConfig("benchmark", "order", root="x")


def test_classes_of_an_episode_are_drawn_from_every_set_that_is_large_enough():
    rows = {f"{name}{n}": [2 * n, 2 * n + 1] for name in "ab" for n in range(3)} | {"c0": [0, 1]}
    sets = {label: label[0] for label in rows}
    size = {"stream": "test", "seed": 0, "way": 2, "shot": 1, "query": 1}
    drawn = Counter(frozenset(sample_episode(rows, number=n, sets=sets, **size).classes) for n in range(400))
    pairs = {frozenset(pair) for name in "ab" for pair in combinations([f"{name}{n}" for n in range(3)], 2)}
    assert set(drawn) == pairs
    assert all(40 < count < 95 for count in drawn.values())  # 400 / 6, four deviations


def test_more_ways_than_any_set_has_classes_are_refused(tmp_path):
    dataset = open_dataset("order", DatasetConfig("probe", "order"), tmp_path)
    size = EpisodeSize("eval", 7, 1, 1)
    with pytest.raises(
        InputError, match=r"order/test has sets of at most 6 classes .* fewer than the 7"
    ) as said:
        size.check(dataset.found["test"], "order/test", None, dataset.sets["test"])
    assert "eval.way=6" in said.value.next_step
    size.check(dataset.found["test"], "order/test")
    EpisodeSize("eval", 6, 1, 1).check(dataset.found["test"], "order/test", None, dataset.sets["test"])
