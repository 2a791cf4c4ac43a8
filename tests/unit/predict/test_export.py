"""A model and its support set as files, which answer as fsarctl does, and what cannot be written."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from made_clips import S, made_frames, read_seed
from small_model import small_backbone, small_model
from test_prediction import DESCRIPTIONS, RAGGED, plant, predictor
from torch import Tensor
from typed import type_in
from video_zoo import write as write_video

from fsarctl.artifacts.process import Process
from fsarctl.datasets.clips import Clip
from fsarctl.errors import InputError
from fsarctl.methods.otam.method import OTAM
from fsarctl.methods.protocol import FewShotMethod, Scores
from fsarctl.predict.export import write
from fsarctl.predict.export.comparison import Difference, answers_of_ours, difference, require_same
from fsarctl.predict.export.graphs import Encoder, Head, traced
from fsarctl.predict.export.write import write_model
from fsarctl.predict.predictor import Predictor
from fsarctl.predict.support_set import Support
from fsarctl.results.calibration import Calibration
from fsarctl.video.decode_clip import decode_clip
from fsarctl.video.decoder_protocol import DecodedClip

CLIPS = np.stack([made_frames(seed) for seed in (80, 81, 1)])


def none_of(made: Predictor, support: Support, clip: Any) -> float:
    (told,) = made.predict_at_once(support, [("clip", DecodedClip(clip, "made", (), len(clip)))])
    assert told.none is not None
    return told.none


def ready(folder: Path, model: FewShotMethod | None = None, **options: Any) -> tuple[Predictor, Support]:
    """A support of three classes, with a negative."""
    made = Predictor(model or small_model(), size=S, decode=read_seed, **options)
    even = dict(zip(RAGGED, ([1, 7], [2, 3], [5, 6]), strict=True))
    folder.mkdir(exist_ok=True)
    (folder / "none").mkdir()
    negatives = [Clip("x", "_none", each.path) for each in plant(folder / "none", {"_none": [70]})]
    examples = made.examples(plant(folder, even), DESCRIPTIONS, negatives)
    return made, made.knowing(made.support_of(examples), examples)


@torch.no_grad()
def test_what_is_exported_answers_as_fsarctl_does(tmp_path: Path) -> None:
    """Before it is made a graph; negatives, a temperature, and a support of one clip a class, too."""
    for number, model in enumerate((small_model(), OTAM(small_backbone(), frames=4))):
        options = {"calibrations": {"text": Calibration(2.0, None), "video": Calibration(2.0, None)}}
        made, support = ready(tmp_path / str(number), model, **options)
        head = Head(made, support)
        assert head.outputs == ("score", "confidence", "none")
        for clip, (score, confidence) in zip(CLIPS, answers_of_ours(made, support, CLIPS), strict=True):
            found = head(Encoder(made)(torch.from_numpy(clip)))
            np.testing.assert_allclose(found[0], score, atol=1e-5)
            np.testing.assert_allclose(found[1], confidence, atol=1e-5)
            assert found[2] + found[1].sum() == pytest.approx(1, abs=1e-5)
            assert found[2] == pytest.approx(none_of(made, support, clip), abs=1e-5)
    plain = predictor()
    single, _ = plain.support(plant(tmp_path, {"jump": [1], "run": [2]}))
    head = Head(plain, single)
    assert head.outputs == ("score", "confidence")
    assert head(Encoder(plain)(torch.from_numpy(CLIPS[0])))[1].sum() == pytest.approx(1)


@pytest.mark.slow
def test_its_files_answer_as_fsarctl_does(tmp_path: Path) -> None:
    made, support = ready(tmp_path / "clips", calibrations={"text": Calibration(2.0, None)})
    folder = tmp_path / "some" / "model"
    told = write_model(made, support, folder, CLIPS[:1], int8=True)
    assert told.differences["onnx"].score < 1e-5
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert facts["classes"] == list(support.labels)
    assert (facts["frames"], facts["size"], facts["outputs"]) == (4, S, ["score", "confidence", "none"])
    assert set(told.files) == {
        *("model.json", "classify.py", "encoder.onnx", "head.onnx", "encoder-int8.onnx", "head-int8.onnx")
    }
    for kind, close in (("onnx", 1e-4), ("int8", 0.1)):
        encoder, head = (
            onnxruntime.InferenceSession(folder / facts["files"][kind][part]) for part in ("encoder", "head")
        )
        every = encoder.run(None, {"pixels": np.concatenate(CLIPS)})[0]  # as of a long video
        for number, clip in enumerate(CLIPS):
            score, confidence, none = head.run(None, {"features": every[4 * number : 4 * number + 4]})
            ours = made.scores(support, clip).score[0].numpy()
            np.testing.assert_allclose(score, ours, atol=close)
            assert none + confidence.sum() == pytest.approx(1, abs=1e-5)
            if kind == "onnx":
                found = answers_of_ours(made, support, clip[None])[0]
                np.testing.assert_allclose(confidence, found[1], atol=1e-4)
    assert [each.name for each in tmp_path.glob("some/.*")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "frozen", "score": "video"},
        {"score": "text"},
        {"video_metric": "otam", "alignment": "conv1d"},
        {
            "video_metric": "trx",
            "trx_shots": "pooled",
            "formulation": "released",
        },  # with a temporal embedding
        {"video_metric": "bi_mhm", "sub_actions": "average", "strategy": "aim"},
    ],
    ids=str,
)
def test_every_kind_of_task_adapter(options: dict[str, Any], tmp_path: Path) -> None:
    # Of one block, since a graph repeats what a block does.
    model = small_model(
        started=options.get("strategy") != "frozen", visual_layers=1, text_layers=1, **options
    )
    made, support = ready(tmp_path / "clips", model)
    told = write_model(made, support, tmp_path / "model", CLIPS, for_torch=True)
    assert told.differences["onnx"].score < 1e-4
    assert told.differences["onnx"].same == len(CLIPS)
    encoder, head = (
        torch.export.load(tmp_path / "model" / f"{part}.pt2").module() for part in ("encoder", "head")
    )
    for clip in CLIPS:
        score = head(encoder(torch.from_numpy(clip)))[0]
        torch.testing.assert_close(score, made.scores(support, clip).score[0], atol=1e-5, rtol=1e-5)


def test_an_earlier_export_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_one(encoder: object, head: object, place: Path, *rest: object) -> None:
        (place / "encoder.onnx").write_text("new")

    made, support = ready(tmp_path / "clips")
    monkeypatch.setattr(write, "_write_graphs", write_one)
    ours = answers_of_ours(made, support, CLIPS)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "encoder-int8.onnx").write_text("of an earlier one")
    monkeypatch.setattr(
        write, "answers_of_files", lambda *files: [(score + 0.01, each) for score, each in ours]
    )
    with pytest.raises(InputError, match=r"gives other scores than fsarctl, by up to 0\.01"):
        write_model(made, support, folder, CLIPS)
    assert [each.name for each in folder.iterdir()] == ["encoder-int8.onnx"]
    monkeypatch.setattr(write, "answers_of_files", lambda *files: ours)
    write_model(made, support, folder, CLIPS)
    assert sorted(each.name for each in folder.iterdir()) == ["classify.py", "encoder.onnx", "model.json"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clips", "model"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_model(made, support, tmp_path / "file" / "model", CLIPS)


def test_what_a_killed_export_left_goes_with_the_next(tmp_path: Path) -> None:
    gone = Process(**{**Process.current().fields, "started": "1"}).mark  # type: ignore[arg-type]
    left = {
        name: tmp_path / f".{name}.{number}.{mark}.partial"
        for number, (name, mark) in enumerate((("model", gone), ("other", gone), ("mod*l", gone)))
    }
    alive = tmp_path / f".model.9.{Process.current().mark}.partial"
    for each in (*left.values(), alive):
        (each / "before").mkdir(parents=True)
        (each / "before" / "model.json").write_text("an earlier one")
    write._sweep(tmp_path / "model")
    assert (tmp_path / "model" / "model.json").read_text() == "an earlier one", (
        "moved away and not yet replaced"
    )
    assert not left["model"].exists()
    for each in (left["other"], left["mod*l"], alive):
        assert each.is_dir()
    left["model"].mkdir()
    write._sweep(tmp_path / "model")
    assert not left["model"].exists()


def test_scores_may_be_as_far_apart_as_floats_of_their_size_are() -> None:
    def pair(score: float, by: float) -> tuple[Difference, list[tuple[Any, Any]]]:
        ours = [(np.array([score, -score], np.float32), np.zeros(2, np.float32))]
        theirs = [(each[0] + np.float32(by), each[1]) for each in ours]
        return difference(theirs, ours), ours

    require_same(*pair(0.5, 9e-5))
    require_same(*pair(50.0, 4e-3))
    for score, by in ((0.5, 2e-4), (50.0, 6e-3), (0.5, float("nan"))):
        with pytest.raises(InputError, match="gives other scores"):
            require_same(*pair(score, by))


class Branching(OTAM):
    """Scores that no fixed graph can say."""

    def score_features(self, support: Tensor | None, query: Tensor, *more: Any, **named: Any) -> Scores:
        assert support is not None
        return super().score_features(support if query.sum() > 0 else -support, query, *more, **named)


def test_a_method_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    made, support = ready(tmp_path / "clips", Branching(small_backbone(), frames=4))
    features = Encoder(made)(torch.from_numpy(CLIPS[0]))
    with pytest.raises(
        InputError, match="the method cannot be exported: it does what is no fixed graph"
    ) as told:
        traced(Head(made, support), features)
    assert "fsarctl predict" in told.value.next_step


def test_what_is_asked_for_is_looked_at_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fsarctl.toml").write_text('[model]\nbackbone = "tiny"\nweights = "shipped"\n')
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    words = ("export", "--support", "examples", "-o")
    said = type_in(tmp_path, *words, "full", expect=2).stderr
    assert "full holds other files" in said
    ours = {"schema": "fsarctl.model/1", "files": {"onnx": {"encoder": "encoder.onnx", "head": "head.onnx"}}}
    for facts, beside in (
        ({"format": "layers-model", "files": {}}, "group1.bin"),
        (ours, "notes.txt"),
        ([], "a"),
    ):
        (tmp_path / "full" / "thesis.txt").unlink(missing_ok=True)
        (tmp_path / "full" / "model.json").write_text(json.dumps(facts))
        (tmp_path / "full" / beside).write_text("")
        assert "holds other files" in type_in(tmp_path, *words, "full", expect=2).stderr
        (tmp_path / "full" / beside).unlink()
    (tmp_path / "full" / "model.json").write_text(json.dumps(ours))
    (tmp_path / "full" / "head.onnx").write_text("")
    assert "holds other files" not in type_in(tmp_path, *words, "full", expect=3).stderr
    assert "is a file" in type_in(tmp_path, *words, "fsarctl.toml", expect=2).stderr
    assert "Leave out one" in type_in(tmp_path, *words, "model", "--frozen", "--shots", "1", expect=2).stderr
    said = type_in(tmp_path, *words, "model", "--frozen", expect=3).stderr
    assert "examples" in said
    (tmp_path / "saved.safetensors").write_bytes(b"not at all")
    said = type_in(
        tmp_path, "export", "--support", "saved.safetensors", "-o", "model", "--frozen", expect=3
    ).stderr
    assert "saved.safetensors is no saved support" in said
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = type_in(tmp_path, *words, "model", "--frozen", expect=3).stderr
    assert "error: export needs onnx, which is not installed" in said
    assert 'pip install "fsarctl[export]"' in said


def test_the_script_reads_frames_as_fsarctl_does(tmp_path: Path) -> None:
    """Turned, in both shapes, of several formats; it is run as it is written, beside its own model.json."""
    script = Path(write.__file__).with_name("classify.py")
    shutil.copy(script, tmp_path)
    plain = {"g": "12", "bf": "0", "width": 96, "height": 64, "count": 20}
    videos = [
        write_video(tmp_path / "plain.mp4", **plain),
        *(write_video(tmp_path / f"{turn}.mp4", turn=turn, **plain) for turn in (90, -90, 180)),
        write_video(tmp_path / "odd.mp4", pixels="yuv444p", **{**plain, "width": 97, "height": 65}),
        write_video(tmp_path / "one.mp4", **{**plain, "count": 1}),
    ]
    for resize in ("squash", "aspect"):
        (tmp_path / "model.json").write_text(json.dumps({"frames": 8, "size": 40, "resize": resize}))
        read = runpy.run_path(str(tmp_path / "classify.py"))["frames"]
        for video in videos:
            ours = decode_clip(video, 8, 40, resize).frames
            np.testing.assert_array_equal(read(str(video)), ours, err_msg=f"{resize} {video.name}")
