"""Files that only say how an artifact was made, and builds that take over parts of earlier ones."""

import hashlib
from pathlib import Path

import pytest

from fsarctl.artifacts import Build, Earlier, Files, Store, Unit
from fsarctl.artifacts.command import Command


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def frames(pixels: str, decoder: str) -> Unit:
    def build(given: Build) -> None:
        (given.folder / "pixels").write_text(pixels)
        (given.folder / "decoder.json").write_text(decoder)

    return Unit("extract", 1, "extract", Command("extract"), {}, build, aside=("decoder.json",))


def train(upstream: Unit) -> Unit:
    def build(given: Build) -> None:
        (given.folder / "adapters").write_text((given.inputs["frames"] / "pixels").read_text())

    return Unit("train", 1, "train", Command("train"), {}, build, inputs={"frames": upstream})


def test_how_it_was_made_changes_nothing_downstream(store: Store) -> None:
    old, new = frames("p", "old"), frames("p", "new")
    first = store.realise_all([train(old)])
    again = store.realise(new, force=True)
    assert (again.path / "decoder.json").read_text() == "new"
    assert again.digest == first[0].artifact.digest
    assert [outcome.made for outcome in store.realise_all([train(new)])] == [False, False]
    store.realise(frames("other pixels", "new"), force=True)
    assert [outcome.made for outcome in store.realise_all([train(new)])] == [False, True]


def test_how_it_was_made_is_verified_like_the_rest(store: Store) -> None:
    artifact = store.realise(frames("p", "old"))
    assert [verdict.faults for verdict in store.verify()] == [()]
    (artifact.path / "decoder.json").chmod(0o644)
    (artifact.path / "decoder.json").write_text("olt")
    assert store.find(frames("p", "old")) is None
    store.realise(frames("p", "old"))
    assert [verdict.faults for verdict in store.verify()] == [()]


def reusing(number: int, seen: list[list[Earlier]], *, fail: bool = False, reuses: bool = True) -> Unit:
    def build(given: Build) -> None:
        seen.append(list(given.earlier()))
        (given.folder / "number").write_text(str(number))
        if fail:
            raise KeyboardInterrupt

    command = Command("extract")
    return Unit("extract", 1, "extract", command, {"number": number}, build, reuses=reuses)


def test_a_build_sees_what_is_there_of_its_stage(store: Store) -> None:
    seen: list[list[Earlier]] = []
    first = store.realise(reusing(1, seen)).path
    second = store.realise(reusing(2, seen)).path
    with pytest.raises(KeyboardInterrupt):
        store.realise(reusing(3, seen, fail=True))
    store.realise(reusing(4, seen))
    store.realise(reusing(3, seen))
    assert [each.folder for each in seen[1]] == [first]
    assert [each.folder for each in seen[2]] == [second, first]
    *finished, unfinished = seen[3]
    assert [each.folder for each in finished] == [second, first]
    assert [each.scratch for each in finished] == [None, None]
    assert unfinished.scratch is not None
    assert unfinished.scratch.name == "scratch"
    assert len(seen[4]) == 3, "its own unfinished work is handed over as its folder, not as another's"


def test_nothing_is_taken_over_by_force_unless_it_is_made_again(store: Store) -> None:
    seen: list[list[Earlier]] = []
    unit = reusing(1, seen)
    store.realise_all([unit])
    store.realise_all([unit], force=True)
    store.realise_all([unit], again=[unit])
    store.realise_all([reusing(2, seen, reuses=False)])
    assert [len(each) for each in seen] == [0, 0, 1, 0]


def test_digests_of_what_went_in_are_given(store: Store, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"video")
    seen: dict[str, object] = {}

    def build(given: Build) -> None:
        seen.update(given.digests)

    upstream = frames("p", "d")
    inputs: dict[str, Unit | Files] = {"videos": Files({"a/v": tmp_path / "v.mp4"}), "frames": upstream}
    store.realise_all([Unit("x", 1, "x", Command("x"), {}, build, inputs=inputs)])
    assert seen == {
        "videos": {"a/v": hashlib.sha256(b"video").hexdigest()},
        "frames": {
            "pixels": hashlib.sha256(b"p").hexdigest(),
            "decoder.json": hashlib.sha256(b"d").hexdigest(),
        },
    }
