"""Parts that any build makes and all find: whole or not there, within bounds, gone when nobody is at them."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notes import Notes
from typed import type_in

from fsarctl.artifacts import Build, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL
from fsarctl.artifacts.unfinished.shared_parts import SharedParts

BODY = '{{"seal": "{}", "part": "{}"}}'


def content(text: str) -> bytes:
    return BODY.format(EMPTY_SEAL, text).encode()


SIZE = len(content("a"))


def parts_of(key: str) -> Unit:
    return Unit("prefix", 1, "prefix", Command("run"), {"key": key}, build=lambda build: None)


def within(store: Store, work: Callable[[Build], object], name: str = "a") -> Any:
    """What ``work`` gives within a build."""
    given: list[object] = []

    def build(build: Build) -> None:
        given.append(work(build))
        (build.folder / "done").touch()

    store.realise(Unit("evaluate", 1, f"eval {name}", Command("eval"), {"name": name}, build), force=True)
    return given[0]


def opened(build: Build, key: str = "k", most: int = 10**6) -> SharedParts:
    parts = build.shared(parts_of(key))
    assert parts is not None
    parts.most = most
    return parts


def text_of(content: bytes | None) -> str | None:
    return None if content is None else content.decode().split('"part": "')[1].removesuffix('"}')


def files(store: Store) -> list[Path]:
    return sorted(store.root.glob("work/prefix/*/scratch/block-*"))


def test_a_part_is_found_by_whoever_asks_for_the_same(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "cache"), Store(tmp_path / "cache")
    assert within(first, lambda build: opened(build).keep(7, content("seven")))
    assert text_of(within(second, lambda build: opened(build).read(7))) == "seven"
    assert within(second, lambda build: opened(build).read(8)) is None
    assert within(second, lambda build: opened(build, "another key").read(7)) is None


def test_a_build_of_parts_has_them_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    with store.parts(Unit("evaluate", 1, "eval", Command("eval"), {}, lambda build: None)) as build:
        assert opened(build).keep(1, content("one"))
        assert store.gc([], dry_run=True) == []
    assert text_of(within(store, lambda build: opened(build).read(1))) == "one"


@pytest.mark.parametrize("damage", ["a flipped bit", "another part's", "half of it"])
def test_a_damaged_part_is_not_used_and_it_is_said(tmp_path: Path, damage: str) -> None:
    said = Notes()
    store = Store(tmp_path / "cache", reporter=said)
    within(store, lambda build: [opened(build).keep(n, content(f"part {n}")) for n in (1, 2)])
    path, other = files(store)
    whole = path.read_bytes()
    damaged = {"a flipped bit": whole.replace(b"part 1", b"part 3"), "half of it": whole[:60]}
    path.write_bytes(damaged.get(damage, other.read_bytes()))
    assert within(store, lambda build: opened(build).read(1)) is None
    (note,) = said.said
    assert note.startswith(f"DAMAGED: {path.name}")
    assert note.endswith("It is made again.")
    assert not path.exists()
    assert text_of(within(store, lambda build: opened(build).read(2))) == "part 2"


def test_verify_finds_a_damaged_part(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", reporter=Notes())
    within(store, lambda build: opened(build).keep(1, content("one")))
    (path,) = files(store)
    assert [each.faults for each in store.verify() if each.stage == "prefix"] == [()]
    path.write_bytes(path.read_bytes().replace(b"one", b"two"))
    (verdict,) = (each for each in store.verify() if each.stage == "prefix")
    assert "checksum" in verdict.faults[0]
    assert not path.exists()


def test_what_is_kept_stays_within_its_bound(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    kept = within(store, lambda build: [opened(build, most=3 * SIZE).keep(n, content("a")) for n in range(5)])
    assert kept == [True, True, True, False, False]
    assert len(files(store)) == 3


def test_two_that_fill_it_at_once_go_little_beyond_it(tmp_path: Path) -> None:
    """Each looks again after a sixteenth of it."""
    store = Store(tmp_path / "cache")

    def fill(build: Build) -> None:
        both = [opened(build, key, most=32 * SIZE) for key in ("one", "another")]
        for number in range(40):
            for each in both:
                each.keep(number, content("a"))

    within(store, fill)
    assert 32 <= len(files(store)) <= 32 + 2 * 2


def test_those_that_were_used_last_stay(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    for age, key in enumerate(("newest", "older", "oldest")):
        within(store, lambda build, key=key: opened(build, key).keep(0, content("a")))
        mark = max(store.root.glob("work/prefix/*/scratch/shared"), key=lambda each: each.stat().st_mtime)
        os.utime(mark, (10**6 - age, 10**6 - age))
    within(store, lambda build: opened(build, "oldest").read(0))  # and so it was used just now

    def crowd(build: Build) -> list[str | None]:
        assert opened(build, "mine", most=3 * SIZE).keep(0, content("a"))
        return [text_of(opened(build, key).read(0)) for key in ("newest", "older", "oldest", "mine")]

    assert within(store, crowd) == ["a", None, "a", "a"]


def test_what_a_running_build_reads_makes_no_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")

    def outer(build: Build) -> bool:
        assert opened(build, "read").keep(0, content("a"))
        return bool(
            within(Store(tmp_path / "cache"), lambda b: opened(b, most=SIZE).keep(0, content("a")), "b")
        )

    assert not within(store, outer)
    assert within(store, lambda build: opened(build, most=SIZE).keep(0, content("a")))


def test_gc_removes_them_once_nobody_is_at_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", project=tmp_path)

    def collected(build: Build) -> list[str]:
        opened(build).keep(0, content("a"))
        return [each.what for each in Store(tmp_path / "cache", project=tmp_path).gc([])]

    assert within(store, collected) == []
    (doomed,) = (each for each in store.gc([], dry_run=True) if each.path.parent.name == "prefix")
    assert (doomed.what, doomed.why) == ("shared prefix", "it is computed again where it is needed")
    assert doomed.bytes == SIZE
    store.gc([])
    assert not files(store)
    assert within(store, lambda build: opened(build).read(0)) is None


def test_a_listing_says_where_the_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    assert "beside them" not in type_in(tmp_path, "fsarctl cache ls").stderr
    store = Store(tmp_path / "cache", project=tmp_path)
    for key in "ab":
        within(store, lambda build, key=key: [opened(build, key).keep(n, content("a")) for n in range(3)])
    said = type_in(tmp_path, "fsarctl cache ls").stderr
    assert f"beside them: shared prefix, 2 folders, {6 * SIZE} bytes; `fsarctl cache gc` removes" in said
    listed = json.loads(type_in(tmp_path, "fsarctl cache ls --json").stdout)
    assert [(each["what"], each["bytes"]) for each in listed["unfinished"]] == [
        ("shared prefix", 3 * SIZE)
    ] * 2
    done = type_in(tmp_path, "fsarctl cache gc --yes")
    assert done.stdout.count(f"{3 * SIZE} bytes  shared prefix: it is computed again where it is needed") == 2
    assert "beside them" not in type_in(tmp_path, "fsarctl cache ls").stderr


def test_a_full_disk_costs_time_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "cache")

    def full(build: Build) -> list[bool]:
        parts = opened(build)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
            refused = parts.keep(0, content("a"))
        return [refused, parts.keep(1, content("a"))]

    assert within(store, full) == [False, False]


CHILD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path[:0] = sys.argv[3:]
    from test_shared_parts import content, opened, text_of, within
    from fsarctl.artifacts import Store

    def work(build):
        parts = opened(build)
        (Path(sys.argv[1]) / sys.argv[2]).touch()
        while len(list(Path(sys.argv[1]).glob("ready*"))) < 2:
            time.sleep(0.001)
        made = 0
        for number in range(40):
            if parts.read(number) is None:
                made += parts.keep(number, content(f"part {number}"))
        return made, [text_of(parts.read(number)) for number in range(40)]

    made, texts = within(Store(Path(sys.argv[1]) / "cache"), work, sys.argv[2])
    assert texts == [f"part {number}" for number in range(40)], texts
    print(made)
    """
)


def test_two_processes_fill_the_same_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHILD, str(tmp_path)]
    here = Path(__file__).resolve()
    children = [
        subprocess.Popen(
            [*words, name, str(here.parent), str(here.parents[2])], stdout=subprocess.PIPE, encoding="utf-8"
        )
        for name in ("ready a", "ready b")
    ]
    made = [int(child.communicate(timeout=300)[0]) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert 40 <= sum(made) <= 80
    store = Store(tmp_path / "cache")
    assert len(files(store)) == 40
    assert not [path for path in store.root.glob("work/prefix/*/scratch/*") if "partial" in path.name]
