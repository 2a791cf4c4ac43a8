"""The describe stage on written files: what enters the key, what is missing, and what is written."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notes import Notes

from fsarctl.artifacts.command import Command
from fsarctl.artifacts.unit import Build, Unit
from fsarctl.config.tables import DescribeConfig
from fsarctl.errors import ConfigError, InputError, UsageError
from fsarctl.progress import SILENT
from fsarctl.stages import describe
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.corpus import load_descriptions, prompts_of
from fsarctl.text.edits import keep_edit

WRITTEN = {
    "somersault backwards": ["Crouch.", "Turn over backwards.", "Land on both feet."],
    "juggling": ["Hold three balls.", "Throw them in turn.", "Catch them all."],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine.json").write_text(json.dumps(WRITTEN))
    return tmp_path


def unit_of(root: Path, labels: list[str], *, limit: CaptionLimit | None = None, **settings: Any) -> Unit:
    config = DescribeConfig(**{"files": ("mine.json",), **settings})
    return describe.unit(labels, config, slot="describe", records=root / "records", root=root, limit=limit)


def build(unit: Unit, root: Path) -> Path:
    unit.build(Build(root, root, {}, SILENT, lambda name, value: None))
    return root


def test_descriptions_are_written_and_read_back(root: Path) -> None:
    unit = unit_of(root, ["Juggling", "somersault_backwards"])
    folder = build(unit, root)
    assert load_descriptions(folder) == {
        "Juggling": tuple(WRITTEN["juggling"]),
        "somersault_backwards": tuple(WRITTEN["somersault backwards"]),
    }
    labels = json.loads((folder / "descriptions.json").read_bytes())["labels"]
    assert labels["Juggling"] == {
        "beginning": "Hold three balls.",
        "process": "Throw them in turn.",
        "end": "Catch them all.",
    }
    assert (unit.stage, unit.slot, unit.command) == ("describe", "describe", Command("describe"))


def test_order_and_repetition_change_neither_key_nor_bytes(root: Path) -> None:
    one = unit_of(root, ["juggling", "somersault backwards"])
    first = (build(one, root) / "descriptions.json").read_bytes()
    two = unit_of(root, ["somersault backwards", "juggling", "somersault backwards"])
    assert json.dumps(one.config) == json.dumps(two.config)
    assert (build(two, root) / "descriptions.json").read_bytes() == first


def test_only_the_found_sentences_enter_the_key(root: Path) -> None:
    before = unit_of(root, ["juggling"]).config
    edited = {**WRITTEN, "somersault backwards": ["A.", "B.", "C."], "more": ["A.", "B.", "C."]}
    (root / "renamed.json").write_text(json.dumps(edited))
    unrelated = {"model": "x", "temperature": 1.0, "base_url": "http://x", "missing": "label"}
    assert unit_of(root, ["juggling"], files=("renamed.json",), **unrelated).config == before
    (root / "mine.json").write_text(json.dumps({"juggling": ["A.", "B.", "C."]}))
    assert unit_of(root, ["juggling"]).config != before


def test_labels_without_a_description_are_named_with_a_way_out(root: Path) -> None:
    with pytest.raises(InputError, match=r"no corpus file describes 7 labels: 'no 0'.* and 2 more") as caught:
        unit_of(root, [f"no {n}" for n in range(7)] + ["juggling"])
    for way in ("describe.files", "openai", 'describe.missing = "label"'):
        assert way in caught.value.next_step


def test_a_label_may_stand_for_itself(root: Path) -> None:
    unit = unit_of(root, ["../../x", "juggling"], missing="label")
    assert load_descriptions(build(unit, root))["../../x"] == ("../../x",) * 3


def test_plan_of_written_descriptions_calls_nobody(root: Path) -> None:
    config = DescribeConfig(files=("mine.json",))
    plan = describe.plan(["juggling"], config, records=root / "records", root=root)
    assert (dict(plan.calls), plan.kept) == ({}, 1)


def test_nothing_to_describe(root: Path) -> None:
    with pytest.raises(InputError, match="no label"):
        unit_of(root, [])


def test_the_question_is_the_key_of_a_language_models_answers(root: Path) -> None:
    def key(labels: list[str], **settings: Any) -> object:
        return unit_of(root, labels, **{"source": "openai", "model": "m", **settings}).config

    (root / "other.txt").write_text("Stages of {label}?")
    assert key(["a", "b"]) == key(["b", "a", "b"], base_url="http://elsewhere/v1", files=(), missing="label")
    assert key(["a"], temperature=0) == key(["a"], temperature=0.0)
    others = [
        key(["a"]),
        key(["a", "b"]),
        key(["a"], model="n"),
        key(["a"], temperature=1.0),
        key(["a"], template="other.txt"),
    ]
    assert len({json.dumps(other) for other in others}) == len(others)


def test_the_shipped_template_asks_as_the_paper_does(root: Path) -> None:
    prompt = calls(root, "High Jump")["High Jump"]
    instruction, _, rest = prompt.partition("\n")
    assert instruction == "Given an action label High Jump, describe three stages of the action."
    example = {
        "beginning": "Run up for momentum.",
        "process": "Take off with a powerful leap.",
        "end": "Land and maintain balance.",
    }
    assert f"if the label is Long Jump, the answer is:\n{json.dumps(example)}\n" in rest
    assert "the beginning, the process and the end of the action" in rest
    assert "{label}" not in prompt


def calls(root: Path, label: str, **settings: Any) -> Mapping[str, str]:
    config = DescribeConfig(source="openai", **settings)
    return describe.plan([label], config, records=root / "records", root=root).calls


def test_editing_the_shipped_template_asks_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = unit_of(root, ["a"], source="openai").config
    (root / "sub_actions.txt").write_text("Stages of {label}?\n")
    monkeypatch.setattr("fsarctl.text.llm.question.resources.files", lambda _: root)
    assert unit_of(root, ["a"], source="openai").config != before
    assert calls(root, "a") == {"a": "Stages of a?"}


def test_a_line_end_that_an_editor_adds_is_no_other_question(root: Path) -> None:
    for name, text in (
        ("one.txt", b"Stages of {label}?"),
        ("two.txt", b"\xef\xbb\xbfStages of {label}?\r\n"),
    ):
        (root / name).write_bytes(text)
    one, two = (unit_of(root, ["a"], source="openai", template=f"{name}.txt") for name in ("one", "two"))
    assert one.config == two.config


@pytest.mark.parametrize("source", ["corpus", "openai"])
def test_prices_are_in_no_key(root: Path, source: str) -> None:
    keys = [unit_of(root, ["juggling"], source=source, price_in=p, price_out=p).config for p in (0.0, 2.5)]
    assert keys[0] == keys[1]


def test_the_same_sentences_from_another_source_are_the_same_bytes(root: Path) -> None:
    labels = ["juggling", "somersault backwards"]
    written = (build(unit_of(root, labels), root) / "descriptions.json").read_bytes()
    (root / "mine.json").rename(root / "edited-descriptions.json")
    edited = unit_of(root, labels, files=())
    assert edited.config == unit_of(root, labels, files=()).config
    assert (build(edited, root) / "descriptions.json").read_bytes() == written
    asked = unit_of(root, labels, source="openai", files=())
    assert (build(asked, root) / "descriptions.json").read_bytes() == written


def test_where_descriptions_come_from_is_in_the_manifests_facts(root: Path) -> None:
    keep_edit(root, "juggling", ("Hold.", "Throw.", "Catch."))
    unit = unit_of(root, ["juggling", "somersault backwards", "x"], missing="label")
    facts: dict[str, Any] = {}
    notes = Notes()
    unit.build(Build(root, root, {}, notes, facts.__setitem__))
    assert facts["sources"] == {"edited": 1, "corpus": 1, "label": 1}
    assert facts["edited"] == ["juggling"]
    assert notes.said[0] == "edited-descriptions.json describes 1 label: 'juggling'"


def test_an_edit_wins_over_files_and_over_the_language_model(root: Path) -> None:
    before = unit_of(root, ["juggling"]).config
    keep_edit(root, "juggling", ("Hold.", "Throw.", "Catch."))
    unit = unit_of(root, ["Juggling"])
    assert load_descriptions(build(unit, root)) == {"Juggling": ("Hold.", "Throw.", "Catch.")}
    assert unit.config != before
    unit = unit_of(root, ["Juggling"], source="openai", base_url="http://127.0.0.1:1/v1")
    assert load_descriptions(build(unit, root)) == {"Juggling": ("Hold.", "Throw.", "Catch.")}
    plan = describe.plan(["Juggling"], DescribeConfig(source="openai"), records=root / "records", root=root)
    assert (dict(plan.calls), plan.kept) == ({}, 1)


def test_another_correction_is_another_key_of_a_language_models_unit(root: Path) -> None:
    def key() -> str:
        return json.dumps(unit_of(root, ["juggling", "a"], source="openai").config, sort_keys=True)

    keys = [key()]
    for last in ("Catch.", "Drop."):
        keep_edit(root, "juggling", ("Hold.", "Throw.", last))
        keys.append(key())
    keep_edit(root, "not of this list", ("Hold.", "Throw.", "Catch."))
    assert key() == keys[-1]
    assert len(set(keys)) == 3


def test_a_broken_file_of_corrections_names_itself(root: Path) -> None:
    (root / "edited-descriptions.json").write_text('{"juggling": ["Hold.", "Catch."]}')
    with pytest.raises(
        InputError, match=r"edited-descriptions\.json: the description of 'juggling' has 2 stages"
    ):
        unit_of(root, ["juggling"])


LONG = ["Crouch.", "Turn " + "0123456789 " * 12, "Land."]


@pytest.mark.parametrize("source", ["corpus", "edited"])
def test_what_the_text_encoder_would_cut_is_refused(root: Path, source: str) -> None:
    name = "mine.json" if source == "corpus" else "edited-descriptions.json"
    (root / name).write_text(json.dumps({**WRITTEN, "spin": LONG}))
    limit = CaptionLimit("ViT-B-16-quickgelu")
    unit = unit_of(root, ["spin", "juggling"], limit=limit)
    with pytest.raises(
        InputError, match=r"1 of 2 descriptions is too long: 'spin' \(the process makes"
    ) as caught:
        build(unit, root)
    assert "--edit" in caught.value.next_step
    assert not (root / "descriptions.json").exists()
    build(unit_of(root, ["juggling"], limit=limit), root)


def test_the_limit_is_in_no_key(root: Path) -> None:
    limits = (None, CaptionLimit("tiny"), CaptionLimit("ViT-B-16-quickgelu", "concatenate"))
    keys = [unit_of(root, ["juggling"], limit=limit).config for limit in limits]
    assert keys[0] == keys[1] == keys[2]


def test_plan_estimates_tokens_and_cost(root: Path) -> None:
    (root / "ask.txt").write_text("Stages of {label}?")  # 13 characters with a label of two: 4 tokens
    config = DescribeConfig(source="openai", template="ask.txt", price_in=2.0, price_out=10.0)
    plan = describe.plan(["ab", "cd"], config, records=root / "records", root=root)
    assert (plan.prompt_tokens, plan.completion_tokens) == (2 * 4, 2 * 60)
    assert plan.cost == pytest.approx((8 * 2.0 + 120 * 10.0) / 1e6)
    free = describe.plan(["ab"], replace(config, price_in=0.0, price_out=0.0), records=root / "r", root=root)
    assert free.cost is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\xff", "not UTF-8"), (b"Describe it.", "has no {label}")],
)
def test_a_template_that_cannot_be_used(root: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (root / "ask.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        unit_of(root, ["a"], source="openai", template="ask.txt")


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://x/v1", "http://", "http://x:99999/v1", "http://[x"]
)
def test_an_address_that_is_none(root: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"describe\.base_url"):
        unit_of(root, ["a"], source="openai", base_url=address)


def test_concurrency_is_at_least_one(root: Path) -> None:
    with pytest.raises(UsageError, match="concurrency is 0"):
        describe.unit(["a"], DescribeConfig(), slot="s", records=root, root=root, concurrency=0)


def test_importing_the_stage_imports_nothing_heavy() -> None:
    heavy = {"httpx2", "ftfy", "regex", "pydantic", "numpy", "torch", "filelock", "asyncio"}
    modules = "fsarctl.datasets.labels.label_list, fsarctl.stages.describe"
    code = f"import sys, {modules}; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_classes_that_compete_have_sentences_all_or_none(root: Path) -> None:
    def compared(labels: list[str], **settings: Any) -> Unit:
        config = DescribeConfig(**{"files": ("mine.json",), "missing": "label", **settings})
        how = {"slot": "describe", "records": root / "records", "root": root}
        return describe.unit(labels, config, compared=True, **how)

    partly, undescribed = compared(["juggling", "x"]), compared(["juggling", "x"], files=())
    assert load_descriptions(build(partly, root)) == {"juggling": ("juggling",) * 3, "x": ("x",) * 3}
    assert partly.config == undescribed.config
    # Whoever described all or nothing, or only lists labels, keeps what was made.
    assert compared(["juggling"]).config == unit_of(root, ["juggling"]).config
    assert undescribed.config == unit_of(root, ["juggling", "x"], files=(), missing="label").config
    listed = unit_of(root, ["juggling", "x"], missing="label")
    assert load_descriptions(build(listed, root))["juggling"] == tuple(WRITTEN["juggling"])


def test_a_label_alone_is_said_once_and_written_as_nothing(root: Path) -> None:
    unit = unit_of(root, ["x"], missing="label")
    folder = build(unit, root)
    assert json.loads((folder / "descriptions.json").read_text())["labels"] == {
        "x": {"beginning": "", "process": "", "end": ""}
    }
    text = load_descriptions(folder)["x"]
    for use, prompts in (("stages", 3), ("average", 3), ("concatenate", 1), ("none", 1)):
        assert prompts_of(use, "x", text) == ("A video of action about x",) * prompts
    described = ("Hold.", "Throw.", "Catch.")
    assert prompts_of("stages", "x", described)[0] == "A video of action about x: Hold."
    # one sentence that says no more than the label is a sentence
    assert prompts_of("stages", "x", ("x", "Throw.", "Catch."))[0] == "A video of action about x: x"


def test_a_label_that_no_text_encoder_reads_is_not_to_be_described(root: Path) -> None:
    limit, long = CaptionLimit("tiny"), "a b c d e f g h i j " * 9
    with pytest.raises(InputError, match="the label alone makes") as refused:
        build(unit_of(root, [long, "x"], missing="label", limit=limit), root)
    assert "--set model.score=video" in refused.value.next_step
    assert "--edit" not in refused.value.next_step
    (root / "mine.json").write_text(json.dumps({"x": ["a b c " * 39, "Throw.", "Catch."]}))
    with pytest.raises(InputError, match="the beginning makes") as refused:
        build(unit_of(root, ["x"], limit=limit), root)
    assert "fsarctl describe --edit x" in refused.value.next_step
    assert "model.score" not in refused.value.next_step
