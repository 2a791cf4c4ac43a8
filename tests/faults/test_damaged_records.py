"""Paid answers, memories and what verify says of them, of unfinished work and of what was made of damage."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.artifacts import Artifact, Build, Store, Unit
from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unfinished.journal import Entry, Journal, file_crc32c
from fsarctl.artifacts.unfinished.sealed import sealed_json
from fsarctl.progress import SILENT
from fsarctl.text.llm.answer_forms import FormMemory
from fsarctl.text.llm.answers import Answer
from fsarctl.text.llm.records import CorruptRecordError, Records

SENTENCES = ("Feet run.", "Both leave the ground.", "They land in sand.")


def damaged(content: bytes, tries: int) -> Iterator[bytes]:
    """With one bit flipped, or cut off; everywhere, or at places drawn by chance."""
    places = range(len(content))
    for place in places if tries >= len(content) else random.Random(0).sample(places, tries):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        yield bytes(flipped)
        yield content[:place]


@pytest.fixture
def records(tmp_path: Path) -> Records:
    kept = Records(tmp_path / "cache" / "records" / "describe", "small", 0.7)
    with kept.held(SILENT):
        answer = Answer(SENTENCES, {"prompt_tokens": 9}, "small", "http://a", "text")
        kept.keep("long jump", "A prompt", answer)
    return kept


def test_no_byte_of_a_damaged_answer_is_used(records: Records) -> None:
    path = records.path("A prompt")
    whole = path.read_bytes()
    for content in damaged(whole, 150):
        path.write_bytes(content)
        with pytest.raises(CorruptRecordError):
            records.find("A prompt")
    path.write_bytes(whole)
    found = records.find("A prompt")
    assert found is not None
    assert found.sub_actions == SENTENCES
    path.rename(records.path("Another prompt"))
    with pytest.raises(CorruptRecordError, match="of something else"):
        records.find("Another prompt")


def test_an_answer_of_an_earlier_version_is_not_paid_for_again(records: Records) -> None:
    path = records.path("A prompt")
    fields = json.loads(path.read_bytes())
    del fields["seal"]
    path.write_text(json.dumps(fields, indent=1))
    found = records.find("A prompt")
    assert found is not None
    assert found.sub_actions == SENTENCES


def test_a_damaged_memory_of_a_server_is_found_out_again(tmp_path: Path) -> None:
    memory = FormMemory(tmp_path, "http://a", "small")
    memory.remember("json_object", ["temperature"])
    known = memory.recall()
    assert known == ("json_object", frozenset({"temperature"}))
    (path,) = tmp_path.iterdir()
    for content in damaged(path.read_bytes(), 100):
        path.write_bytes(content)
        assert memory.recall() is None


def unit(slot: str, build: "object" = None, **inputs: Unit) -> Unit:
    def fill(given: Build) -> None:
        (given.folder / "content").write_text(slot)

    stage = slot.split()[0]
    return Unit(stage, 1, slot, Command(stage), {"slot": slot}, build or fill, inputs)  # type: ignore[arg-type]


def interrupted(given: Build) -> None:
    """Three parts, and a checkpoint, of which the last build makes what is missing."""
    journal = Journal(given.scratch, given.of)
    entries, _ = journal.read()
    parts = {name for entry in entries for name in entry.files if entry.is_whole(given.folder)}
    checkpoint = given.scratch / "checkpoint.safetensors"
    had = [*sorted(parts), *(["checkpoint"] if checkpoint.exists() else [])]
    given.record("had", had)
    for name in sorted({"a", "b", "c"} - parts):
        (given.folder / name).write_text(name)
        journal.add(Entry({name: file_crc32c(given.folder / name)}))
    if not had:
        checkpoint.write_bytes(sealed_json({}, f"{given.of} {checkpoint.name}"))
        raise ZeroDivisionError


@pytest.fixture
def project(tmp_path: Path, records: Records) -> Path:
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    with pytest.raises(ZeroDivisionError):
        Store(tmp_path / "cache").realise(unit("train a", interrupted))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("b", ["a", "c", "checkpoint"]),
        ("checkpoint.safetensors", ["a", "b", "c"]),
        ("journal.jsonl", ["a", "c", "checkpoint"]),
    ],
)
def test_verify_reads_unfinished_work(project: Path, name: str, left: list[str]) -> None:
    assert (
        "1 of 1 unfinished build, 1 of 1 record are whole" in type_in(project, "fsarctl cache verify").stderr
    )
    (path,) = (project / "cache" / "work").rglob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    said = type_in(project, "fsarctl cache verify", expect=5)
    assert "1 of 1 unfinished build are corrupt and what is damaged of them is not used" in said.stderr
    assert "DAMAGED" in said.stderr
    assert ("moved to" in said.stderr) == name.endswith(".safetensors")
    path = project / "cache" / "records" / "stray.json"
    path.write_text("no JSON")
    said_of_both = type_in(project, "fsarctl cache verify", expect=5).stderr
    assert "1 of 2 records are corrupt and were moved to quarantine" in said_of_both
    assert "train" in said.stdout
    rows = json.loads(type_in(project, "fsarctl cache verify --json").stdout)
    assert [row["faults"] for row in rows["unfinished"]] == [[]], "what is damaged was taken out"
    made = Store(project / "cache").realise(unit("train a", interrupted))
    assert sorted(made.manifest.files) == ["a", "b", "c"]
    facts = made.manifest.provenance["facts"]
    assert isinstance(facts, dict)
    assert facts["had"] == left


def test_verify_reads_records(project: Path, records: Records) -> None:
    path = records.path("A prompt")
    path.write_bytes(path.read_bytes().replace(b"sand", b"mud."))
    said = type_in(project, "fsarctl cache verify", expect=5)
    assert "1 of 1 record are corrupt" in said.stderr
    assert records.find("A prompt") is None, "it is asked for again"
    assert [each.name.partition(".")[0] for each in (project / "cache/quarantine").iterdir()] == [path.stem]
    assert "0 of 0" in type_in(project, "fsarctl cache verify").stderr


def damage(artifact: Artifact) -> None:
    path = artifact.path / "content"
    path.chmod(0o644)
    path.write_text(path.read_text()[::-1])


@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_was_made_of_a_damaged_artifact_is_stale(tmp_path: Path, *, meanwhile: bool) -> None:
    """Also what is finished only while `verify` is at it."""
    notes: list[str] = []
    reporter = type("Notes", (type(SILENT),), {"note": lambda _, message: notes.append(message)})()
    store = Store(tmp_path / "cache", reporter=reporter)
    frames = unit("extract a")
    early, late, after = (unit(name, frames=frames) for name in ("train early", "train late", "train after"))
    store.realise_all([early])

    def spoil(given: Build) -> None:
        damage(Artifact(given.inputs["frames"], found.manifest))
        (given.folder / "content").write_text((given.inputs["frames"] / "content").read_text())

    found = store.realise(frames)
    spoilt = Unit(late.stage, 1, late.slot, late.command, late.config, spoil, late.inputs)
    outcomes = store.realise_all([unit("eval late", weights=spoilt)])  # in one look, which has found it whole
    (home,) = [each.artifact.path for each in outcomes if each.unit.slot == "train late"]
    if meanwhile:
        home.rename(tmp_path / "not yet")
    verdicts = []
    for verdict in Store(tmp_path / "cache", reporter=reporter).verify():
        verdicts.append(verdict)
        if verdict.faults and meanwhile:
            (tmp_path / "not yet").rename(home)
    assert [each.slot for each in verdicts if each.faults] == ["extract a"]
    assert "Made of it since it was changed: train late. It counts as stale." in notes
    store = Store(tmp_path / "cache")
    store.realise(frames)  # with the bytes that it had
    states = {each.unit.slot: each for each in store.plan([early, late, unit("eval late", weights=late)])}
    assert {slot: each.name for slot, each in states.items()} == {
        "extract a": "done",
        "train early": "done",
        "train late": "stale",
        "eval late": "waiting",
    }
    assert [str(each) for each in states["train late"].why] == [
        'inputs: "damaged when it was made" -> "whole"'
    ]
    made = store.realise_all([unit("eval late", weights=late), after])
    assert [(each.unit.slot, each.made) for each in made] == [
        ("extract a", False),
        ("train late", True),
        ("eval late", True),  # it was made of other bytes
        ("train after", True),
    ]
    assert (made[1].artifact.path / "content").read_text() == "train late"
    assert {each.name for each in store.plan([late])} == {"done"}
