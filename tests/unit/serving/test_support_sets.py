"""Where an example lies: found at once, however many others there are, and only where it may be."""

from pathlib import Path

import pytest

from fsarctl.serving import support_sets as module
from fsarctl.serving.support_sets import Example, SupportSets

FILES = ("bow/1.mp4", "bow/deep/2.MOV", "--help/1.mp4", "caf\u00e9/1.mp4", "nai\u0308ve/1.mp4", "a/b.c/1.avi")
ELSEWHERE = (".hidden/1.mp4", "bow/.1.mp4", "bow/cache/1.mp4", "bow/notes.txt", "loose.mp4")


@pytest.fixture
def sets(tmp_path: Path) -> SupportSets:
    for name in (
        *(f"supports/mine/{each}" for each in (*FILES, *ELSEWHERE)),
        "1.mp4",
        "supports/other/x/1.mp4",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "supports/mine/bow/cache/CACHEDIR.TAG").touch()
    (tmp_path / "supports/mine/tagged").mkdir()
    (tmp_path / "supports/mine/bow/nowhere.mp4").symlink_to("nobody.mp4")
    return SupportSets(tmp_path / "supports", lambda path: pytest.fail("nothing is to be loaded"))


def test_each_is_where_the_listing_has_it(sets: SupportSets, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = sets.examples("mine")
    assert len(listing) == len(FILES)
    looked: list[Path] = []
    walk = module.find_videos
    monkeypatch.setattr(module, "find_videos", lambda path: looked.append(path) or walk(path))
    for example, path in listing.items():
        assert sets.example("mine", example) == path
    # Letters that are composed otherwise on disk than in the listing are looked for among all.
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *((each.partition("/")[0], each.partition("/")[2]) for each in ELSEWHERE),
        ("bow", "nowhere.mp4"),
        ("bow", "../bow/1.mp4"),
        ("..", "other/x/1.mp4"),
        ("../other", "x/1.mp4"),
        ("bow/..", "bow/1.mp4"),
        ("bow", "../../../1.mp4"),
        ("bow", "/1.mp4"),
        ("", "bow/1.mp4"),
        ("bow", "1.mp4\0"),
        ("bow", ""),
        ("bow", "deep"),
    ],
)
def test_no_other_file_is_an_example(sets: SupportSets, label: str, name: str) -> None:
    assert sets.example("mine", Example(label, name)) is None


def test_an_absolute_path_is_none(sets: SupportSets, tmp_path: Path) -> None:
    assert sets.example("mine", Example("bow", str(tmp_path / "1.mp4"))) is None
    assert sets.example("mine", Example(str(tmp_path), "1.mp4")) is None
