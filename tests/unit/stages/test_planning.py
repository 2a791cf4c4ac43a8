"""What is refused while planning, before anything is decoded or loaded; and what is warned of."""

import json
from pathlib import Path
from typing import Any

import pytest

from fsarctl.artifacts import Unit
from fsarctl.config.settings import load_settings
from fsarctl.datasets.benchmark_splits.split_lists import load_split_lists
from fsarctl.datasets.findings import Findings
from fsarctl.errors import ConfigError, InputError
from fsarctl.execution.device import Machine
from fsarctl.stages import evaluate
from fsarctl.stages.plan import Pipeline, RunOptions

MODEL = """
[describe]
missing = "label"
[model]
backbone = "tiny"
weights = "random"
text_layers = 2
visual_layers = 2
"""


def plant(root: Path, clips: dict[str, int]) -> None:
    for label, count in clips.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / label / f"{number}.mp4").write_bytes(b"x")


def pipeline(
    project: Path, text: str, *overrides: str, dataset: str | None = None, **options: object
) -> Pipeline:
    (project / "fsarctl.toml").write_text(text + MODEL)
    settings = load_settings(project, overrides, environment={})
    return Pipeline(settings, project / "records", RunOptions(workers=1, **options), dataset=dataset)  # type: ignore[arg-type]


FOLDER = """
[datasets.mine]
root = "clips"
splits.train = ["a", "b"]
splits.val = ["c", "d"]
splits.test = ["e", "f"]
[train]
way = 2
shots = [1, 3]
[eval]
way = 2
shots = [1, 3]
"""
ENOUGH = dict.fromkeys("abcdef", 4)


@pytest.mark.parametrize(("name", "refused"), [("ssv2-small", True), ("ssv2-full", True), ("ucf101", False)])
def test_clips_whose_classes_differ_in_left_and_right_are_not_mirrored(
    tmp_path: Path, name: str, refused: bool
) -> None:
    (tmp_path / "clips").mkdir()
    text = f'[datasets.b]\nkind = "benchmark"\nname = "{name}"\nroot = "clips"\n[train]\nflip = true\n'
    # Neither has any videos, which is what is said otherwise.
    with pytest.raises((ConfigError, InputError)) as told:
        pipeline(tmp_path, text).train([1])
    assert ("differ in left and right" in told.value.message) == refused


@pytest.mark.parametrize("kind", ["shapes", 'probe"\nname = "motion', 'probe"\nname = "order'])
def test_nor_are_rendered_ones(tmp_path: Path, kind: str) -> None:
    text = f'[datasets.b]\nkind = "{kind}"\n[train]\nflip = true\n'
    with pytest.raises(ConfigError, match="differ in left and right"):
        pipeline(tmp_path, text).train([1])


def test_evaluations_of_several_shots_share_their_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "clips", ENOUGH)
    given = []
    make = evaluate.unit

    def unit(*args: object, shared: object, **options: object) -> object:
        given.append(shared)
        return make(*args, shared=shared, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("fsarctl.stages.plan.evaluate.unit", unit)
    pipeline(tmp_path, FOLDER).everything([1, 3])
    assert given[0] is not None
    assert all(each is given[0] for each in given[1:])
    assert len(given) == 4
    given.clear()
    pipeline(tmp_path, FOLDER).everything([1])
    assert given == [None, None], "nobody else would read them"


READ = {
    "model.method=otam": False,
    "model.method=clip-fsar": False,  # labels alone
    "model.sub_actions=none": False,
    "model.score=video": False,
    "model.method=ts-fsar": True,
    "model.metric=otam": True,
}
"""Whether descriptions are read, as each method's paper says."""


@pytest.mark.parametrize(("override", "reads"), READ.items())
def test_descriptions_are_upstream_of_what_reads_them_alone(
    tmp_path: Path, override: str, reads: bool
) -> None:
    """Else they are not asked for where none may be missing, and an edited one changes no key."""
    plant(tmp_path / "clips", ENOUGH)
    corpus = 'describe.files=["all.json"]'

    def planned(sentence: str, *more: str) -> dict[str, Any]:
        (tmp_path / "all.json").write_text(
            json.dumps({label: ["One.", "Two.", sentence] for label in "abcdef"})
        )
        made = pipeline(tmp_path, FOLDER, override, corpus, "eval.frozen=false", *more)
        units = {each.slot: each for each in made.everything([1])}
        return {
            slot: {name: dict(each.config) for name, each in unit.inputs.items() if isinstance(each, Unit)}
            for slot, unit in units.items()
            if unit.stage in ("describe", "train", "evaluate")
        }

    before = planned("Three.")
    assert {slot.split()[0] for slot in before} == {"train", "eval"} | ({"describe"} if reads else set())
    assert (planned("Four.") != before) == reads
    undescribed = (override, "eval.frozen=false", "describe.missing=error")
    if reads:
        with pytest.raises(InputError, match="no corpus file describes 2 labels: 'a', 'b'"):
            pipeline(tmp_path, FOLDER, *undescribed).everything([1])
    else:
        assert pipeline(tmp_path, FOLDER, *undescribed).everything([1])


@pytest.mark.parametrize(
    ("override", "frozen", "method"),
    [
        ("model.method=clip-fsar", "label", "label"),
        ("model.method=ts-fsar", "label", "label"),
        ("model.metric=otam", "label", "label"),
        ("model.score=video", None, None),
        ("model.method=ts-fsar", "sub-actions", "sub-actions"),
        ("model.method=clip-spm", "sub-actions", "label"),
        ("model.sub_actions=none", "label", "label"),
        ("model.sub_actions=average", "sub-actions", "sub-actions"),
    ],
)
def test_what_both_models_read_of_a_class_is_known(
    tmp_path: Path, override: str, frozen: str | None, method: str | None
) -> None:
    plant(tmp_path / "clips", ENOUGH)
    described = "abcdef" if "sub-actions" in (frozen, method) or "none" in override else "abcde"
    sentences = ["One.", "Two.", "Three."]
    (tmp_path / "some.json").write_text(json.dumps(dict.fromkeys(described, sentences)))
    made = pipeline(tmp_path, FOLDER, override, 'describe.files=["some.json"]')
    assert made.texts_read == (frozen, method)


@pytest.mark.parametrize("missing", ["label", "error"])
def test_the_frozen_model_beside_a_method_asks_for_no_description_and_compares_none_with_a_label(
    tmp_path: Path, missing: str
) -> None:
    """``otam`` reads no text; the frozen CLIP reads sentences where all have one, and else labels."""
    plant(tmp_path / "clips", ENOUGH)
    sentences = ["One.", "Two.", "Three."]
    for described in ("e", "ef"):
        (tmp_path / "some.json").write_text(json.dumps(dict.fromkeys(described, sentences)))
        overrides = ["model.method=otam", f"describe.missing={missing}", 'describe.files=["some.json"]']
        made = pipeline(tmp_path, FOLDER, *overrides)
        by_slot = {unit.slot: unit for unit in made.evaluate([1])}
        assert "text" not in by_slot["eval mine 1-shot otam"].inputs
        text = by_slot["eval mine 1-shot frozen"].inputs.get("text")
        assert made.texts_read == ("label" if described == "e" else "sub-actions", None)
        if described == "e":
            assert text is None
            (warning,) = made.warnings()
            assert "of the frozen CLIP: 1 of the 2 classes of mine/test is not described ('f')" in warning
            assert "fsarctl describe --edit f" in warning
            assert not pipeline(tmp_path, FOLDER, *overrides, "eval.frozen=false").warnings()
        else:
            assert isinstance(text, Unit)
            labels: Any = text.config["labels"]
            assert {label: [*each.values()] for label, each in labels.items()} == {
                "e": sentences,
                "f": sentences,
            }
            assert not made.warnings()


def test_what_is_enough_is_planned(tmp_path: Path) -> None:
    plant(tmp_path / "clips", ENOUGH)
    made = pipeline(tmp_path, FOLDER)
    assert len(made.everything([1, 3])) == 3 + 3 + 2 + 4


@pytest.mark.parametrize(
    ("label", "command", "split"),
    [("b", "train", "train"), ("d", "train", "val"), ("f", "evaluate", "test"), ("f", "everything", "test")],
)
def test_a_class_too_small_is_refused_by_what_needs_it(
    tmp_path: Path, label: str, command: str, split: str
) -> None:
    plant(tmp_path / "clips", {**ENOUGH, label: 3})
    made = pipeline(tmp_path, FOLDER)
    with pytest.raises(
        InputError, match=f"mine/{split}: class '{label}' has 3 usable clips, and 3 shot"
    ) as caught:
        getattr(made, command)([1, 3])
    assert caught.value.exit_code == 3
    # One shot is possible, frames can be had, and housekeeping asks for no episodes.
    assert getattr(made, command)([1])
    assert made.extract()
    assert made.describe()
    assert made.used([1, 3])


def test_a_way_too_wide_is_refused(tmp_path: Path) -> None:
    plant(tmp_path / "clips", ENOUGH)
    with pytest.raises(InputError, match="mine/test has 2 classes, fewer than the 5"):
        pipeline(tmp_path, FOLDER, "eval.way=5").evaluate([1])
    with pytest.raises(InputError, match="mine/train has 2 classes, fewer than the 5"):
        pipeline(tmp_path, FOLDER, "train.way=5").train([1])


def test_shapes_are_counted_before_they_are_rendered(tmp_path: Path) -> None:
    text = '[datasets.shapes]\nkind = "shapes"\nclips_per_class = 5\n'
    assert pipeline(tmp_path, text).everything([4])
    with pytest.raises(InputError, match="has 5 usable clips, and 5 shot \\+ 1 query need 6"):
        pipeline(tmp_path, text).everything([5])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.visual_layers=5"], "visual_layers is 5; backbone tiny has 4 visual blocks"),
        (["model.text_layers=4"], "text_layers is 4; backbone tiny has 3 text blocks"),
        (["model.text_layers=13", "model.backbone=ViT-B-16-quickgelu"], "has 12 text blocks"),
    ],
)
def test_more_layers_than_there_are_is_refused(tmp_path: Path, overrides: list[str], message: str) -> None:
    plant(tmp_path / "clips", ENOUGH)
    for command in ("train", "evaluate", "everything"):
        with pytest.raises(ConfigError, match=message):
            getattr(pipeline(tmp_path, FOLDER, *overrides), command)([1])


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.visual_layers=4", "model.text_layers=3"],
        ["model.visual_layers=9", "model.visual_position=all"],
        ["model.text_layers=9", "model.strategy=task-adapter", "model.sub_actions=none"],
        ["model.text_layers=9", "model.score=video"],
        ["model.visual_layers=9", "model.text_layers=9", "model.strategy=full"],
        ["model.visual_layers=9", 'model.adapters=["order"]'],
    ],
)
def test_layers_that_no_adapter_is_in_are_not_counted(tmp_path: Path, overrides: list[str]) -> None:
    plant(tmp_path / "clips", ENOUGH)
    assert pipeline(tmp_path, FOLDER, *overrides).everything([1])


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "0"])
def test_a_device_that_cannot_be_is_refused(tmp_path: Path, device: str) -> None:
    plant(tmp_path / "clips", ENOUGH)
    with pytest.raises(ConfigError, match=f"there is no device '{device}'"):
        pipeline(tmp_path, FOLDER, machine=Machine(device)).everything([1])
    for known in ("auto", "cpu", "cuda", "cuda:1", "mps"):
        assert pipeline(tmp_path, FOLDER, machine=Machine(known)).everything([1])


def test_a_frozen_model_needs_no_base_classes(tmp_path: Path) -> None:
    plant(tmp_path / "clips", ENOUGH)
    text = '[datasets.mine]\nroot = "clips"\n'
    made = pipeline(tmp_path, text, "model.strategy=frozen").everything([1])
    assert [unit.slot for unit in made] == [
        "describe mine/test",
        "extract mine/test",
        "eval mine 1-shot frozen",
    ]
    with pytest.raises(InputError, match="'mine' has no train classes") as caught:
        pipeline(tmp_path, text).everything([1])
    assert "split_ratio" in caught.value.next_step


BENCHMARKS = """
[datasets.small]
kind = "benchmark"
name = "ssv2-small"
root = "videos"
[datasets.full]
kind = "benchmark"
name = "ssv2-full"
root = "videos"
"""


def plant_ssv2(root: Path, per_class: int = 2) -> None:
    root.mkdir()
    for name in ("ssv2-small", "ssv2-full"):
        for rows in load_split_lists(name).values():
            count: dict[str, int] = {}
            for label, video in rows:
                count[label] = count.get(label, 0) + 1
                if count[label] <= per_class:
                    (root / f"{video}.webm").write_bytes(b"x")


def test_small_and_full_ssv2_do_not_go_together(tmp_path: Path) -> None:
    plant_ssv2(tmp_path / "videos")
    for base, novel in (("small", "full"), ("full", "small")):
        made = pipeline(tmp_path, BENCHMARKS, f"train.dataset={base}", f"eval.dataset={novel}")
        assert "must not be tested on the other" in made.data.training_warnings()[0]
        leak, seen = made.data.warnings()
        assert leak == made.data.training_warnings()[0]
        labels = {
            split: {label for label, _ in rows} for split, rows in load_split_lists(f"ssv2-{base}").items()
        }
        novel_labels = {label for label, _ in load_split_lists(f"ssv2-{novel}")["test"]}
        shared = novel_labels & (labels["train"] | labels["val"])
        assert seen.startswith(f"{len(shared)} of the classes of {novel} are not novel")
        assert all(label in seen for label in shared)
        frozen = pipeline(
            tmp_path, BENCHMARKS, f"train.dataset={base}", f"eval.dataset={novel}", "model.strategy=frozen"
        )
        assert frozen.data.warnings() == []
    same = pipeline(tmp_path, BENCHMARKS, "train.dataset=small", "eval.dataset=small")
    assert same.data.warnings() == []
    asked = pipeline(tmp_path, BENCHMARKS, "train.dataset=small", "eval.dataset=small", dataset="full")
    assert len(asked.data.warnings()) == 2


def test_a_missing_video_and_a_missing_class_are_in_the_key_and_in_a_remark(tmp_path: Path) -> None:
    said: list[str] = []
    rows = load_split_lists("ssv2-small")["test"]
    labels = sorted({label for label, _ in rows})[:5]
    videos = [video for label in labels for each, video in rows if each == label][::20]
    (tmp_path / "videos").mkdir()
    for video in videos:
        (tmp_path / "videos" / f"{video}.webm").write_bytes(b"x")
    overrides = ("train.dataset=small", "eval.dataset=small", "model.strategy=frozen")
    made = pipeline(tmp_path, BENCHMARKS, *overrides, note=said.append)
    (unit,) = made.evaluate([1])
    assert unit.config["expected"] == 2400
    empty = unit.config["empty"]
    assert isinstance(empty, list)
    assert len(empty) == 19
    assert not set(labels) & set(empty)
    (remark,) = said
    assert remark.startswith(f"small: {len(videos)} of 10,000 videos are there; classes without any: ")
    assert "fsarctl data check small" in remark


def test_classes_are_the_same_whatever_their_case_and_underscores(tmp_path: Path) -> None:
    text = '[datasets.base]\nroot = "one"\nsplits = {train = ["long_jump"], val = ["Wave"]}\n'
    plant(tmp_path / "one", {"long_jump": 2, "Wave": 2})
    plant(tmp_path / "two", {"Long Jump": 2, "bow": 2})
    made = pipeline(
        tmp_path,
        text + '[datasets.novel]\nroot = "two"\n',
        "train.dataset=base",
        "eval.dataset=novel",
    )
    (seen,) = made.data.warnings()
    assert seen == "1 of the classes of novel are not novel: training on base sees Long Jump"


@pytest.mark.parametrize("label", ["b", "d", "f"])
def test_a_row_of_a_sweep_is_refused_like_a_run(tmp_path: Path, label: str) -> None:
    plant(tmp_path / "clips", {**ENOUGH, label: 3})
    made = pipeline(tmp_path, FOLDER)
    assert made.result(1)
    for refused in (lambda: made.result(3), lambda: made.shortcut("test-selection", 3, "protocol")):
        with pytest.raises(InputError, match=f"class '{label}' has 3 usable clips"):
            refused()


def test_pipelines_that_share_datasets_look_at_the_disk_once(tmp_path: Path) -> None:
    plant(tmp_path / "clips", ENOUGH)
    (tmp_path / "clips" / "loose.mp4").write_bytes(b"x")
    said: list[str] = []
    shared = Findings()
    frozen = "model.strategy=frozen"
    for _ in range(2):
        pipeline(tmp_path, FOLDER, frozen, note=said.append, findings=shared).evaluate([1])
    assert len(said) == 1
    # Another split of the same name is another dataset.
    other = 'datasets.mine.splits={"test" = ["a", "b"]}'
    pipeline(tmp_path, FOLDER, frozen, other, note=said.append, findings=shared).evaluate([1])
    assert len(said) == 2


def test_frames_smaller_than_the_backbone_reads_are_not_decoded_for_it(tmp_path: Path) -> None:
    plant(tmp_path / "clips", ENOUGH)
    for size in ("0", "64"):
        assert pipeline(tmp_path, FOLDER, f"extract.size={size}").evaluate([1])
    small = pipeline(tmp_path, FOLDER, "extract.size=63")
    for plan in (small.evaluate, small.train):
        with pytest.raises(ConfigError, match="size is 63, and tiny reads 64 pixels"):
            plan([1])
    assert small.extract(), "it may be for another backbone"
