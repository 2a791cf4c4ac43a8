"""Classes of which some have sentences and some none: nowhere does a sentence compete with a bare label."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typed import type_in

from fsarctl.predict.support_set import load_support

CLASSES = ("bowing", "clapping", "juggling", "waving")
SENTENCES = {
    "bowing": ["One stands.", "One bends.", "One rises."],
    "clapping": ["Hands part.", "Hands meet.", "Hands part again."],
}
FILE = """
[datasets.clips]
root = "clips"
[describe]
missing = "label"
files = ["mine.json"]
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
[eval]
way = 2
shots = [1]
episodes = 20
"""
Type = Callable[..., Any]


def film(path: Path, shade: int) -> None:
    """Eight frames that get brighter, from a shade of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for number in range(8):
            picture = np.full((64, 64, 3), shade + 10 * number, np.uint8)
            picture[number * 6 :, : shade // 2] = 0
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number, label in enumerate(CLASSES):
        for clip in range(2):
            film(folder / label / f"{clip}.mp4", 20 + 30 * number + 5 * clip)
    return folder


@pytest.fixture
def project(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clips").symlink_to(clips)
    (tmp_path / "fsarctl.toml").write_text(FILE)
    (tmp_path / "mine.json").write_text(json.dumps(SENTENCES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


@pytest.fixture
def typed(project: Path) -> Type:
    """Types a command line; its JSON document, if it prints one, and what it says."""

    def run(command: str, expect: int = 0) -> tuple[Any, str]:
        done = type_in(project, command, expect=expect)
        return (json.loads(done.stdout) if "--json" in command else done.stdout), done.stderr

    return run


def test_where_any_class_is_undescribed_all_are_read_by_their_labels_and_every_command_names_them(
    project: Path, typed: Type
) -> None:
    says = "2 of the 4 classes of clips/test are not described ('juggling', 'waving'), so all are read by"
    result, said = typed("fsarctl run --json")
    assert says in said
    assert says in result["warnings"][0]
    assert result["undescribed"] == ["juggling", "waving"]
    again, said = typed("fsarctl eval --json")  # said each time, not only when it is made
    assert says in said
    assert again["results"] == result["results"]

    report, _ = typed("fsarctl report --json --no-pictures")
    assert says in report["warnings"][0]
    assert report["undescribed"] == ["juggling", "waving"]
    check, _ = typed("fsarctl data check --json")
    (split,) = check["datasets"][0]["splits"]
    assert split["undescribed"] == ["juggling", "waving"]
    assert says in typed("fsarctl data check")[0]
    assert says in typed("fsarctl describe --show")[1]

    # The very result of a project that describes nothing: the artifact is the same one.
    (project / "mine.json").write_text("{}")
    bare, said = typed("fsarctl run --json")
    assert "nothing to do" in said
    assert bare["results"] == result["results"]
    assert bare["undescribed"] == list(CLASSES)
    assert "no class of clips/test is described" in said


def test_prediction_reads_labels_alone_or_clips_alone(project: Path, typed: Type) -> None:
    command = "fsarctl predict --support clips clips/waving/0.mp4 --json --top 4"
    partly, said = typed(command)
    assert "2 of the 4 classes of the support are not described ('juggling', 'waving')" in said
    assert partly["support"]["undescribed"] == ["juggling", "waving"]
    assert (partly["support"]["text"], partly["score"]) == ("labels", "both")

    (project / "mine.json").write_text("{}")
    bare, said = typed(command)
    assert partly["clips"] == bare["clips"]
    assert bare["support"]["undescribed"] == list(CLASSES)
    assert "no class of the support is described" in said

    (project / "mine.json").write_text(json.dumps(SENTENCES))
    refused, said = typed(f"{command} --set describe.missing=error")
    assert (refused["support"]["text"], refused["score"]) == (None, "video")
    assert refused["support"]["undescribed"] == ["juggling", "waving"]
    assert "video only: 2 classes ('juggling', 'waving') are not described" in said


def test_a_saved_support_of_labels_stays_one(project: Path, typed: Type) -> None:
    _, _ = typed("fsarctl predict --support clips --save-support it.safetensors")
    command = "fsarctl predict --support it.safetensors clips/waving/0.mp4 --json --top 4"
    loaded, said = typed(command)
    assert loaded["support"]["undescribed"] == ["juggling", "waving"]
    assert "2 of the 4 classes of it.safetensors are not described" in said
    assert (
        loaded["clips"]
        == typed("fsarctl predict --support clips clips/waving/0.mp4 --json --top 4")[0]["clips"]
    )

    # One of earlier days, in which sentences and labels were mixed, is ranked by the video score alone.
    support = load_support(project / "it.safetensors")
    mixed = {label: tuple(SENTENCES.get(label, support.descriptions[label])) for label in CLASSES}
    replace(support, descriptions=mixed, undescribed=()).save(project / "it.safetensors")
    old, said = typed(command)
    assert (
        "video only: in it.safetensors 2 classes ('juggling', 'waving') are read by the label alone" in said
    )
    assert (old["score"], old["support"]["undescribed"]) == ("video", ["juggling", "waving"])


def test_a_model_that_reads_no_sentences_says_nothing(project: Path, typed: Type) -> None:
    for override in ("model.score=video", "model.sub_actions=none"):
        check, _ = typed(f"fsarctl data check --json --set {override}")
        (split,) = check["datasets"][0]["splits"]
        assert split["undescribed"] == []
        assert "not described" not in typed(f"fsarctl eval --dry-run --set {override}")[1]


def test_what_nobody_described_is_named_before_describing_refuses_it(project: Path, typed: Type) -> None:
    printed, said = typed("fsarctl data check --set describe.missing=error", expect=3)
    assert "clips/test: no corpus file describes 2 labels: 'juggling', 'waving'" in said
    assert "2 of the 4 classes of clips/test are not described: fsarctl describe --edit" in printed


def test_a_method_that_reads_no_sentences_does_without(project: Path, typed: Type) -> None:
    """All commands; the frozen CLIP beside it reads labels, and it is said. An edit redoes that one alone."""
    (project / "fsarctl.toml").write_text(FILE.replace('strategy = "frozen"', ""))
    chosen = "--set describe.missing=error --set model.method=protonet --set model.options.backbone=frozen"
    says = "of the frozen CLIP: 2 of the 4 classes of clips/test are not described ('juggling', 'waving')"
    check, said = typed(f"fsarctl data check --json {chosen}")
    assert check["ready"]
    assert says in said
    ran, said = typed(f"fsarctl run --json {chosen}")
    assert says in said
    assert [each["model"] for each in ran["results"]] == ["frozen", "protonet"]
    assert ran["texts"] == {"frozen": "label", "method": None}
    printed, _ = typed(f"fsarctl eval {chosen}")
    assert "\nfrozen CLIP reads the label of each class alone, ProtoNet no text\n" in printed
    (project / "mine.json").write_text("{}")  # what nothing reads
    assert "nothing to do" in typed(f"fsarctl run --json {chosen}")[1]
    labels, _ = typed("fsarctl run --json --set model.strategy=frozen")
    assert labels["results"][0]["accuracy"] == ran["results"][0]["accuracy"]
    (project / "mine.json").write_text(json.dumps(dict.fromkeys(CLASSES, SENTENCES["bowing"])))
    states = {each["slot"]: each["state"] for each in typed(f"fsarctl status --json {chosen}")[0]["units"]}
    assert states["eval clips 1-shot protonet"] == "done"
    assert states["eval clips 1-shot frozen"] == "waiting"
    report, _ = typed(f"fsarctl report --json --no-pictures {chosen}")
    assert [each["model"] for each in report["results"]] == ["protonet"]
    (clip,) = typed(f"fsarctl predict --support clips clips/waving/0.mp4 --json {chosen}")[0]["clips"]
    assert clip["top"][0]["class"] == "waving"


def test_a_label_too_long_to_read_is_said_at_once_and_needs_no_text(project: Path, typed: Type) -> None:
    long = "counting" + " 1 2" * 40
    (project / "clips").unlink()
    for label in ("bowing", long):
        for clip in range(2):
            film(project / "clips" / label / f"{clip}.mp4", 40 + 10 * clip + len(label) // 2)
    check, said = typed("fsarctl data check --json", expect=3)
    (split,) = check["datasets"][0]["splits"]
    assert not check["ready"]
    assert [each["label"] for each in split["too_long"]] == [long]
    assert "tokens, and tiny reads 77" in split["too_long"][0]["reason"]
    assert "--set model.score=video" in said
    typed("fsarctl eval", expect=4)
    # what the error advises
    checked, _ = typed("fsarctl data check --json --set model.score=video")
    assert checked["ready"]
    result, _ = typed("fsarctl run --json --set model.score=video --set eval.episodes=3")
    assert result["results"][0]["episodes"] == 3
