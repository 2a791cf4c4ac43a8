"""Groups: support and query of an episode share none; where clips have none, nothing changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.clips import Clip
from fsarctl.datasets.episode_size import EpisodeSize
from fsarctl.datasets.group_sizes import can_part, group_sizes
from fsarctl.datasets.groups import groups_key
from fsarctl.datasets.kinds import open_dataset
from fsarctl.episodes.batch_sampler import EpisodeSampler
from fsarctl.episodes.sampler import sample_episode
from fsarctl.errors import ConfigError, InputError


def rows_of(groups: list[list[int]]) -> tuple[dict[str, list[int]], np.ndarray]:
    """Class n's clips, one for each entry of groups[n], which is its group."""
    rows: dict[str, list[int]] = {}
    flat: list[int] = []
    for number, some in enumerate(groups):
        rows[f"class {number}"] = list(range(len(flat), len(flat) + len(some)))
        flat += some
    return rows, np.array(flat, np.int64)


def episode(groups: list[list[int]], number: int = 0, grouped: bool = True, **shape: int) -> Any:
    rows, flat = rows_of(groups)
    size = {"way": 2, "shot": 1, "query": 1, **shape}
    return sample_episode(
        rows, stream="test", seed=0, number=number, **size, groups=flat if grouped else None
    ), flat


THREE_PEOPLE = [[0, 0, 0, 1, 1, 1, 2, 2, 2]] * 3


@pytest.mark.parametrize(("shot", "query"), [(1, 1), (5, 1), (1, 5), (4, 2), (6, 3)])
def test_three_people_in_every_class_are_never_on_both_sides(shot: int, query: int) -> None:
    for number in range(200):
        found, groups = episode(THREE_PEOPLE, number, way=3, shot=shot, query=query)
        support, asked = set(groups[found.support].reshape(-1)), set(groups[found.query])
        assert not support & asked
        for column in range(3):
            rows = [*found.support[column], *found.query[found.targets == column]]
            assert len(set(rows)) == shot + query
            assert {row // 9 for row in rows} == {int(found.classes[column].split()[1])}


@settings(suppress_health_check=[HealthCheck.too_slow])  # as on a busy machine
@given(
    groups=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=8), min_size=2, max_size=4),
    shot=st.integers(1, 3),
    query=st.integers(1, 2),
    number=st.integers(0, 10),
)
def test_whatever_the_groups_are_they_are_kept_apart(
    groups: list[list[int]], shot: int, query: int, number: int
) -> None:
    rows, _ = rows_of(groups)
    sizes = group_sizes((label, str(g)) for label, some in zip(rows, groups, strict=True) for g in some)
    if not all(can_part(each, shot, query) for each in sizes.values()):
        return
    try:
        found, flat = episode(groups, number, shot=shot, query=query)
    except InputError:
        assert not any(
            both_can_be_parted(groups[a], groups[b], shot, query)
            for a in range(len(groups))
            for b in range(a)
        )
        return
    assert not set(flat[found.support].reshape(-1)) & set(flat[found.query])
    assert found.support.shape == (2, shot)
    again, _ = episode(groups, number, shot=shot, query=query)
    assert (again.support == found.support).all()
    assert (again.query == found.query).all()


def both_can_be_parted(one: list[int], other: list[int], shot: int, query: int) -> bool:
    """By trying every way of parting six groups."""
    for mask in range(64):
        for some in (one, other):
            support = sum(mask >> group & 1 for group in some)
            if support < shot or len(some) - support < query:
                break
        else:
            return True
    return False


@given(sizes=st.lists(st.integers(1, 5), max_size=7), support=st.integers(0, 8), query=st.integers(0, 8))
def test_groups_can_be_parted_if_some_choice_of_them_does(sizes: list[int], support: int, query: int) -> None:
    total = sum(sizes)
    chosen = [
        sum(size for bit, size in enumerate(sizes) if mask >> bit & 1) for mask in range(2 ** len(sizes))
    ]
    assert can_part(sizes, support, query) == any(c >= support and total - c >= query for c in chosen)


def test_groups_that_part_nothing_change_nothing() -> None:
    alone = [list(range(start, start + 8)) for start in (0, 8, 16)]
    for number in range(50):
        with_groups, _ = episode(alone, number, shot=3, query=2)
        without, _ = episode(alone, number, shot=3, query=2, grouped=False)
        assert with_groups.classes == without.classes
        for name in ("support", "query", "targets"):
            assert (getattr(with_groups, name) == getattr(without, name)).all()


def test_classes_whose_people_cannot_be_parted_never_meet() -> None:
    """Of a person one class has the only clip that can be the query, and another only support."""
    groups = [[0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1], [2, 3, 3, 3, 3, 3]]
    met = {frozenset(episode(groups, number, shot=5)[0].classes) for number in range(60)}
    assert met == {frozenset({"class 0", "class 2"}), frozenset({"class 1", "class 2"})}
    with pytest.raises(InputError, match="share so few groups"):
        episode(groups[:2], shot=5)


def test_a_class_of_one_person_is_refused_by_name() -> None:
    size = EpisodeSize("eval", 2, 1, 1)
    with pytest.raises(
        InputError, match=r"class 'b' has 1 group \(of 4 clips\), and 1 shot \+ 1 query"
    ) as found:
        size.check({"a": 4, "b": 4}, "mine/test", {"a": [2, 2], "b": [4]})
    assert "other groups" in found.value.next_step
    # Two groups do not help five shots if each has but three clips.
    with pytest.raises(InputError, match=r"2 groups \(of 3, 3 clips\)"):
        EpisodeSize("eval", 2, 5, 1).check({"a": 6, "b": 6}, "mine", {"a": [3, 3], "b": [1] * 6})
    size.check({"a": 4, "b": 4}, "mine/test", {"a": [2, 2], "b": [3, 1]})


def test_a_batch_samplers_episodes_keep_groups_apart() -> None:
    labels = ["a"] * 6 + ["b"] * 6
    people = ["anna", "anna", "ben", "ben", "cleo", "cleo"] * 2
    sampler = EpisodeSampler(labels, way=2, shot=2, query=1, episodes=50, groups=people)
    for number in range(50):
        found = sampler.episode(number)
        support = {people[place] for place in found.support.reshape(-1)}
        assert not support & {people[place] for place in found.query}
    with pytest.raises(InputError, match="1 group"):
        EpisodeSampler(labels, way=2, groups=["anna"] * 12)


def clips_at(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def groups_in(folder: Path, **settings: Any) -> dict[str, str]:
    dataset = open_dataset("mine", DatasetConfig(**settings), folder)
    return {clip.name: clip.group for some in dataset.clips.values() for clip in some}


def test_a_pattern_says_what_group_a_clip_is_of(tmp_path: Path) -> None:
    clips_at(tmp_path, "wave/PS7A2P1T1.avi", "wave/PS7A2P3T1.avi", "raise/PS7A3P1T3.avi")
    found = groups_in(tmp_path, root=str(tmp_path), group=r"(P\d)T")
    assert found == {
        "wave/PS7A2P1T1.avi": "P1", "wave/PS7A2P3T1.avi": "P3", "raise/PS7A3P1T3.avi": "P1",
    }  # fmt: skip
    both = groups_in(tmp_path, root=str(tmp_path), group=r"^([^/]+)/.*(P\d)T")
    assert both["raise/PS7A3P1T3.avi"] == "raise/P1"
    assert set(groups_in(tmp_path, root=str(tmp_path)).values()) == {""}


def test_a_lists_column_says_it(tmp_path: Path) -> None:
    clips_at(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "list.csv").write_text("path,label,Person\n1.mp4,wave,anna\n2.mp4,wave,ben\n")
    settings = {"kind": "list", "file": str(tmp_path / "list.csv")}
    found = groups_in(tmp_path, **settings, group_column="person")
    assert found == {"wave/1.mp4": "anna", "wave/2.mp4": "ben"}
    with pytest.raises(InputError, match="has no column 'camera'; it has path, label, person"):
        groups_in(tmp_path, **settings, group_column="camera")
    (tmp_path / "list.txt").write_text("1.mp4 wave\n")
    with pytest.raises(InputError, match="has no columns"):
        groups_in(tmp_path, kind="list", file=str(tmp_path / "list.txt"), group_column="person")
    (tmp_path / "list.csv").write_text("path,label,person\n1.mp4,wave,anna\n2.mp4,wave,\n")
    with pytest.raises(InputError, match=r"gives no group for 'wave/2\.mp4'"):
        groups_in(tmp_path, **settings, group_column="person")


def test_a_file_says_it(tmp_path: Path) -> None:
    root = clips_at(tmp_path / "clips", "wave/1.mp4", "wave/2.mp4", "raise/3.mp4")
    file = tmp_path / "groups.csv"
    file.write_text("wave/1.mp4,anna\n2.mp4,ben\nraise/3.mp4,anna\n")
    found = groups_in(tmp_path, root=str(root), group_file=str(file))
    assert found == {"wave/1.mp4": "anna", "wave/2.mp4": "ben", "raise/3.mp4": "anna"}
    file.write_text("wave/1.mp4,anna\n2.mp4,ben\n")
    with pytest.raises(InputError, match=r"group_file = .* gives no group for 'raise/3.mp4'"):
        groups_in(tmp_path, root=str(root), group_file=str(file))
    file.write_text("wave/1.mp4,anna\nwave/1.mp4,ben\n")
    with pytest.raises(InputError, match=r"line 2: 'wave/1\.mp4' is in group 'anna' and in 'ben'"):
        groups_in(tmp_path, root=str(root), group_file=str(file))
    file.write_text("wave/1.mp4\n")
    with pytest.raises(InputError, match=r"line 1: .* is not a clip and a group"):
        groups_in(tmp_path, root=str(root), group_file=str(file))


@pytest.mark.slow  # 20,000 files
def test_ucf101s_groups_are_25_in_each_class_and_hmdb51s_are_its_films(tmp_path: Path) -> None:
    for name in ("ucf101", "hmdb51"):
        videos = [pair for rows in load_split_lists(name).values() for pair in rows]
        clips_at(tmp_path / name, *(f"{video}.avi" for _, video in videos))
        dataset = open_dataset(
            name,
            DatasetConfig(kind="benchmark", name=name, root=str(tmp_path / name), group="recording"),
            tmp_path,
        )  # type: ignore[arg-type]
        found = {clip.name: clip.group for some in dataset.clips.values() for clip in some}
        assert len(found) == len(videos)
        if name == "ucf101":
            by_file = {clip.rpartition("/")[2]: group for clip, group in found.items()}
            assert by_file["v_YoYo_g25_c05"] == by_file["v_YoYo_g25_c01"] != by_file["v_YoYo_g24_c01"]
            assert by_file["v_YoYo_g25_c05"] != by_file["v_WritingOnBoard_g25_c06"]
            for split in ("train", "val", "test"):
                assert {len(sizes) for sizes in dataset.group_sizes(split).values()} == {25}
        else:
            assert found["kick/TheBoondockSaints_kick_u_nm_np1_fr_bad_122"] == "TheBoondockSaints"
            films = {group for name, group in found.items() if name.startswith("kick ball/")}
            assert "Amazing_Soccer_#2" in films


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": "("}, "is no pattern"),
        ({"group": "recording"}, "is for the benchmarks hmdb51, ucf101"),
        ({"group": r"P\d"}, "captures nothing"),
        ({"group": r"(P\d)", "group_file": "a.csv"}, "keep one"),
        ({"group_column": "person"}, "is not for kind = folder"),
    ],
)
def test_settings_that_say_no_groups_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DatasetConfig(root="x", **settings)  # type: ignore[arg-type]


def test_groups_enter_a_key_only_where_there_are_some() -> None:
    assert groups_key(None) == {}
    one, other = groups_key({"a": "x", "b": "y"}), groups_key({"a": "x", "b": "x"})
    assert one == groups_key({"b": "y", "a": "x"}) != other


def test_a_clip_has_no_group_unless_told() -> None:
    assert Clip("a/b.mp4", "a", "/x/b.mp4").group == ""
