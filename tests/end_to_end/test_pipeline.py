"""The whole pipeline on the embedded default, made small: four commands, as a user types them."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from built import BuiltOnce, copied
from typed import started, type_in

FILE = """
[datasets.shapes]
kind = "shapes"
clips_per_class = 6
[datasets.mine]
kind = "folder"
root = "clips"
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "shipped"
visual_layers = 1
text_layers = 1
[train]
dataset = "shapes"
epochs = 1
episodes = 2
val_episodes = 2
[eval]
dataset = "shapes"
episodes = 3
"""


def published(project: Path) -> dict[str, float]:
    """Manifest -> when it was written."""
    return {
        str(path): path.stat().st_mtime for path in (project / "cache").glob("artifacts/*/*/manifest.json")
    }


def states(project: Path, flags: str = "") -> dict[str, str]:
    units = json.loads(type_in(project, f"fsarctl status --json {flags}").stdout)["units"]
    return {unit["slot"]: unit["state"] for unit in units}


def without(project: Path, *slots: str) -> dict[str, str]:
    """Take these artifacts away; gives their digests by slot."""
    listed = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    gone = {each["slot"]: each for each in listed if each["slot"] in slots}
    assert gone.keys() == set(slots)
    for each in gone.values():
        shutil.rmtree(project / "cache" / "artifacts" / each["stage"] / each["key"][:20])
    return {slot: each["digest"] for slot, each in gone.items()}


@pytest.fixture(scope="module")
def project(shapes: Path, built_once: BuiltOnce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose four commands have run once."""

    def build(folder: Path) -> None:
        copied(shapes, folder)
        (folder / "fsarctl.toml").write_text(FILE)
        for command in ("describe", "extract", "train", "eval --shots 1 3 5"):
            type_in(folder, f"fsarctl {command}")

    return copied(built_once("pipeline", build), tmp_path_factory.mktemp("pipeline"))


def test_eval_prints_a_table_and_json(project: Path) -> None:
    table = type_in(project, "fsarctl eval --shots 1 3 5").stdout
    for word in ("shots", "chance", "frozen CLIP", "Task-Adapter++", "gain", "20.0", "["):
        assert word in table
    answer = json.loads(type_in(project, "fsarctl eval --shots 1 3 5 --json").stdout)
    assert answer["schema"] == "fsarctl.eval/1"
    assert [(row["shot"], row["model"]) for row in answer["results"]] == [
        (shot, model) for shot in (1, 3, 5) for model in ("frozen", "task-adapter++")
    ]
    assert all(0 <= row["accuracy"] <= 1 and row["episodes"] == 3 for row in answer["results"])
    assert [gain["shot"] for gain in answer["gains"]] == [1, 3, 5]


@pytest.mark.parametrize(
    "command", ["describe", "extract", "train", "eval --shots 1 3 5", "run", "describe --dataset shapes"]
)
def test_the_second_time_nothing_is_computed(project: Path, command: str) -> None:
    before = published(project)
    assert "nothing to do" in type_in(project, f"fsarctl {command}").stderr
    assert published(project) == before


def test_frozen_and_adapted_score_the_same_episodes(project: Path) -> None:
    from fsarctl.results.predictions import Predictions

    rows = json.loads(type_in(project, "fsarctl eval --json --shots 3").stdout)["results"]
    frozen, adapted = (
        Predictions.load(
            next((project / "cache" / "artifacts" / "evaluate").glob(f"{row['key'][:20]}*"))
            / "episodes.safetensors",
            tuple(row["classes"]),
        )
        for row in rows
    )
    assert (frozen.query == adapted.query).all()
    assert (frozen.targets == adapted.targets).all()
    assert frozen.episode_accuracies == [
        pytest.approx(float((s.argmax(-1) == t).mean()))
        for s, t in zip(frozen.scores, frozen.targets, strict=True)
    ]


def test_a_changed_setting_redoes_what_depends_on_it_and_says_so_before(
    project: Path, tmp_path: Path
) -> None:
    copy = copied(project, tmp_path / "copy")
    flags = "--set train.lr=0.002 --shots 1"
    why = type_in(copy, f"fsarctl status --why {flags}").stdout
    assert "config.lr: 0.1 -> 0.002" in why
    expected = states(copy, flags)
    assert {slot for slot, state in expected.items() if state != "done"} == {
        "train shapes 1-shot",
        "eval shapes 1-shot task-adapter++",
    }
    before = published(copy)
    error = type_in(copy, f"fsarctl eval {flags}", expect=4).stderr
    assert "fsarctl train --shots 1 --set train.lr=0.002" in error
    type_in(copy, f"fsarctl run {flags}")
    made = published(copy).keys() - before.keys()
    assert sorted(Path(path).parent.parent.name for path in made) == ["evaluate", "train"]
    assert set(states(copy, flags).values()) == {"done"}
    # The old answers are still there, and going back costs nothing.
    assert "nothing to do" in type_in(copy, "fsarctl run").stderr


def test_a_corrupt_artifact_is_found_quarantined_and_made_again(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    adapters = next((copy / "cache" / "artifacts" / "train").glob("*/adapters.safetensors"))
    adapters.chmod(0o644)
    content = bytearray(adapters.read_bytes())
    content[-1] ^= 1
    adapters.write_bytes(content)
    done = type_in(copy, "fsarctl cache verify", expect=5)
    assert "adapters.safetensors" in done.stdout
    assert list((copy / "cache" / "quarantine").iterdir())
    type_in(copy, "fsarctl run")
    type_in(copy, "fsarctl cache verify")


def test_a_changed_byte_of_a_result_is_never_shown(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    for path in (copy / "cache" / "artifacts" / "evaluate").glob("*/result.json"):
        path.chmod(0o644)
        text = path.read_text()
        path.write_text(text.replace('"accuracy": 0', '"accuracy": 9'))
    done = type_in(copy, "fsarctl run --json")
    assert "DAMAGED" in done.stderr
    assert all(row["accuracy"] <= 1 for row in json.loads(done.stdout)["results"])


@pytest.mark.slow
def test_shots_beside_each_other_come_out_the_same(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    results = [
        f"eval shapes {shot}-shot {model}" for shot in (1, 3) for model in ("frozen", "task-adapter++")
    ]
    before = without(copy, "train shapes 1-shot", *results)
    done = type_in(copy, "fsarctl run --jobs 2 --shots 1 3")
    assert "5 artifacts made, 10 were up to date" in done.stderr
    assert "train shapes 1-shot" in done.stderr
    listed = json.loads(type_in(copy, "fsarctl cache ls --json").stdout)["artifacts"]
    assert before.items() <= {each["slot"]: each["digest"] for each in listed}.items()


@pytest.mark.slow
def test_a_failure_beside_others_has_its_exit_code(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    error = type_in(copy, "fsarctl run --jobs 2 --shots 1 --set train.lr=1e30", expect=3).stderr
    assert "the loss is" in error or "training episode" in error


def test_adapters_change_the_scores(project: Path) -> None:
    from fsarctl.results.predictions import Predictions

    rows = json.loads(type_in(project, "fsarctl eval --json --shots 1 --set eval.seed=0").stdout)["results"]
    scores = [
        Predictions.load(
            next((project / "cache" / "artifacts" / "evaluate").glob(f"{row['key'][:20]}*"))
            / "episodes.safetensors",
            tuple(row["classes"]),
        ).scores
        for row in rows
    ]
    assert abs(scores[0] - scores[1]).max() > 1e-6


def test_base_classes_are_not_passed_off_as_novel(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    videos = next((copy / "cache" / "artifacts" / "render").glob("*/train"))
    from fsarctl.datasets.shapes.rendering import CLASSES

    base = [each.label for each in CLASSES if each.split == "train"]
    labels = [*base[:2], "another action"]
    for label, source in zip(labels, sorted(videos.iterdir()), strict=False):
        shutil.copytree(source, copy / "clips" / label)
    done = type_in(copy, "fsarctl run --dataset mine --set eval.way=3 --shots 1")
    assert "2 of the classes of mine are not novel" in done.stderr


def test_the_commands_of_an_error_make_what_is_missing(shapes: Path, tmp_path: Path) -> None:
    copy = copied(shapes, tmp_path / "copy")
    without(copy, "render shapes/val", "extract shapes/val")
    videos = next((copy / "cache" / "artifacts" / "render").glob("*/test"))
    (copy / "fsarctl.toml").write_text(FILE)
    for number, source in enumerate(sorted(videos.iterdir())[:3]):
        shutil.copytree(source, copy / "clips" / f"action {number}")
    line = "fsarctl eval --dataset mine --shots 1 --set eval.way=3"
    error = type_in(copy, line, expect=4).stderr
    commands = error.split("Run: ")[1].strip().split(" && ")
    assert len(commands) >= 3
    for command in commands:
        type_in(copy, command)
    type_in(copy, line)


def test_a_folder_with_a_truncated_video_is_evaluated_without_it(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    videos = next((copy / "cache" / "artifacts" / "render").glob("*/test"))
    for number, source in enumerate(sorted(videos.iterdir())[:3]):
        target = copy / "clips" / f"action {number}"
        target.mkdir(parents=True)
        for clip in source.iterdir():
            shutil.copy(clip, target)
    broken = sorted((copy / "clips" / "action 1").iterdir())[2]
    broken.chmod(0o644)
    broken.write_bytes(broken.read_bytes()[:300])
    flags = "--dataset mine --set eval.way=3"
    assert "1 of 18" in type_in(copy, f"fsarctl extract {flags}").stderr
    type_in(copy, f"fsarctl describe {flags}")
    done = type_in(copy, f"fsarctl eval {flags} --shots 1 3 --json")
    rows = json.loads(done.stdout)["results"]
    assert {(row["clips"], row["clips_failed"]) for row in rows} == {(17, 1)}
    assert {row["chance"] for row in rows} == {1 / 3}
    # 5 shots and a query need six clips, and one class has five.
    error = type_in(copy, f"fsarctl eval {flags} --shots 5", expect=3).stderr
    assert "'action 1' has 5 usable clips" in error
    assert "need 6" in error
    for force in ("", "--force"):
        strict = type_in(copy, f"fsarctl extract {flags} --strict {force}", expect=3).stderr
        assert broken.name in strict


@pytest.mark.slow
@pytest.mark.long
def test_a_training_that_is_interrupted_and_then_killed_ends_with_the_same_bytes(
    project: Path, tmp_path: Path
) -> None:
    flags = "--shots 1 --set train.episodes=110 --set train.way=2 --set train.seed=5"
    files = {}
    for name in ("whole", "broken"):
        copy = copied(project, tmp_path / name)
        if name == "broken":
            words = ["train", *flags.split()]
            with started(copy, *words) as process:
                _wait_for(lambda copy=copy: [*copy.rglob("checkpoint.safetensors")])
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=60)
            assert process.returncode == 130
            assert "interrupted" in said
            assert "Traceback" not in said
            assert set(states(copy).values()) == {"done"}
            with started(copy, *words) as process:  # and killed
                assert process.stderr is not None
                assert "going on from episode" in process.stderr.readline() + process.stderr.readline()
            assert process.returncode == -signal.SIGKILL
        done = type_in(copy, f"fsarctl train {flags}")
        assert ("going on from episode 1" in done.stderr) == (name == "broken")
        path = Path(done.stdout.split(": ")[1].strip())
        files[name] = [
            (copy / path / each).read_bytes() for each in ("adapters.safetensors", "training.json")
        ]
    assert files["whole"] == files["broken"]


def test_gc_removes_what_the_settings_do_not_use(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    type_in(copy, "fsarctl run --shots 1 --set eval.seed=9")
    # A dataset that is not there now (a disk that is not mounted) may still need its results.
    assert "clips is not there" in type_in(copy, "fsarctl cache gc --yes", expect=3).stderr
    (copy / "clips" / "a").mkdir(parents=True)
    (copy / "clips" / "a" / "1.mp4").write_bytes(b"")
    type_in(copy, "fsarctl cache gc", expect=2)  # nobody is there to answer the question
    listing: Any = json.loads(type_in(copy, "fsarctl cache gc --yes --json").stdout)
    assert sorted(each["what"] for each in listing["removed"]) == [
        "evaluate eval shapes 1-shot frozen",
        "evaluate eval shapes 1-shot task-adapter++",
    ]
    assert "nothing to do" in type_in(copy, "fsarctl run").stderr


def test_two_results_are_compared_if_they_are_of_the_same_episodes(project: Path, tmp_path: Path) -> None:
    document = json.loads(type_in(project, "fsarctl eval --shots 1 --json").stdout)
    (frozen, adapted), gain = document["results"], document["gains"][0]
    keys = [row["key"][:12] for row in (frozen, adapted)]
    found = json.loads(type_in(project, f"fsarctl compare {keys[0]} {keys[1]} --json").stdout)
    assert found["difference"] == pytest.approx(adapted["accuracy"] - frozen["accuracy"])
    assert {name: found[name] for name in gain if name != "shot"} == {
        name: value for name, value in gain.items() if name != "shot"
    }
    said = type_in(project, f"fsarctl compare {keys[0]} {keys[1]}").stdout
    assert "B - A" in said
    assert "over 9 classes: [" in said
    assert "p = " in said
    # 3-shot episodes are other episodes, adapters are no result, and a key must be one.
    other = json.loads(type_in(project, "fsarctl eval --shots 3 --json").stdout)["results"][0]["key"]
    assert "shot 1 against 3" in type_in(project, f"fsarctl compare {keys[0]} {other}", expect=3).stderr
    artifacts = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    adapters = next(each["key"] for each in artifacts if each["stage"] == "train")
    assert "no evaluation" in type_in(project, f"fsarctl compare {adapters} {other}", expect=3).stderr
    assert "no artifacts" in type_in(project, f"fsarctl compare zz {other}", expect=3).stderr
    copy = copied(project, tmp_path / "copy")
    path = next((copy / "cache" / "artifacts" / "evaluate").glob(f"{keys[0]}*/result.json"))
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"accuracy": 0', '"accuracy": 1'))
    assert "damaged" in type_in(copy, f"fsarctl compare {keys[0]} {keys[1]}", expect=5).stderr
    manifest = next((copy / "cache" / "artifacts" / "evaluate").glob(f"{keys[1]}*/manifest.json"))
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text()[:-20])
    assert "damaged" in type_in(copy, f"fsarctl compare {keys[1]} {other}", expect=5).stderr


SWEEPS = """
[ablate.mine]
title = "Video and text"
[[ablate.mine.rows]]
name = "both"
[[ablate.mine.rows]]
name = "video alone"
set = { "model.score" = "video" }
[ablate.broken]
[[ablate.broken.rows]]
name = "good"
[[ablate.broken.rows]]
name = "diverges"
set = { "train.lr" = 1e30, "train.episodes" = 3 }
[[ablate.broken.rows]]
name = "too deep"
set = { "model.visual_layers" = 99 }
[ablate.whole]
columns = ["[/red]"]
[[ablate.whole.rows]]
name = "diverges"
cells = ["by its name alone"]
set = { "model.strategy" = "frozen" }
[[ablate.seeded.rows]]
name = "of its own"
set = { "eval.seed" = 7 }
[ablate.mistaken]
[ablate.mistaken.values]
"eval.dataset" = ["shapes", "nowhere"]
"model.strategy" = ["frozen"]
[[ablate.typo.rows]]
name = "good"
[[ablate.typo.rows]]
name = "wrong"
set = { "model.metric" = "ottam" }
"""


def frozen_results(project: Path) -> int:
    """How many results of the frozen model there are."""
    artifacts = json.loads(type_in(project, "fsarctl cache ls --json").stdout)["artifacts"]
    return sum(each["slot"].endswith(" frozen") for each in artifacts)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sweep_is_run_once_and_keeps_its_results(project: Path, tmp_path: Path, jobs: int) -> None:
    copy = copied(project, tmp_path / "copy")
    (copy / "fsarctl.toml").write_text(FILE + SWEEPS)
    listed = json.loads(type_in(copy, "fsarctl ablate --json").stdout)["sweeps"]
    assert {"table4", "protocol", "mine"} <= {each["name"] for each in listed}
    mine = "fsarctl ablate mine"
    plan = json.loads(type_in(copy, f"{mine} --dry-run --json").stdout)
    assert [each["state"] for each in plan["runs"]] == ["done", "waiting"]
    assert plan["artifacts_to_make"] == 2
    assert plan["seconds_left"] > 0
    longer = json.loads(type_in(copy, f"{mine} --dry-run --json --set train.episodes=200").stdout)
    assert longer["seconds_left"] > 10 * plan["seconds_left"], "an epoch was of 2"
    assert "two layouts" in type_in(copy, f"{mine} --json --format csv", expect=2).stderr
    ran = type_in(copy, f"{mine} --jobs {jobs}")
    assert "video alone, 1-shot" in ran.stderr
    assert jobs == 1 or "video alone, 1-shot: train shapes 1-shot" in ran.stderr
    assert frozen_results(copy) == frozen_results(project), "no row asked for it"
    said = ran.stdout
    for word in ("Video and text", "both", "video alone", "1-shot", "difference", "±"):
        assert word in said
    before = published(copy)
    again = type_in(copy, "fsarctl ablate mine --json")
    assert "nothing to do" in again.stderr
    assert published(copy) == before
    rows = json.loads(again.stdout)["tables"][0]["rows"]
    for row, words in zip(rows, ("", "--set model.score=video"), strict=True):
        results = json.loads(type_in(copy, f"fsarctl eval --shots 1 --json {words}").stdout)["results"]
        assert row["results"][0]["accuracy"] == results[-1]["accuracy"]
    for layout, word in (("csv", "sweep,benchmark,row,shot"), ("markdown", "| both |"), ("latex", "tabular")):
        assert word in type_in(copy, f"fsarctl ablate mine --format {layout}").stdout
    # What a table was made of stays, whatever the settings are now.
    (copy / "clips" / "a").mkdir(parents=True)
    (copy / "clips" / "a" / "1.mp4").write_bytes(b"")
    removed = json.loads(type_in(copy, "fsarctl cache gc --yes --json").stdout)["removed"]
    assert all("ablate" not in each["what"] for each in removed)
    assert "nothing to do" in type_in(copy, mine).stderr
    removed = json.loads(type_in(copy, "fsarctl cache gc --yes --json --sweeps").stdout)["removed"]
    assert {"ablate ablate mine", "train train shapes 1-shot"} <= {each["what"] for each in removed}


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_failed_run_does_not_stop_the_others(project: Path, tmp_path: Path, jobs: int) -> None:
    copy = copied(project, tmp_path / "copy")
    (copy / "fsarctl.toml").write_text(FILE + SWEEPS)
    done = type_in(copy, f"fsarctl ablate broken whole --json --jobs {jobs}", expect=7)
    table, other = json.loads(done.stdout)["tables"]
    assert other["rows"][0]["results"][0]["accuracy"] is not None
    assert "failed" not in other
    assert [row["name"] for row in table["rows"]] == ["good", "diverges"]
    assert table["rows"][0]["results"][0]["accuracy"] is not None
    assert table["rows"][1]["results"][0]["accuracy"] is None
    assert list(table["failed"]) == ["diverges, 1-shot"]
    assert "visual_layers is 99" in table["left_out"]["too deep"]
    for word in ("broken: diverges", "the loss is", "broken: too deep"):
        assert word in done.stderr.splitlines()[-2]
    assert "fsarctl eval" not in done.stderr, "of a training that failed nothing is evaluated"
    tables = list((copy / "cache" / "artifacts" / "ablate").glob("*/table.json"))
    assert table in [json.loads(path.read_text()) for path in tables]
    assert "[/red]" in type_in(copy, "fsarctl ablate whole").stdout
    said = type_in(copy, "fsarctl ablate mistaken", expect=7).stderr
    assert "there is no dataset 'nowhere'" in said.splitlines()[-2]


def test_a_typo_in_a_row_is_no_row_to_leave_out(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "fsarctl.toml").write_text(FILE + SWEEPS)
    said = type_in(copy, "fsarctl ablate typo --dry-run", expect=3).stderr
    assert "sweep 'typo', row 'wrong'" in said
    refused = type_in(copy, "fsarctl ablate seeded --dry-run --seeds 0", expect=3).stderr
    assert "row 'of its own' sets a seed" in refused
    assert "ottam" in said


@pytest.mark.slow
def test_what_the_shortcuts_add_is_measured_on_the_same_episodes(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    table = json.loads(type_in(copy, "fsarctl ablate protocol --json").stdout)["tables"][0]
    assert len(table["rows"]) == 9
    assert table["left_out"].keys() == {"support and query of one group"}
    found = {row["name"]: row["results"][0] for row in table["rows"]}
    assert all(each["accuracy"] is not None for each in found.values())
    # Other queries than the honest ones cannot be paired with them.
    unpaired = {name for name, each in found.items() if each["difference"] is None}
    assert unpaired == {"none of them", "queries that may be support clips"}
    # The published command of a row makes that row alone.
    shown = json.loads(type_in(copy, "fsarctl ablate protocol --dry-run --json").stdout)["runs"]
    command = next(each["command"] for each in shown if each["run"].startswith("transposed"))
    type_in(copy, "fsarctl ablate protocol")
    again = type_in(copy, f"{command} --json")
    assert "nothing to do" in again.stderr
    assert json.loads(again.stdout)["tables"][0]["rows"][0]["name"] == "none of them"
    refused = type_in(copy, "fsarctl ablate protocol --set eval.query=2 --json").stdout
    assert "one query per class" in json.loads(refused)["tables"][0]["left_out"]["all as released"]


def test_a_strategy_is_a_row_of_the_table(project: Path, tmp_path: Path) -> None:
    copy = copied(project, tmp_path / "copy")
    said = type_in(copy, "fsarctl run --shots 1 --set model.strategy=full --set model.metric=trx").stdout
    assert "full fine-tuning" in said
    assert "gain" in said
    said = type_in(copy, "fsarctl run --shots 1 --set model.strategy=frozen").stdout
    assert "frozen CLIP" in said
    assert "Task-Adapter++" not in said
    refused = type_in(copy, "fsarctl train --set model.strategy=frozen", expect=3).stderr
    assert "nothing to train" in refused


def _wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
