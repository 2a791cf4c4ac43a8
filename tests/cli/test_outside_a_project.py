"""The first five minutes: an empty folder, and no fsarctl.toml anywhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typed import Typed, type_in

from fsarctl.artifacts import provenance
from fsarctl.config.demo import demo_file
from fsarctl.config.settings import load_settings
from fsarctl.text.corpus import parse_corpus


def suggested(refused: Typed) -> str:
    """The command that the next step of an error begins with."""
    assert refused.returncode == 3
    step = refused.stderr.partition("next:")[2].strip()
    return step.partition(" (")[0].partition(" writes one")[0]


def test_doctor_needs_no_project_and_writes_nothing(tmp_path: Path) -> None:
    found = json.loads(type_in(tmp_path, "fsarctl doctor --json").stdout)
    assert found["project"] == "none here"
    assert found["torch"] != "not installed"
    assert not list(tmp_path.iterdir())


def test_doctor_says_whether_the_cpu_multiplies_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "cpuinfo"
    monkeypatch.setattr(provenance, "CPU_FACTS", facts)
    # As Linux lists them: an Intel CPU, one of AMD, an ARM one, an old one, and a system that lists none.
    for listed, said in (
        ("flags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\nbugs\t\t: bf16\n", "amx_bf16, avx512_bf16"),
        ("flags\t\t: fpu avx512_bf16\nflags\t\t: fpu avx512_bf16\n", "avx512_bf16"),
        ("Features\t: fp asimd bf16 i8mm\n", "bf16"),
        ("model name\t: bf16\nflags\t\t: fpu sse2\n", 'none, so that model.precision = "bf16" gains nothing'),
        (None, "unknown"),
    ):
        facts.write_text(listed) if listed else facts.unlink()
        assert json.loads(type_in(tmp_path, "fsarctl doctor --json").stdout)["bf16 on the CPU"] == said


@pytest.mark.parametrize(
    "line", ["fsarctl run", "fsarctl describe", "fsarctl status", "fsarctl eval --shots 1", "fsarctl init"]
)
def test_what_needs_a_project_names_a_command_that_makes_one(tmp_path: Path, line: str) -> None:
    command = suggested(type_in(tmp_path, line, expect=3))
    assert command == "fsarctl init --demo"
    type_in(tmp_path, command)
    type_in(tmp_path, "fsarctl status --shots 1")


def test_the_folder_that_project_names_is_where_its_command_goes(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    refused = type_in(tmp_path, "fsarctl run --project 'a b'", expect=3)
    assert suggested(refused) == "cd 'a b' && fsarctl init --demo"


def test_a_list_that_is_not_there_is_written_by_the_command(tmp_path: Path) -> None:
    line = "fsarctl describe --labels kinetics.txt"
    subprocess.run(["sh", "-c", suggested(type_in(tmp_path, line, expect=3))], cwd=tmp_path, check=True)
    type_in(tmp_path, line)


def test_labels_that_nothing_describes(tmp_path: Path) -> None:
    (tmp_path / "my labels.txt").write_text("long jump\nflying a carpet\n")
    command = suggested(type_in(tmp_path, "fsarctl describe --labels 'my labels.txt'", expect=3))
    assert command == "fsarctl describe --labels 'my labels.txt' --set describe.missing=label"
    type_in(tmp_path, command + " -o made.yaml")
    # What stands for itself is no description, and a file with it would be refused.
    assert list(parse_corpus("made.yaml", (tmp_path / "made.yaml").read_bytes())) == ["long jump"]


def test_a_home_that_nobody_has_is_no_folder_s_name(tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    for line, given in (
        ("fsarctl status", {"FSARCTL_CACHE": "~no-such-user/x"}),
        ("fsarctl cache ls --cache '~no-such-user/x'", {}),
    ):
        said = type_in(tmp_path, line, expect=3, **given).stderr
        assert "whose home is '~no-such-user/x'? There is no such user here" in said
    assert [each.name for each in tmp_path.iterdir()] == ["fsarctl.toml"]


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    place = tmp_path / "fsarctl-demo"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    assert suggested(type_in(tmp_path, "fsarctl demo", expect=3)) == "fsarctl demo fsarctl-demo-2"
    (place / "fsarctl.toml").write_text("[describe]\nsource = 'corpus'\n")
    type_in(tmp_path, "fsarctl demo", expect=3)
    assert sorted(each.name for each in place.iterdir()) == ["fsarctl.toml", "mine.txt"]
    (tmp_path / "file").touch()
    type_in(tmp_path, "fsarctl demo file", expect=3)


def test_the_demo_is_this_repository_s_own_project(tmp_path: Path) -> None:
    here = Path(__file__).parents[2]
    assert demo_file() == (here / "fsarctl.toml").read_text(encoding="utf-8")
    type_in(tmp_path, "fsarctl init --demo")
    assert load_settings(tmp_path, environment={}).config == load_settings(here, environment={}).config


@pytest.mark.slow
def test_the_demo_ends_with_its_report_and_three_next_steps(tmp_path: Path) -> None:
    small = {
        "FSARCTL_DATASETS_SHAPES_CLIPS_PER_CLASS": "6",
        "FSARCTL_DATASETS_SHAPES_FILM_S": "30",
        "FSARCTL_TRAIN_EPOCHS": "1",
        "FSARCTL_TRAIN_EPISODES": "1",
        "FSARCTL_TRAIN_VAL_EPISODES": "1",
        "FSARCTL_EVAL_EPISODES": "2",
        "BROWSER": "true",
    }
    done = type_in(tmp_path, "fsarctl demo 'my demo' --jobs 1", **small)
    assert (tmp_path / "my demo" / "report.html").is_file()
    assert str(Path("my demo") / "report.html") in done.stdout
    steps = re.findall(r"(?m)^  (fsarctl .+)$", done.stderr.partition("three next steps:")[2])
    assert len(steps) == 3
    type_in(tmp_path, steps[0], **small)
    assert "nothing to do" in type_in(tmp_path, "fsarctl demo 'my demo' --jobs 1", **small).stderr


@pytest.mark.parametrize("line", ["--help", "config show --json --project PLACE", "run --project nowhere"])
def test_a_reader_that_has_gone_ends_it_quietly(line: str) -> None:
    words = [str(Path(__file__).parents[2]) if word == "PLACE" else word for word in line.split()]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from fsarctl.cli import main; main()", *words],
        stdout=writing,
        stderr=writing if "nowhere" in line else subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 128 + 13
    assert not done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("describe --labels nope.txt", 3),
        ("describe --labels labels.txt", 3),  # one of them is described nowhere
        ("describe --labels labels.txt --base-url nonsense", 3),
        ("describe --labels labels.txt --set describe.temperature=9", 3),
        ("describe --labels labels.txt --set describe.files=['nope.json']", 3),
        ("describe --edit 'juggling balls'", 2),
        ("describe 'juggling balls'", 2),
        ("describe --show 'juggling balls'", 0),
        ("config show", 0),
    ],
)
def test_nothing_is_left_and_no_advice_needs_a_file_that_is_not_there(
    tmp_path: Path, words: str, code: int
) -> None:
    (tmp_path / "labels.txt").write_text("juggling balls\nflying a carpet\n")
    line = f"fsarctl {words}"
    said = type_in(tmp_path, line, expect=code, EDITOR="", VISUAL="").stderr
    assert [each.name for each in tmp_path.iterdir()] == ["labels.txt"]
    assert "beside fsarctl.toml" not in said
    assert "in fsarctl.toml." not in said


def test_a_label_by_itself_is_shown_by_the_command_that_the_error_names(tmp_path: Path) -> None:
    (tmp_path / "balls").write_text("juggling balls\n")
    for given in ("'juggling balls'", "balls"):
        refused = type_in(tmp_path, f"fsarctl describe {given}", expect=2)
        command = refused.stderr.partition("next:")[2].strip().partition(" (")[0]
        assert command == f"fsarctl describe {'--labels' if given == 'balls' else '--show'} {given}"
        type_in(tmp_path, command)


def test_what_no_editor_could_write_may_be_written_where_the_error_says(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("flying a carpet\nlong jump\n")
    line = "fsarctl describe --edit 'flying a carpet' 'long jump'"
    said = type_in(tmp_path, line, expect=2, EDITOR="", VISUAL="").stderr
    found = re.search(r"write into (\S+), with sentences of your own for 'flying a carpet': (\{.*\})\n", said)
    assert found
    path, written = Path(found[1]), found[2]
    path.write_text(written)  # as it stands, which the next error leads out of
    said = type_in(tmp_path, "fsarctl describe --labels labels.txt", expect=3).stderr
    assert "Correct it there, or delete that label, or the file" in said
    path.unlink()
    type_in(tmp_path, line, expect=2, EDITOR="", VISUAL="")
    for place, sentence in (
        ("beginning.", "A carpet lies."),
        ("process.", "It lifts."),
        ("end.", "It is high."),
    ):
        assert f'"{place}"' in written
        written = written.replace(place, sentence)
    path.write_text(written)
    type_in(tmp_path, "fsarctl describe --labels labels.txt")
    assert set(json.loads(written)) == {"flying a carpet", "long jump"}
    # what is described is written as it is; beside corrections it is added
    line = "fsarctl describe --edit 'long jump' 'high jump'"
    said = type_in(tmp_path, line, expect=2, EDITOR="", VISUAL="").stderr
    found = re.search(r"add to the labels in (\S+): (.*)\n", said)
    assert found
    added = json.loads("{" + found[2] + "}")
    assert list(added) == ["long jump", "high jump"]
    path.write_text(json.dumps({**json.loads(written), **added}))
    type_in(tmp_path, "fsarctl describe --labels labels.txt")


def test_init_says_what_it_wrote(tmp_path: Path) -> None:
    said = type_in(tmp_path, "fsarctl init --demo").stderr
    written = sorted(each.name for each in tmp_path.iterdir())
    assert written == ["fsarctl.schema.json", "fsarctl.toml"]
    assert all(each in said for each in written)
