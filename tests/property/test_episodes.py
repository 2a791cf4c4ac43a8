import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.episodes.crops import centre_offsets, crop_frames, random_offsets
from fsarctl.episodes.sampler import _of_one_set, random_words, sample_episode
from fsarctl.errors import InputError


def make_rows(sizes: list[int]) -> dict[str, list[int]]:
    """Classes of these sizes; rows are numbered through, so that each row has one class."""
    starts = np.cumsum([0, *sizes])
    return {f"class {i}": list(range(starts[i], starts[i] + size)) for i, size in enumerate(sizes)}


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, object]:
    shot, query = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(shot + query, 12), min_size=2, max_size=8))
    way = draw(st.integers(2, len(sizes)))
    return {"rows": make_rows(sizes), "way": way, "shot": shot, "query": query}


@given(task=tasks(), seed=st.integers(0, 2**31), number=st.integers(0, 10**6))
def test_an_episode_is_what_it_says(task: dict, seed: int, number: int) -> None:
    episode = sample_episode(**task, stream="test", seed=seed, number=number)
    rows, way, shot, query = task["rows"], task["way"], task["shot"], task["query"]
    assert len(set(episode.classes)) == way
    assert episode.support.shape == (way, shot)
    assert episode.query.shape == episode.targets.shape == (way * query,)
    for label, support in zip(episode.classes, episode.support, strict=True):
        assert set(support.tolist()) <= set(rows[label])
    for row, target in zip(episode.query, episode.targets, strict=True):
        assert row in rows[episode.classes[target]]
    used = [*episode.support.reshape(-1).tolist(), *episode.query.tolist()]
    assert len(used) == len(set(used)), "a clip stands in the support and the query set"
    assert set(Counter(episode.targets.tolist()).values()) == {query}


@given(task=tasks(), seed=st.integers(0, 2**31), number=st.integers(0, 10**6))
def test_an_episode_is_a_pure_function(task: dict, seed: int, number: int) -> None:
    once = sample_episode(**task, stream="test", seed=seed, number=number)
    # Whatever is drawn in between, and whatever the order of the classes in the mapping.
    sample_episode(**task, stream="test", seed=seed, number=number + 1)
    reordered = {**task, "rows": dict(reversed(list(task["rows"].items())))}
    again = sample_episode(**reordered, stream="test", seed=seed, number=number)
    assert again.classes == once.classes
    assert np.array_equal(again.support, once.support)
    assert np.array_equal(again.query, once.query)
    assert np.array_equal(again.targets, once.targets)


def test_streams_seeds_and_numbers_give_other_episodes() -> None:
    task = {"rows": make_rows([20] * 10), "way": 5, "shot": 1, "query": 1}
    drawn = [
        sample_episode(**task, stream=stream, seed=seed, number=number)
        for stream in ("train", "test")
        for seed in (0, 1)
        for number in (0, 1)
    ]
    assert len({(each.classes, tuple(each.support.reshape(-1))) for each in drawn}) == len(drawn)


def philox(key: bytes, count: int) -> list[int]:
    """Philox 4x64-10 (Salmon et al., 2011) from its definition, in plain integers."""
    mask = 2**64 - 1
    words: list[int] = []
    for block in range(1, count // 4 + 2):
        key_0, key_1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
        counter = [block, 0, 0, 0]
        for _ in range(10):
            low, high = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                (high >> 64) ^ counter[1] ^ key_0,
                high & mask,
                (low >> 64) ^ counter[3] ^ key_1,
                low & mask,
            ]
            key_0, key_1 = (key_0 + 0x9E3779B97F4A7C15) & mask, (key_1 + 0xBB67AE8584CAA73B) & mask
        words += counter
    return words[:count]


@given(seed=st.integers(0, 2**63), number=st.integers(0, 2**63), count=st.integers(1, 9))
def test_the_draws_are_fixed_by_definition(seed: int, number: int, count: int) -> None:
    key = hashlib.sha256(f"test/{seed}/{number}".encode()).digest()
    assert random_words("test", seed, number, count).tolist() == philox(key, count)


def test_classes_clips_and_places_are_uniform() -> None:
    task = {"rows": make_rows([4] * 6), "way": 3, "shot": 1, "query": 1}
    episodes = [sample_episode(**task, stream="test", seed=0, number=n) for n in range(3000)]
    classes = Counter(label for e in episodes for label in e.classes)
    queries = Counter(int(row) for e in episodes for row in e.query)
    first = Counter(int(e.targets[0]) for e in episodes)
    # Binomial: 1500 +/- 4 standard deviations (27), 375 +/- 4 (18), 1000 +/- 4 (26).
    assert all(abs(count - 1500) < 110 for count in classes.values())
    assert all(abs(count - 375) < 75 for count in queries.values())
    assert all(abs(count - 1000) < 105 for count in first.values())


def test_impossible_episodes_are_refused() -> None:
    counts = {"class 0": 3, "class 1": 6, "class 2": 6}
    with pytest.raises(InputError, match="3 classes, fewer than the 5") as caught:
        EpisodeSize("eval", way=5, shot=1, query=1).check(counts, "mine/test")
    assert "eval.way=3" in caught.value.next_step
    with pytest.raises(InputError, match="'class 0' has 3 usable clips, and 3 shot \\+ 1 query need 4"):
        EpisodeSize("eval", way=3, shot=3, query=1).check(counts, "mine/test")
    EpisodeSize("eval", way=3, shot=2, query=1).check(counts, "mine/test")
    for way, sets in (
        (2, None),
        (3, {"class 0": "a", "class 1": "b", "class 2": "c"}),
    ):  # no way is less than 2
        few = counts if sets else {"class 1": 6}
        with pytest.raises(InputError, match=f"1 class,? .*fewer than the {way}") as caught:
            EpisodeSize("eval", way=way, shot=1, query=1).check(few, "mine/test", sets=sets)
        assert caught.value.next_step == "Add classes: an episode has two or more."
    with pytest.raises(InputError, match="'class 0' has 1 usable clip, and 1 shot"):
        EpisodeSize("eval", way=2, shot=1, query=1).check({"class 0": 1, "class 1": 2}, "mine/test")


def test_crops_cut_where_they_say() -> None:
    frames = np.arange(2 * 3 * 6 * 6 * 3, dtype=np.int64).astype(np.uint8).reshape(2, 3, 6, 6, 3)
    offsets = np.array([[[0, 2]] * 3, [[1, 0]] * 3])
    cut = crop_frames(frames, offsets, 4)
    assert np.array_equal(cut[0], frames[0, :, 0:4, 2:6])
    assert np.array_equal(cut[1], frames[1, :, 1:5, 0:4])
    assert np.array_equal(centre_offsets(1, 2, 5), np.full((1, 2, 2), 2))


def test_crops_are_drawn_per_clip_or_per_frame() -> None:
    where = {"stream": "train", "seed": 0, "number": 3}
    clip = random_offsets(40, 8, 9, **where)
    frame = random_offsets(40, 8, 9, **where, per_frame=True)
    assert (clip == clip[:, :1]).all()
    assert not (frame == frame[:, :1]).all()
    assert set(np.unique(clip)) == set(range(10))


def test_a_set_is_drawn_by_its_name_in_whatever_order_classes_come() -> None:
    for sets in (["b", "b", "a", "a"], ["a", "b", "a", "b"], ["c", "a", "a", "c"]):
        drawn = _of_one_set(np.arange(4), sets, 2, 0)
        assert [sets[index] for index in drawn] == ["a", "a"]
