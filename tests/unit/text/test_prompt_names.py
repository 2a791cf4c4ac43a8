"""What is shown of a class and what its prompts say are two things: ``[datasets.NAME.names]``."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from typed import type_in

from fsarctl.config.dataset_table import DatasetConfig
from fsarctl.config.tables import Config
from fsarctl.errors import ConfigError
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.corpus import alone_text, prompts_of

SHIPPED = {"走る": "a shape grows", "قفز": "a shape shrinks", "red": "a shape blinks"}
LONG = "Person A walks toward person B, stops, looks around, raises the right arm, waves twice " * 2


def test_prompts_say_the_name_and_a_label_alone_is_said_once() -> None:
    three = ("A.", "B.", "C.")
    about = "A video of action about"
    assert prompts_of("stages", "走る", three, "running") == tuple(f"{about} running: {x}" for x in three)
    assert prompts_of("concatenate", "走る", three, "running") == (f"{about} running: A. B. C.",)
    assert prompts_of("none", "走る", three, "running") == (f"{about} running",)
    assert prompts_of(("a {}", "b {}"), "走る", three, "running") == ("a running", "b running")
    assert prompts_of("stages", "走る", alone_text("走る"), "running") == (f"{about} running",) * 3
    assert prompts_of("stages", "jump", alone_text("jump")) == (f"{about} jump",) * 3
    assert "label alone" in CaptionLimit("tiny").problem(LONG, alone_text(LONG))
    assert CaptionLimit("tiny", names={LONG: "walking"}).fits(LONG)
    assert "its name alone" in CaptionLimit("tiny", names={"x": LONG}).problem("x", alone_text("x"))


def test_two_datasets_that_call_a_label_differently_are_refused() -> None:
    table = DatasetConfig(root="r", names={"走る": " running  fast "})
    decomposed = unicodedata.normalize("NFD", "ジャンプ")
    assert Config(datasets={"a": table}).names == {"走る": "running fast"}
    assert list(Config(datasets={"a": DatasetConfig(root="r", names={decomposed: "x"})}).names) == [
        "ジャンプ"
    ]
    with pytest.raises(ConfigError, match="'running fast', and another dataset 'running'"):
        Config(datasets={"a": table, "b": DatasetConfig(root="r", names={"走る": "running"})})
    with pytest.raises(ConfigError, match="nothing"):
        DatasetConfig(root="r", names={"走る": " "})


@pytest.fixture
def project(tmp_path: Path, tiny_video: Path) -> Path:
    for label in SHIPPED:
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(2):
            shutil.copy(tiny_video, tmp_path / "clips" / label / f"{number}.mp4")
    names = "".join(f'"{label}" = "{name}"\n' for label, name in SHIPPED.items())
    (tmp_path / "named.toml").write_text(names)
    (tmp_path / "fsarctl.toml").write_text(
        '[model]\nbackbone = "tiny"\nweights = "shipped"\nstrategy = "frozen"\nvisual_layers = 2\n'
        'text_layers = 2\n[describe]\nmissing = "label"\n[eval]\ndataset = "clips"\nway = 3\nshots = [1]\n'
        'episodes = 4\n[datasets.clips]\nkind = "folder"\nroot = "clips"\n'
    )
    return tmp_path


def test_what_is_shown_stays_and_what_is_read_changes(project: Path) -> None:
    said = type_in(project, "fsarctl data check").stdout
    assert "2 of the 3 labels of clips are in letters that tiny has hardly read ('قفز', '走る')" in said
    type_in(project, "fsarctl run")
    file = project / "fsarctl.toml"
    named = f"{file.read_text()}[datasets.clips.names]\n{(project / 'named.toml').read_text()}rot = 'red'\n"
    file.write_text(named)
    said = type_in(project, "fsarctl data check").stdout
    assert "letters" not in said
    assert "[datasets.clips.names] has no class's name: 'rot'" in said
    shown = type_in(project, "fsarctl describe --show").stdout
    assert "走る  (corpus, shipped, in prompts: a shape grows)" in shown
    type_in(project, "fsarctl run")
    described = sorted(project.glob("cache/artifacts/describe/*/descriptions.json"))
    contents = [json.loads(path.read_text())["labels"]["走る"] for path in described]
    assert {each.get("name") for each in contents} == {None, "a shape grows"}
    results = [
        json.loads(path.read_text()) for path in project.glob("cache/artifacts/evaluate/*/result.json")
    ]
    assert len(results) == 2
    assert all("走る" in json.dumps(each, ensure_ascii=False) for each in results)
    # another name is another text, and so another result; the same is found again
    file.write_text(named.replace("a shape grows", "a thing grows"))
    assert "a shape grows" in type_in(project, "fsarctl status --why").stdout
    file.write_text(named)
    assert "nothing to do" in type_in(project, "fsarctl run").stderr
    # a model that reads labels alone reads the names alone
    type_in(project, "fsarctl run --set model.sub_actions=none")
    listed = json.loads(type_in(project, "fsarctl status --json --set model.sub_actions=none").stdout)
    assert "describe clips/test names" in json.dumps(listed)
