"""Each command that fsarctl advises, typed in the situation that prints it: then what failed works.

What is advised is collected from the code (``advised_places``), so that new advice fails here until somebody
has typed it: in a situation below, or in a test elsewhere that is named.
"""

import ast
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from built import BuiltOnce, copied
from test_advice import FILES, command_of
from typed import Typed, type_in

TESTS = Path(__file__).parents[1]
OWN = """
[datasets.clips]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
strategy = "frozen"
visual_layers = 2
text_layers = 2
[eval]
dataset = "clips"
way = 2
shots = [1]
episodes = 4
"""
TINY = {
    "FSARCTL_MODEL_BACKBONE": "tiny",
    "FSARCTL_MODEL_WEIGHTS": "shipped",
    "FSARCTL_MODEL_VISUAL_LAYERS": "2",
    "FSARCTL_MODEL_TEXT_LAYERS": "2",
}
THREE = "printf 'beginning: One.\\nprocess: Two.\\nend: Three.\\n' > \"$1\""


@pytest.fixture(scope="session")
def finished(built_once: BuiltOnce, tiny_video: Path) -> Path:
    """Clips of one's own, three of each of three classes, and a finished ``fsarctl run``."""

    def build(folder: Path) -> None:
        for label in ("bow", "jump", "wave"):
            (folder / "clips" / label).mkdir(parents=True)
            for number in range(3):
                shutil.copy(tiny_video, folder / "clips" / label / f"{number}.mp4")
        (folder / "fsarctl.toml").write_text(OWN)
        type_in(folder, "fsarctl run")

    return built_once("advised", build)


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path)


@pytest.fixture
def bare(project: Path) -> Path:
    """The clips alone."""
    shutil.rmtree(project / "cache")
    (project / "fsarctl.toml").unlink()
    return project


def said(done: Typed) -> str:
    return " ".join(done.stderr.split())


def advised(done: Typed, beginning: str) -> str:
    """The command that an error advises, which begins so."""
    found = re.findall(rf"({re.escape(beginning)}[^`;()]*?)(?:[.,](?= |$)|`|;| \(|$)", said(done))
    assert found, done.stderr
    return str(found[0]).strip()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.mark.slow
def test_where_no_project_is(bare: Path) -> None:
    failed = type_in(bare, "fsarctl status", expect=3)
    type_in(bare, advised(failed, "fsarctl init FOLDER").replace("FOLDER", "clips"))
    type_in(bare, "fsarctl status")
    (bare / "fsarctl.toml").write_text("")
    failed = type_in(bare, "fsarctl run", expect=3)
    written = type_in(bare, advised(failed, "fsarctl init FOLDER --dry-run").replace("FOLDER", "clips"))
    (bare / "labels.txt").write_text("juggling balls\n")
    type_in(bare, advised(failed, "fsarctl describe --labels FILE").replace("FILE", "labels.txt"))
    (bare / "fsarctl.toml").write_text(written.stdout)
    assert "9" in type_in(bare, "fsarctl data ls").stdout


@pytest.mark.slow
def test_what_init_needs(bare: Path) -> None:
    failed = type_in(bare, "fsarctl init nowhere", expect=3)
    done = type_in(bare, advised(failed, "fsarctl init FOLDER").replace("FOLDER", "clips"))
    assert "next: fsarctl data check, then fsarctl run" in done.stderr
    type_in(bare, "fsarctl data check", **TINY)
    type_in(bare, "fsarctl run", **TINY, FSARCTL_EVAL_EPISODES="4")
    (bare / "empty").mkdir()
    failed = type_in(bare, "fsarctl init empty --force", expect=3)
    type_in(bare, f"{advised(failed, 'fsarctl init FOLDER').replace('FOLDER', 'clips')} --force")
    type_in(bare / "empty", advised(failed, "fsarctl init --demo"))
    (bare / "loose").mkdir()
    shutil.copy(bare / "clips/bow/0.mp4", bare / "loose")
    failed = type_in(bare, "fsarctl init loose --force", expect=3)
    lines = [f"clips/{label}/{number}.mp4,{label}" for label in ("bow", "wave") for number in range(3)]
    (bare / "clips.csv").write_text("\n".join(lines))
    type_in(bare, f"{advised(failed, 'fsarctl init clips.csv')} --force")
    # and a list of videos is no list of labels
    failed = type_in(bare, "fsarctl describe --labels clips.csv --column 1", expect=None)
    (bare / "videos.csv").write_text("\n".join(line.partition(",")[0] for line in lines))
    failed = type_in(bare, "fsarctl describe --labels clips.csv", expect=3)
    again = advised(failed, "fsarctl describe --labels") if "--column" in failed.stderr else ""
    if again:
        type_in(bare, f"{again} --set describe.missing=label")


@pytest.mark.slow
def test_settings_that_are_wrong(project: Path) -> None:
    for wrong in ("train.epochs=99999999999999999999", "eval.way=two", "model.backbone=ViT-X-99"):
        failed = type_in(project, "run", "--set", wrong, expect=3)
        listed = type_in(
            project, advised(failed, "fsarctl methods" if "ViT" in wrong else "fsarctl config show")
        )
        key = "task-adapter++" if "ViT" in wrong else wrong.partition("=")[0].partition(".")[2]
        assert key in listed.stdout
    wrong = {"FSARCTL_DESCRIBE_BASE_URL": "localhost:8000", "FSARCTL_DESCRIBE_SOURCE": "openai"}
    failed = type_in(project, "fsarctl describe", expect=3, **wrong)
    shown = type_in(project, advised(failed, "fsarctl config show --origin"), expect=None, **wrong)
    assert "FSARCTL_DESCRIBE_BASE_URL" in shown.stdout + shown.stderr


@pytest.mark.slow
def test_methods_lead_to_a_run(shapes: Path, tmp_path: Path) -> None:
    copied(shapes, tmp_path)
    with (tmp_path / "fsarctl.toml").open("a") as file:  # as init writes it
        file.write('strategy = "frozen"\n')
    shown = type_in(tmp_path, "fsarctl methods")
    (line,) = re.findall(r"settings: (fsarctl methods NAME)", " ".join(shown.stdout.split()))
    one = type_in(tmp_path, line.replace("NAME", "protonet"))
    (line,) = re.findall(r"use it: (fsarctl run --set \S+)", " ".join(one.stdout.split()))
    failed = type_in(tmp_path, f"{line} --dry-run", expect=3)
    (more,) = re.findall(r"or add: (--set .*)$", said(failed))
    assert "eval shapes" in type_in(tmp_path, f"{line} {more} --shots 1 --dry-run").stdout
    listed = type_in(tmp_path, "fsarctl ablate")
    (line,) = re.findall(r"Run one: (fsarctl ablate NAME)", " ".join((listed.stdout + listed.stderr).split()))
    type_in(tmp_path, f"{line.replace('NAME', 'shots')} --dry-run")


@pytest.mark.slow
def test_names_of_no_artifact(project: Path) -> None:
    for line in ("fsarctl cache show zzz", "fsarctl cache export zzz.zip zzz", "fsarctl compare zzz zzz"):
        listed = type_in(project, advised(type_in(project, line, expect=3), "fsarctl cache ls")).stdout
        assert "eval clips 1-shot frozen" in listed
    (key,) = re.findall(r"(?m)^.*?\b([0-9a-f]{12})\b.*eval clips 1-shot frozen", listed)[:1]
    type_in(project, f"fsarctl cache show {key}")
    extracted = next((project / "cache/artifacts/extract").iterdir()).name
    failed = type_in(project, f"fsarctl compare {extracted} {key}", expect=3)
    type_in(project, advised(failed, "fsarctl cache ls"))
    shutil.rmtree(project / "cache")
    failed = type_in(project, "fsarctl cache export all.zip", expect=3)
    type_in(project, advised(failed, "fsarctl run"))
    type_in(project, "fsarctl cache export all.zip")


@pytest.mark.slow
def test_results_for_others(project: Path) -> None:
    (project / "theirs.json").write_text('{"schema": "another"}')
    failed = type_in(project, "fsarctl compare 'eval clips 1-shot frozen' theirs.json", expect=None)
    assert failed.returncode in (3, 5)
    export = advised(failed, "fsarctl results export")
    type_in(project, f"{export} --output ours.json")
    (project / "ours.json").rename(project / "theirs.json")
    type_in(project, "fsarctl compare 'eval clips 1-shot frozen' theirs.json")
    content = (project / "theirs.json").read_text()
    (project / "theirs.json").write_text(content.replace('"jump"', '"hop"', 1))
    failed = type_in(project, "fsarctl compare 'eval clips 1-shot frozen' theirs.json", expect=None)
    assert failed.returncode in (3, 5)
    type_in(project, f"{advised(failed, 'fsarctl results export')} --output theirs.json")
    # what a result is of has gone
    (frames,) = (project / "cache/artifacts/extract").iterdir()
    shutil.rmtree(frames)
    failed = type_in(project, "fsarctl results export --output again.json", expect=4)
    type_in(project, advised(failed, "fsarctl run"))
    type_in(project, "fsarctl results export --output again.json")


@pytest.mark.slow
def test_archives_that_are_cut_or_another_s(project: Path) -> None:
    type_in(project, "fsarctl cache export whole.zip")
    (project / "cut.zip").write_bytes((project / "whole.zip").read_bytes()[:-200])
    failed = type_in(project, "fsarctl cache import cut.zip --cache other", expect=5)
    type_in(project, f"{advised(failed, 'fsarctl cache export')} cut.zip --force", expect=None)
    shutil.make_archive(str(project / "strange"), "zip", project / "clips")
    failed = type_in(project, "fsarctl cache import strange.zip --cache other", expect=5)
    type_in(project, f"{advised(failed, 'fsarctl cache export')} new.zip")
    type_in(project, "fsarctl cache import new.zip --cache other")
    assert "nothing to do" in type_in(project, "fsarctl run --cache other").stderr


@pytest.mark.slow
def test_damage_is_moved_away_and_made_again(project: Path) -> None:
    damage(next((project / "cache/artifacts/evaluate").glob("*/result.json")))
    failed = type_in(project, "fsarctl cache verify", expect=5)
    type_in(project, advised(failed, "fsarctl run"))
    type_in(project, "fsarctl cache verify")
    for place, line in (
        ("extract/*/clips.json", "fsarctl results export --output all.json"),
        ("extract/*/decoding.json", "fsarctl show clips/bow/0.mp4 --dataset clips"),
    ):
        (path,) = (project / "cache/artifacts").glob(place)
        path.chmod(0o644)
        path.write_text("[")
        failed = type_in(project, line, expect=None)
        if "cache verify" in failed.stderr:
            type_in(project, advised(failed, "fsarctl cache verify"), expect=5)
        type_in(project, "fsarctl run")
        type_in(project, line, expect=None if "show" in line else 0)


@pytest.mark.slow
def test_a_part_that_a_remote_folder_lacks_is_sent_again(project: Path) -> None:
    remote = project / "remote"
    type_in(project, f"fsarctl cache push --remote {remote}")
    parts = sorted(path for path in remote.rglob("*") if path.is_file() and "manifest" not in path.name)
    parts[0].unlink()
    failed = type_in(project, f"fsarctl cache pull --remote {remote} --cache other", expect=None)
    assert failed.returncode
    type_in(project, f"{advised(failed, 'fsarctl cache push --again')} --remote {remote}")
    type_in(project, f"fsarctl cache pull --remote {remote} --cache other")


@pytest.mark.slow
def test_descriptions(project: Path) -> None:
    editor = project / "editor.sh"
    editor.write_text(f"#!/bin/sh\n{THREE}\n")
    editor.chmod(0o755)
    edits = {"EDITOR": str(editor)}
    failed = type_in(project, "fsarctl describe --edit", expect=2)
    type_in(project, advised(failed, "fsarctl describe --edit"), **edits)
    failed = type_in(project, "fsarctl describe --edit ' '", expect=2)
    type_in(project, advised(failed, "fsarctl describe --edit"), **edits)
    done = type_in(project, "fsarctl data check")
    (line,) = re.findall(r"describe (?:them|it): (fsarctl describe --edit .*)", done.stdout)
    type_in(project, line, **edits)
    assert "fsarctl describe" not in type_in(project, "fsarctl data check").stdout
    (project / "edited-descriptions.json").unlink()
    refused = type_in(project, "fsarctl run --set describe.missing=error", expect=3)
    type_in(project, advised(refused, "fsarctl describe --edit"), **edits)
    type_in(project, "fsarctl run --set describe.missing=error")
    (project / "list.txt").write_text("flying a carpet\n")
    refused = type_in(project, "fsarctl describe list.txt", expect=2)
    line = advised(refused, "fsarctl describe --labels")
    type_in(project, f"{line} --set describe.missing=label")


@pytest.mark.slow
def test_a_label_that_is_too_long(project: Path) -> None:
    long = (
        "Person A walks to person B, stops, looks around, lifts an arm, waves twice, lowers it and walks " * 2
    )
    (project / "clips" / "wave").rename(project / "clips" / long.strip())
    for line in ("fsarctl data check", "fsarctl run"):
        failed = type_in(project, line, expect=3)
        assert "the label alone makes" in failed.stderr
        (way,) = re.findall(r"(--set model\.score=video)\.", said(failed))
        type_in(project, f"{line} {way}")
    (table, named) = re.findall(
        r"under (\[datasets\.NAME\.names\]) write (\".*\" = )\"\.\.\.\"", said(failed)
    )[0]
    with (project / "fsarctl.toml").open("a") as file:
        file.write(f'{table.replace("NAME", "clips")}\n{named}"waving"\n')
    type_in(project, "fsarctl data check")
    type_in(project, "fsarctl run")


@pytest.mark.slow
def test_examples_that_tell_nothing(project: Path) -> None:
    done = type_in(project, "fsarctl predict --support clips --frozen --check", expect=None)
    found = re.findall(r"(fsarctl describe --edit LABEL)", said(done))
    editor = project / "editor.sh"
    editor.write_text(f"#!/bin/sh\n{THREE}\n")
    editor.chmod(0o755)
    assert found
    type_in(project, found[0].replace("LABEL", "bow"), EDITOR=str(editor))


@pytest.mark.slow
def test_a_remark_on_a_dataset_says_where_more_is(project: Path) -> None:
    (project / "clips" / "gone").symlink_to("nowhere.mp4")
    (project / "clips" / "bow" / "gone.mp4").symlink_to("nowhere.mp4")
    done = type_in(project, "fsarctl run --dry-run")
    assert "gone.mp4" in type_in(project, advised(done, "fsarctl data check")).stdout


@pytest.mark.slow
def test_adapters_are_no_weights(shapes: Path, tmp_path: Path) -> None:
    copied(shapes, tmp_path)
    small = {
        "FSARCTL_TRAIN_EPOCHS": "1", "FSARCTL_TRAIN_EPISODES": "2", "FSARCTL_TRAIN_VAL_EPISODES": "2",
        "FSARCTL_EVAL_EPISODES": "2",
    }  # fmt: skip
    type_in(tmp_path, "fsarctl describe", **small)
    type_in(tmp_path, "fsarctl train --shots 1", **small)
    (file,) = (tmp_path / "cache/artifacts/train").glob("*/adapters.safetensors")
    failed = type_in(tmp_path, f"fsarctl train --shots 1 --set model.weights={file}", expect=3, **small)
    type_in(
        tmp_path,
        advised(failed, "fsarctl eval --adapters FILE").replace("FILE", f"{file} --shots 1"),
        **small,
    )


@pytest.mark.slow
def test_frames_that_are_damaged_while_they_are_read(project: Path) -> None:
    (shard,) = (project / "cache/artifacts/extract").glob("*/frames.zarr/c.*")
    damage(shard)
    failed = type_in(project, "fsarctl run --shots 2 --set eval.episodes=5", expect=5)
    type_in(project, advised(failed, "fsarctl cache verify"), expect=5)
    type_in(project, advised(failed, "fsarctl run"))
    assert "nothing to do" in type_in(project, "fsarctl run").stderr


@pytest.mark.slow
def test_a_damaged_manifest_of_an_artifact_that_is_named(project: Path) -> None:
    (manifest,) = (project / "cache/artifacts/evaluate").glob("*/manifest.json")
    manifest.chmod(0o644)
    manifest.write_text("{")
    failed = type_in(project, f"fsarctl cache show {manifest.parent.name[:8]}", expect=5)
    type_in(project, advised(failed, "fsarctl run"))
    type_in(project, f"fsarctl cache show {manifest.parent.name[:8]}")


@pytest.mark.slow
def test_a_port_that_another_has(finished: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        failed = type_in(finished, f"fsarctl serve clips --port {other.getsockname()[1]}", expect=3)
    assert "another `fsarctl serve`" in failed.stderr
    from fsarctl.serving.listening import bound

    with bound("127.0.0.1", int(advised(failed, "--port 0").split()[1])) as found:
        assert found.getsockname()[1] > 0


@pytest.mark.slow
def test_a_score_by_text_without_descriptions(project: Path) -> None:
    (project / "fsarctl.toml").write_text(OWN.replace('missing = "label"', 'missing = "error"'))
    words = "fsarctl predict --support clips clips/bow/0.mp4 --frozen --set model.score=text"
    failed = type_in(project, words, expect=3)
    assert "--edit" in type_in(project, advised(failed, "fsarctl describe --help")).stdout
    (project / "editor.sh").write_text(f"#!/bin/sh\n{THREE}\n")
    (project / "editor.sh").chmod(0o755)
    for label in ("bow", "jump", "wave"):
        type_in(project, f"fsarctl describe --edit {label}", EDITOR=str(project / "editor.sh"))
    type_in(project, words)


HERE = {
    "archive.py": {"cache export"},
    "cache.py": {"cache ls", "run"},
    "backbone_catalogue.py": {"methods"},
    "check.py": {"describe --edit LABEL"},
    "compare.py": {"results export"},
    "describe.py": {"describe", 'describe --edit "long jump"'},
    "editor.py": {'describe --edit "long jump"'},
    "frame_store.py": {"cache verify", "run"},
    "init.py": {"init FOLDER", "data check", "run"},
    "layouts.py": {"eval --adapters FILE"},
    "listening.py": {"serve"},
    "methods.py": {"methods NAME", "run --set model"},
    "new_project.py": {"init --demo", "init FOLDER", "init clips"},
    "predictor.py": {"describe --help"},
    "project.py": {"data check"},
    "read_settings.py": {"init --demo", "init FOLDER"},
    "reading.py": {"results export"},
    "refusals.py": {"cache verify"},
    "remote.py": {"cache push --again"},
    "results_export.py": {"cache verify"},
    "server.py": {"config show --origin"},
    "settings.py": {"init FOLDER --dry-run", "describe --labels FILE"},
    "validation.py": {"config show"},
    "session.py": {"cache ls"},
    "store.py": {"ablate", "run"},
    "sweeps.py": {"ablate NAME"},
}
"""File of the code -> the commands that it advises and that are typed above."""

ELSEWHERE = {
    "class_texts.py": ("describe", "tests/faults/test_describe_command.py"),
    "demo.py": ("", "tests/cli/test_outside_a_project.py"),
    "failures.py": ("describe --edit LABEL", "tests/faults/test_describe_command.py"),
    "init.py": ("init", "tests/unit/datasets/test_class_levels.py"),
    "label_list.py": ("", "tests/faults/test_describe_tables.py"),
    "model_table.py": ("doctor", "tests/cli/test_outside_a_project.py"),
    "new_project.py": ("init", "tests/cli/test_advice.py"),
    "removal.py": ("cache gc", "tests/unit/artifacts/test_shared_store.py"),
    "session.py": ("status", "tests/cli/test_slurm_engine.py"),
    "unpublished.py": ("cache gc", "tests/end_to_end/test_cache_of_an_earlier_version.py"),
}
"""File of the code -> the advice (all, if empty) that another test types or reads."""

UNTYPED = {
    "app.py": ({"config schema", "demo", "init clips", "methods clip"}, "examples at the end of the help"),
    "arrival.py": ({"cache gc"}, "a full disk"),
    "atomic_write.py": ({"cache gc"}, "a full disk"),
    "cache.py": ({"cache gc", "cache verify"}, "remarks of ls and gc, which have not failed"),
    "catalogue.py": ({"config show"}, "a list of methods points to the settings"),
    "comparison.py": ({"predict"}, "an export that answers otherwise, which nobody has seen"),
    "export.py": ({"predict"}, "says what the answers were compared with"),
    "extraction.py": ({"cache verify"}, "a remark, nothing has failed"),
    "graphs.py": ({"predict", "serve"}, "a method of one's own that is no graph; what runs it is named"),
    "loader.py": ({"describe"}, "the upstream of an evaluation lacks a class"),
    "model_table.py": ({"doctor", "methods"}, "the meaning of a setting"),
    "new_project.py": ({"config show", "data check", "run"}, "comments of the file that init writes"),
    "parity.py": ({"methods"}, "a module for developers"),
    "predict.py": ({"describe --labels FILE"}, "a language model's server"),
    "results_export.py": ({"extract"}, "frames that are gone; `run` is advised before"),
    "slurm_commands.py": ({"config show"}, "a queue that refuses what is asked for; that is shown"),
}
"""File of the code -> its advice that nobody types, and why."""


def advised_places() -> Iterator[tuple[str, str]]:
    """File and command of each text of the code that names one, help and examples aside."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        apart: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                apart |= {id(part) for part in node.values}
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                apart.add(id(node.value))
            if isinstance(node, ast.keyword) and node.arg in ("example", "help"):
                apart |= {id(part) for part in ast.walk(node.value)}
        for node in ast.walk(tree):
            if id(node) in apart:
                continue
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            for line in re.findall(r"\bfsarctl ((?:[a-z]+ )?[a-z]+(?: [^`;,.()\n&|>]*)?)", text):
                if command_of(line)[0] is not None:
                    yield path.name, line.strip()


def test_all_advice_in_the_code_is_typed_somewhere() -> None:
    places = set(advised_places())
    assert len(places) > 50
    known = {(file, line) for file, lines in HERE.items() for line in lines}
    open_ends = {(file, line) for file, (line, _) in ELSEWHERE.items()}
    untyped = {(file, start) for file, (starts, _) in UNTYPED.items() for start in starts}
    missing = [
        (file, line)
        for file, line in sorted(places)
        if not any(file == name and line.startswith(start) for name, start in (*known, *open_ends, *untyped))
    ]
    assert not missing, "type it in its situation, in this file"
    gone = [
        (file, start)
        for file, start in (*known, *open_ends, *untyped)
        if not any(file == name and line.startswith(start) for name, line in places)
    ]
    assert not gone, "no longer advised"
    assert all((TESTS.parent / test).is_file() for _, test in ELSEWHERE.values())
