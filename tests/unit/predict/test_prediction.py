"""Predictor and Support on made videos: a "video" here is a number, and its frames are noise of that seed."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_clips import S, T, made_frames, read_seed
from safetensors.torch import load_file, save_file
from small_model import small_backbone, small_model
from torch import Tensor

from fsarctl.artifacts.unfinished.sealed import EMPTY_SEAL, SEAL, seal_file
from fsarctl.cli.predict import SAVED
from fsarctl.cli.terminal.files import require_replaceable
from fsarctl.datasets.clip_files import ClipFile
from fsarctl.datasets.clips import Clip
from fsarctl.errors import InputError
from fsarctl.methods.otam.method import OTAM
from fsarctl.methods.protocol import FewShotMethod
from fsarctl.methods.task_adapter_plus_plus.method import TaskAdapterPlusPlus
from fsarctl.predict.predictor import Prediction, Predictor
from fsarctl.predict.support_set import Support, load_support
from fsarctl.text.corpus import SubActions, action_prompts
from fsarctl.video.decode_clip import decode_clip

DESCRIPTIONS: Mapping[str, SubActions] = {
    "jump": ("Crouch.", "Leave the ground.", "Land."),
    "run": ("Lean.", "Stride.", "Slow down."),
    "[b]wave[/b] 👋": ("Raise a hand.", "Swing it.", "Lower it."),
}
RAGGED = {"jump": [1], "run": [2, 3, 4], "[b]wave[/b] 👋": [5, 6]}


def plant(folder: Path, classes: Mapping[str, list[Any]]) -> list[Clip]:
    clips = []
    for label, seeds in classes.items():
        for number, seed in enumerate(seeds):
            path = folder / f"{len(clips)}.txt"
            path.write_text(str(seed))
            clips.append(Clip(f"{label}/{number}", label, str(path)))
    return clips


def queries(folder: Path, *contents: object) -> list[ClipFile]:
    made = []
    for content in contents:
        path = folder / f"query {content}.txt"
        path.write_text(str(content))
        made.append(ClipFile(f"query {content}", path))
    return made


def predictor(model: FewShotMethod | None = None, **options: Any) -> Predictor:
    return Predictor(model or small_model(), size=S, decode=read_seed, **options)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Support:
    folder = tmp_path_factory.mktemp("support")
    support, left_out = predictor().support(plant(folder, RAGGED), DESCRIPTIONS)
    assert left_out == {}
    return support


def central(seeds: list[int]) -> Tensor:
    """The middle 16 of 18 pixels, as float pictures of the model's own normalisation."""
    return torch.from_numpy(np.stack([made_frames(seed)[:, 1:17, 1:17] for seed in seeds]))


@torch.inference_mode()
def by_hand(model: TaskAdapterPlusPlus, query: int) -> tuple[Tensor, Tensor]:
    """Video and text score of one query against RAGGED, class by class (Eq. 10, 11, 17)."""
    labels = sorted(RAGGED)
    seeds = [seed for label in labels for seed in RAGGED[label]]
    features = model.visual(model.normalise(central(seeds)))  # one set: (6, T, embed)
    asked = model.visual(model.normalise(central([query])))[0]  # a set of its own: (T, embed)
    video, text = [], []
    for label in labels:
        mine = [features[i] for i, seed in enumerate(seeds) if seed in RAGGED[label]]
        prototype = sum(mine) / len(mine)
        video.append(
            torch.stack([F.cosine_similarity(asked[t], prototype[t], dim=0) for t in range(T)]).mean()
        )
        tokens = model.backbone.tokenize(action_prompts(label, DESCRIPTIONS[label]))
        stages = model.semantic(tokens)  # (3, embed)
        # One query aligns with itself: frame i + frame i-1. At T = 4 the three sums are cut 1-2, 2, 2-3
        # (rounded thirds of their span, neighbours sharing the frame at the cut).
        aligned = asked[1:] + asked[:-1]
        segments = [aligned[0:2], aligned[1:2], aligned[1:3]]
        each = [F.cosine_similarity(s.mean(0), stages[i], dim=0) for i, s in enumerate(segments)]
        text.append(torch.stack(each).mean())
    return torch.stack(video), torch.stack(text)


def test_any_number_of_clips_a_class(ragged: Support) -> None:
    model = small_model()
    assert ragged.labels == tuple(sorted(RAGGED))
    assert ragged.shots == {label: len(RAGGED[label]) for label in sorted(RAGGED)}
    scores = predictor(model).scores(ragged, made_frames(50))
    video, text = by_hand(model, 50)
    assert scores.video is not None
    assert scores.text is not None
    torch.testing.assert_close(scores.video[0], video)
    torch.testing.assert_close(scores.text[0], text)
    torch.testing.assert_close(scores.score[0], video * text)


def test_a_clip_is_predicted_as_if_it_were_alone(ragged: Support, tmp_path: Path) -> None:
    asked = queries(tmp_path, 50, 51, 52)
    alone = list(predictor().predict(ragged, asked[:1]))
    together = list(predictor(workers=2).predict(ragged, asked[::-1]))
    assert [each.clip for each in together] == ["query 52", "query 51", "query 50"]
    assert together[-1] == alone[0]


def test_classes_come_best_first_with_a_share_of_one(ragged: Support, tmp_path: Path) -> None:
    model = small_model(logit_scale=20.0)
    (found,) = predictor(model).predict(ragged, queries(tmp_path, 50))
    video, text = by_hand(model, 50)
    expected = {
        label: (score.item(), share.item())
        for label, score, share in zip(
            ragged.labels,
            video * text,
            (20.0 * video * text).exp() / (20.0 * video * text).exp().sum(),
            strict=True,
        )
    }
    assert [each.label for each in found.classes] == sorted(expected, key=lambda each: -expected[each][0])
    for each in found.classes:
        assert (each.score, each.confidence) == pytest.approx(expected[each.label], abs=1e-5)
        assert each.score == pytest.approx((each.video or 0) * (each.text or 0))
    assert found.remarks == ("a remark",)
    assert found.twin == ""


def test_what_was_kept_of_a_long_clip_tells_that_it_is_long() -> None:
    remark = "longer than the examples: it has 5 times as many frames as the longest example"
    assert Prediction("a.mp4", (), remarks=("truncated", remark)).longer == remark
    assert Prediction("a.mp4", (), remarks=("truncated",)).longer == ""


def test_without_a_description_of_every_class_the_video_part_of_the_same_model_counts(
    ragged: Support, tmp_path: Path
) -> None:
    described = {label: text for label, text in DESCRIPTIONS.items() if label != "run"}
    support, _ = predictor().support(plant(tmp_path, RAGGED), described)
    assert support.text is None
    (with_text,) = predictor().predict(ragged, asked := queries(tmp_path, 50))
    (without,) = predictor().predict(support, asked)
    assert {each.label: each.score for each in without.classes} == {
        each.label: each.video for each in with_text.classes
    }
    assert {each.text for each in without.classes} == {None}


def test_where_the_label_is_the_text_no_description_is_needed(tmp_path: Path) -> None:
    model = small_model(sub_actions="none")
    support, _ = predictor(model).support(plant(tmp_path, RAGGED))
    expected = []
    for label in support.labels:
        tokens = model.backbone.tokenize([f"A video of action about {label}"])
        with torch.inference_mode():
            expected.append(model.text_features(tokens[None]))
    assert support.text is not None
    torch.testing.assert_close(support.text, torch.cat(expected))
    (found,) = predictor(model).predict(support, queries(tmp_path, 50))
    assert None not in {each.text for each in found.classes}


def test_a_model_of_text_alone_needs_every_description(tmp_path: Path) -> None:
    model = small_model(score="text")
    support, _ = predictor(model).support(plant(tmp_path, RAGGED), DESCRIPTIONS)
    (found,) = predictor(model).predict(support, asked := queries(tmp_path, 50))
    assert {each.video for each in found.classes} == {None}
    bare, _ = predictor(model).support(plant(tmp_path, RAGGED))
    with pytest.raises(InputError, match="every class needs a description"):
        next(predictor(model).predict(bare, asked))


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    clips = plant(tmp_path, {"jump": ["broken", 1], "run": [2], "wave": [3, 4, "also broken"]})
    support, left_out = predictor().support(clips)
    assert left_out == {"jump/0": "it is no number", "wave/2": "it is no number"}
    assert support.clips == ("jump/1", "run/0", "wave/0", "wave/1")
    found = list(predictor().predict(support, queries(tmp_path, "x", 50, 3)))
    assert [each.failure for each in found] == ["it is no number", "", ""]
    assert [len(each.classes) for each in found] == [0, 3, 3]
    # Seed 3 is an example of wave, under whatever name.
    assert [each.twin for each in found] == ["", "", "wave/0"]


def test_the_same_video_in_two_classes_is_found(tmp_path: Path) -> None:
    support, _ = predictor().support(plant(tmp_path, {"jump": [1, 7, 7], "run": [2, 7], "wave": [1]}))
    assert support.contradictions == [("jump/1", "run/1"), ("jump/0", "wave/0")]


def test_what_every_clip_is_compared_with_is_computed_once(tmp_path: Path) -> None:
    support, _ = predictor().support(plant(tmp_path, RAGGED))
    assert support.prototypes is support.prototypes


def test_a_class_without_a_readable_clip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip of class 'run' can be read: run/0: it is no number"):
        predictor().support(plant(tmp_path, {"jump": [1], "run": ["broken"]}))


def test_a_method_that_needs_as_many_clips_is_told_of_no_setting_that_it_lacks(tmp_path: Path) -> None:
    named = predictor(OTAM(small_backbone(0), frames=4))
    with pytest.raises(InputError, match="this model needs") as told:
        named.support(plant(tmp_path, RAGGED))
    assert "trx" not in told.value.message
    assert told.value.next_step.partition(";")[0] == "Make them equal"


def test_a_method_that_needs_as_many_clips_is_checked_with_the_first_ones_of_each_class(
    tmp_path: Path,
) -> None:
    """What is named is scored by the support set that is left, made anew."""
    made = predictor(OTAM(small_backbone(0), frames=4))
    clips = plant(tmp_path, {"jump": [1, 2, 3], "run": [4, 5, 6]})
    check = made.check(made.examples(clips))
    assert check is not None
    first, last = check.held[0], check.held[-1]
    for held, chosen, seed in ((first, (1, 2, 3, 4), 1), (last, (0, 1, 3, 4), 6)):
        support, _ = made.support([clips[each] for each in chosen])
        scores = made.scores(support, made_frames(seed)).score[0].tolist()
        expected = scores[0] - scores[1] if held is first else scores[1] - scores[0]
        assert held.margin == pytest.approx(expected, abs=1e-5)


def test_pooled_tuples_need_as_many_clips_for_each_class(tmp_path: Path) -> None:
    model = small_model(video_metric="trx", trx_shots="pooled", score="video")
    with pytest.raises(InputError, match=r"this model needs as many clips .* 'run' has 3 but 'jump' has 1"):
        # Before any clip is read: these are not even there.
        predictor(model).support([Clip(each.name, each.label, "gone") for each in plant(tmp_path, RAGGED)])
    with pytest.raises(InputError, match="this model needs as many clips"):
        predictor(model).support(plant(tmp_path, {"jump": [1, "broken"], "run": [2, 3]}))
    # Interleaved clips must end up with their classes.
    clips = plant(tmp_path, {"run": [3, 4], "jump": [1, 2]})
    support, _ = predictor(model).support([clips[0], clips[2], clips[1], clips[3]])
    found = predictor(model).scores(support, made_frames(50)).score
    with torch.inference_mode():
        pictures = model.normalise(central([1, 2, 3, 4])), model.normalise(central([50]))
        torch.testing.assert_close(found, model(*pictures, way=2, query_mode="independent").score)
    prototypes = small_model(video_metric="trx", score="video")
    assert predictor(prototypes).support(plant(tmp_path, RAGGED))[0].shots["run"] == 3


def test_a_saved_support_says_the_same(ragged: Support, tmp_path: Path) -> None:
    path = tmp_path / "support.safetensors"
    ragged.save(path)
    loaded = load_support(path)
    assert [*tmp_path.iterdir()] == [path]
    asked = queries(tmp_path, 50, 3)
    assert [*predictor().predict(loaded, asked)] == [*predictor().predict(ragged, asked)]
    assert loaded.descriptions == DESCRIPTIONS
    assert loaded.shots == ragged.shots
    loaded.require_made_by(predictor().made_by, "it")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"model": {"seed": 3}}, "backbone weights was "),
        ({"settings": {"model.metric": "otam", "shot": 1}}, "model.metric was protonet and is otam"),
        ({"settings": {"model.metric": "protonet", "shot": 3}}, "shot was 1 and is 3"),
        ({"settings": {"model.metric": "protonet", "shot": None}}, "shot was 1 and is not set"),
        ({"size": 20}, "frame size was 18 and is 20"),
        ({"model": {"frames": 5}}, "frames was 4 and is 5"),
    ],
)
def test_a_support_of_another_model_is_refused_by_name(
    ragged: Support, tmp_path: Path, other: dict[str, Any], says: str
) -> None:
    settings = {"model.metric": "protonet", "shot": 1}
    mine = Predictor(small_model(), size=S, settings=settings)
    support = replace(ragged, made_by=mine.made_by)
    support.save(tmp_path / "it.safetensors")
    require_replaceable(tmp_path / "it.safetensors", SAVED)
    loaded = load_support(tmp_path / "it.safetensors")
    loaded.require_made_by(mine.made_by, "it")
    options = {"size": S, "settings": settings, **other}
    theirs = Predictor(small_model(**options.pop("model", {})), **options)
    with pytest.raises(InputError, match=f"it was made with other settings: {says}"):
        loaded.require_made_by(theirs.made_by, "it")


def test_other_adapters_are_another_model(ragged: Support) -> None:
    model = small_model()
    model.load_adapter_state({name: each + 1e-3 for name, each in model.adapter_state().items()})
    with pytest.raises(InputError, match="adapter weights was"):
        ragged.require_made_by(predictor(model).made_by, "it")


def test_what_is_no_saved_support_is_refused(ragged: Support, tmp_path: Path) -> None:
    path = tmp_path / "support.safetensors"
    ragged.save(path)
    whole = path.read_bytes()
    for content in (b"", b"not a file of tensors", whole[:-100], whole[:50]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no saved support"):
            load_support(path)
    for place in random.Random(0).sample(range(len(whole)), 50):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(InputError, match="is no saved support"):
            load_support(path)
    path.write_bytes(whole)
    tensors = load_file(path)
    words = {"labels": [], "clips": [], "pictures": [], "descriptions": {}, "made_by": {}}
    for metadata, says in (
        (None, "no 'fsarctl'"),
        ({"schema": "fsarctl.support/9"}, "fsarctl.support/9"),
        ({"schema": "fsarctl.support/1"}, "no 'labels'"),
        ({"schema": "fsarctl.support/1", **words}, "features of 0 clips"),
    ):
        said = {} if metadata is None else {"fsarctl": json.dumps(metadata)}
        save_file(tensors, path, metadata={**said, SEAL: EMPTY_SEAL})
        seal_file(path, "fsarctl.support/1")
        with pytest.raises(InputError, match=says):
            load_support(path)
    with pytest.raises(InputError, match="cannot be saved to"):
        ragged.save(tmp_path / "no such folder" / "support.safetensors")


@pytest.mark.parametrize("resize", ["squash", "aspect"])
def test_clips_are_resized_as_extract_resizes_them(tmp_path: Path, resize: Any) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for number in range(6):
            picture = np.random.default_rng(number).integers(0, 256, (32, 64, 3), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    clips = [Clip(f"{label}/1", label, str(path)) for label in "ab"]
    support, _ = Predictor(small_model(), size=S, resize=resize).support(clips)
    expected = decode_clip(path, T, S, resize).frames
    assert support.pictures == (hashlib.sha256(expected.tobytes()).hexdigest(),) * 2
    assert support.made_by["resize"] == resize


def test_frames_smaller_than_the_backbone_reads_are_refused() -> None:
    with pytest.raises(InputError, match="15 pixels wide and the backbone reads 16"):
        Predictor(small_model(), size=15)
