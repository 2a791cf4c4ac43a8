"""The walk over a tree: what counts as a video, where links lead, and what is passed over and said."""

import os
from pathlib import Path

import pytest

from fsarctl.datasets.video_tree import OTHERS, VIDEO_EXTENSIONS, VideoTree, find_videos, left_out_words
from fsarctl.video.container.demuxing import FORMATS


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def reasons(tree: VideoTree) -> dict[str, str]:
    return {each.path: each.reason for each in tree.passed_over}


def test_videos_at_any_depth_by_any_known_extension(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c/1.WebM", "2.mp4", "a/notes.txt", "a/.3.mp4", ".hidden/4.mp4", "a/5.mp4.part")
    assert find_videos(tmp_path).videos == ("2.mp4", "a/b/c/1.WebM")


def test_files_whose_ending_says_nothing_are_known_by_their_content(tmp_path: Path) -> None:
    heads = {
        "clip001": b"\x00\x00\x00\x20ftypisom",
        "clip.mov.1": b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat",
        "a/7.dat": b"\x1a\x45\xdf\xa3\x01",
        "a/8.rec": b"RIFF\x10\x00\x00\x00AVI LIST",
        "a/9.mod": b"\x00\x00\x01\xba\x44",
        "a/10.bin": b"".join(b"\x47" + bytes(187) for _ in range(5)),
        "a/00001.clpi": b"".join(b"\x00\x01\x02\x03\x47" + bytes(187) for _ in range(5)),
        "a/11.xyz": b"\x00\x00\x00\x01\x67\x42",
        "a/12.ogg": b"OggS\x00\x02" + bytes(22) + b"\x80theora",
        "a/13.avif": b"\x00\x00\x00\x20ftypavis",
    }
    others = {
        "sound.ogg": b"OggS\x00\x02" + bytes(22) + b"\x01vorbis",
        "sound.rec": b"RIFF\x10\x00\x00\x00WAVEfmt ",
        "sound.x": b"\x00\x00\x00\x20ftypM4A ",
        "picture.avif": b"\x00\x00\x00\x20ftypavif",
        "picture.x": b"\x00\x00\x00\x20ftypavif",
        "noise.bin": bytes(range(7, 100)),
        "nothing.bin": b"",
        "copy.mp4~": heads["clip001"],
        "copy.lrv": heads["clip001"],
        "copy.part": heads["clip001"],
        "frames/1.jpg": b"\xff\xd8\xff",
        "frames/2.JPG": b"\xff\xd8\xff",
    }
    documents = {"LICENSE": b"The free use of this", "notes.txt": b"hello", "README": b"# clips\n"}
    plant(tmp_path, *heads, *others, *documents)
    for name, content in {**heads, **others, **documents}.items():
        (tmp_path / name).write_bytes(content)
    tree = find_videos(tmp_path)
    assert set(tree.videos) == {*heads, "frames"}
    assert {each.ending: each.files for each in tree.left_out} == {
        **{".avif": 1, ".x": 2, ".bin": 2, ".ogg": 1, ".rec": 1, ".mp4~": 1, ".lrv": 1, ".part": 1}
    }
    assert left_out_words(tree.left_out) == (
        "10 files not taken for videos: 2 .bin (noise.bin), 2 .x (picture.x), 1 .avif (picture.avif) "
        "and 5 more"
    )


def test_what_libav_calls_a_format_s_ending_is_listed() -> None:
    import av

    for name in ("mov", "matroska", *FORMATS.split(",")):
        if name not in av.formats_available:
            continue
        endings = {f".{each}" for each in av.ContainerFormat(name, "r").extensions}
        assert endings <= VIDEO_EXTENSIONS | OTHERS | {".ism"}, name


def test_a_link_that_leads_nowhere_and_a_pipe_are_said(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4")
    (tmp_path / "a/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "unmounted").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "a/pipe.mp4")
    (tmp_path / "a/itself.mp4").symlink_to(tmp_path / "a/itself.mp4")
    tree = find_videos(tmp_path)
    assert tree.videos == ("a/1.mp4",)
    found = reasons(tree)
    assert found.keys() == {"a/gone.mp4", "unmounted", "a/pipe.mp4", "a/itself.mp4"}
    assert found["a/gone.mp4"] == found["unmounted"] == "a link that leads nowhere"
    assert found["a/pipe.mp4"] == "not a file"


def test_loops_end(tmp_path: Path) -> None:
    plant(tmp_path, "root/a/1.mp4", "root/b/2.mp4")
    (tmp_path / "root/a/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/a/over").symlink_to(tmp_path / "root/b")
    (tmp_path / "root/b/over").symlink_to(tmp_path / "root/a")
    (tmp_path / "root/b/out").symlink_to(tmp_path)
    tree = find_videos(tmp_path / "root")
    assert tree.videos == ("root/a/1.mp4".removeprefix("root/"), "b/2.mp4")
    assert reasons(tree)["a/up"] == "it leads to the root, which is read there"
    assert reasons(tree)["b/out/root"] == "it leads to the root, which is read there"


def test_of_two_links_to_one_directory_the_first_by_name_counts(tmp_path: Path) -> None:
    plant(tmp_path, "elsewhere/deep/1.mp4")
    (tmp_path / "root").mkdir()
    for name in ("y", "x", "z"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    tree = find_videos(tmp_path / "root")
    assert tree.videos == ("x/deep/1.mp4",)
    assert reasons(tree) == dict.fromkeys("yz", "it leads to x, which is read there")


def test_a_cache_is_not_looked_at(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4", "cache/CACHEDIR.TAG", "cache/artifacts/2.mp4")
    assert find_videos(tmp_path).videos == ("a/1.mp4",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.mp4", "lost+found/2.mp4")
    (tmp_path / "lost+found").chmod(0)
    tree = find_videos(tmp_path)
    (tmp_path / "lost+found").chmod(0o700)
    assert tree.videos == ("a/1.mp4",)
    assert reasons(tree) == {"lost+found": "permission denied"}


def test_a_directory_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a/1.mp4", "b/2.mp4")
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr("os.scandir", scandir)
    tree = find_videos(tmp_path)
    assert tree.videos == ("a/1.mp4",)
    assert reasons(tree) == {"b": "permission denied"}


def test_names_that_are_not_text_are_still_found(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.mp4")
    plant(tmp_path, f"a/{odd}")
    assert find_videos(tmp_path).videos == (f"a/{odd}",)
