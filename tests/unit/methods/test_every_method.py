"""What holds of every method but Task-Adapter++, whatever it computes; a new one is tested by being there."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_clips import made_frames, read_seed
from small_model import CONTEXT
from torch import Tensor

from fsarctl.config.dataset_table import BENCHMARKS
from fsarctl.config.methods import TASK_ADAPTER, method_file, method_names
from fsarctl.config.model_table import ModelConfig
from fsarctl.config.settings import load_settings
from fsarctl.datasets.clips import Clip
from fsarctl.methods import FewShotMethod, parity
from fsarctl.methods.build import method_class, method_options, trains
from fsarctl.methods.protocol import BaseClasses, Lesson
from fsarctl.models.backbone import Backbone, build_backbone
from fsarctl.predict.export.comparison import answers_of_ours, difference, require_same
from fsarctl.predict.export.graphs import Encoder, Head, onnx_of, traced
from fsarctl.predict.predictor import Predictor
from fsarctl.text.corpus import prompts_of

METHODS = [each for each in method_names() if each != TASK_ADAPTER]
VECTORS = sorted((Path(__file__).parents[2] / "golden" / "methods").glob("*.npz"))
WAY, SHOT, T, SIDE = 3, 2, 4, 16
# 8 x 8 patches, as many as any method needs.
SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 3, "width": 32, "head_width": 8, "patch_size": 2},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 2},
}
# Layers of a thousand channels take seconds and compute what narrow ones do; no two widths are the same.
NARROW: dict[str, dict[str, Any]] = {"hcl": {"width": 48, "hidden": 40}, "ts-fsar": {"width": 20}}


@dataclass(frozen=True)
class Episode:
    support: Tensor
    query: Tensor
    tokens: Tensor


def backbone(layers: int = 3) -> Backbone:
    torch.manual_seed(0)
    made = build_backbone("small", {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "layers": layers}}, None)
    with torch.no_grad():
        for parameter in made.clip.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def built(name: str, *, started: bool = True, layers: int = 3, **options: Any) -> FewShotMethod:
    """The method, small, of so many blocks; ``started``: nothing of it is zero, as much may be at first."""
    part = ModelConfig(method=name).other_method
    assert part is not None
    own = method_class(part)
    generator = torch.Generator().manual_seed(1)
    model = own(
        backbone(layers),
        frames=T,
        options=method_options(part, own, {**NARROW.get(name, {}), **options}),
        precision="float32",
        generator=generator,
    ).eval()
    if started:
        state = model.adapter_state()
        for each in state.values():
            if each.is_floating_point() and not each.any():
                each.copy_(0.1 * torch.randn(each.shape, generator=generator))
        model.load_adapter_state(state)
    return model


def tokens_of(model: FewShotMethod, classes: int) -> Tensor:
    stages = tuple("".join(chr(97 + c) for c in range(k, k + 3)) for k in range(3))
    return torch.stack(
        [
            model.backbone.tokenize(
                prompts_of(model.sub_actions, f"action {chr(97 + each)}", stages)  # type: ignore[arg-type]
                if model.reads_text
                else ()
            )
            for each in range(classes)
        ]
    )


def episode(model: FewShotMethod, queries: int = 4) -> Episode:
    generator = torch.Generator().manual_seed(2)
    support = torch.randn(WAY * SHOT, T, 3, SIDE, SIDE, generator=generator)
    query = torch.randn(queries, T, 3, SIDE, SIDE, generator=generator)
    return Episode(support, query, tokens_of(model, WAY))


def scores(model: FewShotMethod, given: Episode, query_mode: Any = "joint") -> Tensor:
    with torch.no_grad():
        return model(given.support, given.query, given.tokens, way=WAY, query_mode=query_mode).score


def lesson(model: FewShotMethod, given: Episode) -> Lesson:
    """As training makes it; its frames are those that were scored, as whole numbers."""
    support = model.video(given.support) if model.needs_support else None
    query = model.video(given.query)
    made = model.score_features(
        None if support is None else model.support_features(support),
        model.query_features(query),
        model.text_features(given.tokens),
        way=WAY,
    )
    pixels = torch.Generator().manual_seed(3)

    def frames(videos: int) -> Tensor:
        return torch.randint(0, 256, (videos, T, SIDE, SIDE, 3), generator=pixels, dtype=torch.uint8)

    return Lesson(
        made,
        targets=torch.arange(len(query)) % WAY,
        classes=torch.tensor([4, 0, 2]),
        support=support,
        query=query,
        support_frames=frames(len(given.support)),
        query_frames=frames(len(query)),
    )


@pytest.fixture(scope="module", params=METHODS)
def model(request: pytest.FixtureRequest) -> FewShotMethod:
    return built(request.param)


@pytest.mark.parametrize("options", [{}, {"backbone": "frozen"}, {"backbone": "trained"}])
@pytest.mark.parametrize("name", METHODS)
def test_what_trains_is_known_before_it_is_built(name: str, options: dict[str, str]) -> None:
    part = ModelConfig(method=name).other_method
    assert part is not None
    own: Any = method_class(part)
    if options.keys() <= {each.name for each in fields(own.Options)}:
        known = trains(ModelConfig(method=name, options=options))
        assert known == bool(built(name, started=False, **options).trainable_parameters())


def test_scores_are_numbers_that_depend_on_support_and_query(model: FewShotMethod) -> None:
    given = episode(model)
    found = scores(model, given)
    assert found.shape == (4, WAY)
    assert found.isfinite().all()
    other = Episode(given.support.flip(0), given.query, given.tokens)
    assert not torch.allclose(found, scores(model, other))


def test_clips_may_share_what_depends_on_a_frame(model: FewShotMethod) -> None:
    frames = torch.randn(T + 2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    clips = torch.stack([frames[:T], frames[2:]])
    with torch.no_grad():
        each = model.each_frame(frames)
        found = model.from_frames(torch.stack([each[:T], each[2:]]))
        torch.testing.assert_close(found, model.video(clips), rtol=1e-4, atol=1e-5)
        # It is of one frame: in another order it is the same.
        torch.testing.assert_close(model.each_frame(frames.flip(0)), each.flip(0), rtol=1e-4, atol=1e-5)


def test_features_of_clips_are_as_wide_as_said(model: FewShotMethod) -> None:
    """``train.base_head`` classifies them."""
    held = lesson(model, episode(model)).scores
    for features in (held.query_features, held.support_features):
        assert features is not None
        assert features.shape[-1] == model.feature_width


def test_classes_are_alike(model: FewShotMethod) -> None:
    given = episode(model)
    order = [2, 0, 1]
    shots = given.support.view(WAY, SHOT, *given.support.shape[1:])
    permuted = Episode(shots[order].flatten(0, 1), given.query, given.tokens[order])
    torch.testing.assert_close(scores(model, permuted), scores(model, given)[:, order], rtol=1e-4, atol=2e-5)


def test_shots_of_a_class_are_alike(model: FewShotMethod) -> None:
    given = episode(model)
    shots = given.support.view(WAY, SHOT, *given.support.shape[1:])
    swapped = Episode(shots.flip(1).flatten(0, 1), given.query, given.tokens)
    torch.testing.assert_close(scores(model, swapped), scores(model, given), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("mode", ["joint", "independent"])
def test_queries_are_alike(model: FewShotMethod, mode: str) -> None:
    given = episode(model)
    order = [3, 1, 0, 2]
    permuted = Episode(given.support, given.query[order], given.tokens)
    torch.testing.assert_close(
        scores(model, permuted, mode), scores(model, given, mode)[order], rtol=1e-4, atol=2e-5
    )


def test_queries_see_each_other_only_where_the_method_says_so(model: FewShotMethod) -> None:
    given = episode(model)
    alone = Episode(given.support, given.query[:1], given.tokens)
    together = scores(model, given, "independent")[:1]
    torch.testing.assert_close(together, scores(model, alone, "independent"), rtol=1e-4, atol=2e-5)
    if model.queries_meet:
        assert not torch.allclose(scores(model, given)[:1], scores(model, alone), rtol=1e-5, atol=1e-7)
    else:
        assert torch.equal(scores(model, given, "joint"), scores(model, given, "independent"))


def test_several_episodes_at_once_are_each_by_itself(model: FewShotMethod) -> None:
    given = episode(model)
    other = Episode(given.support.roll(1, 0), given.query.flip(0), given.tokens.roll(1, 0))
    both = Episode(
        *(torch.stack(pair) for pair in zip(vars(given).values(), vars(other).values(), strict=True))
    )
    found = scores(model, both)
    for each, expected in zip(found, (given, other), strict=True):
        torch.testing.assert_close(each, scores(model, expected), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_is_that_of_the_loss(name: str) -> None:
    model = built(name).double().eval()
    generator = torch.Generator().manual_seed(5)
    tokens = tokens_of(model, 6)
    model.prepare(BaseClasses(tuple("abcdef"), tokens))
    model.double()
    given = episode(model)
    given = Episode(given.support.double(), given.query.double(), given.tokens)
    parameters = model.trainable_parameters()
    assert parameters
    loss = model.training_loss(lesson(model, given))
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    direction = [torch.randn(each.shape, generator=generator, dtype=torch.float64) for each in parameters]
    expected = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)

    def moved(step: float) -> float:
        with torch.no_grad():
            for each, along in zip(parameters, direction, strict=True):
                each.add_(step * along)
            value = float(model.training_loss(lesson(model, given)))
            for each, along in zip(parameters, direction, strict=True):
                each.sub_(step * along)
        return value

    # A longer step may end where another match is the best one, which is a jump.
    measured = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-6, 1e-8)]
    assert pytest.approx(expected, rel=2e-4, abs=1e-6) in measured


@pytest.mark.parametrize("name", METHODS)
def test_a_published_setting_is_a_setting(name: str, tmp_path: Path) -> None:
    (tmp_path / "fsarctl.toml").write_text('[datasets.shapes]\nkind = "shapes"\n')
    known = method_file(name)
    assert known.title
    assert known.paper
    assert known.presets.keys() >= {"any", "shapes"}
    part = ModelConfig(method=name).other_method
    assert part is not None
    own = method_class(part)
    for benchmark, preset in known.presets.items():
        assert preset.source
        assert benchmark in (*BENCHMARKS, "shapes", "any")
        overrides = [f"model.method={name}"]
        if benchmark in BENCHMARKS:
            overrides += [f"datasets.b.{each}" for each in ("kind=benchmark", f"name={benchmark}", "root=b")]
            overrides += ["train.dataset=b"]
        elif benchmark == "any":
            overrides += ["datasets.b.kind=folder", "datasets.b.root=b", "train.dataset=b"]
        settings = load_settings(tmp_path, overrides, {})
        for shot in range(1, 6):
            config = settings.for_shot(shot).config
            assert method_options(part, own, config.model.options) is not None
            for key, value in preset.of_shot(shot).items():
                found: Any = config
                for each in key.split("."):
                    found = found[each] if isinstance(found, dict) else getattr(found, each)
                plain = (
                    [list(each) if isinstance(each, tuple) else each for each in found]
                    if isinstance(found, tuple)
                    else found
                )
                assert plain == value, key


@pytest.mark.parametrize("path", VECTORS, ids=lambda each: each.stem)
def test_outputs_are_those_of_the_released_code(path: Path) -> None:
    rows = parity.differences(path)
    assert [(row.name, row.relative) for row in rows if not row.passes] == []
    assert rows


def test_a_file_is_known_by_what_it_needs_and_its_names_move_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(next(each for each in VECTORS if "chamfer" in each.stem)) as arrays:
        triples = {
            name: arrays[name] for name in arrays.files if "tuples1" not in name and ".fc1." not in name
        }
    np.savez(tmp_path / "triples.npz", **triples)
    assert parity.main([str(tmp_path / "triples.npz")]) == 0
    np.savez(tmp_path / "odd.npz", **triples, **{"\x1b[2J": np.zeros(1)})
    assert parity.main([str(tmp_path / "odd.npz")]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[2J" in said


@pytest.mark.parametrize("path", VECTORS, ids=lambda each: each.stem)
def test_other_inputs_give_other_outputs(path: Path, tmp_path: Path) -> None:
    """A comparison that computes nothing would pass."""
    with np.load(path) as arrays:
        held = dict(arrays)
    module = parity.method_of(path, parity.read_arrays(path))
    for name in [each for each in held if held[each].ndim > 1]:
        if held[name].dtype == np.float32 and name in module.INPUTS:
            held[name] = held[name] * np.float32(1.01) + np.float32(0.02)
        elif held[name].dtype == np.int8 and name.rpartition("_x")[0] in module.INPUTS:
            held[name] = np.flip(held[name], -1)
    np.savez(tmp_path / "other.npz", **held)
    assert not all(row.passes for row in parity.differences(tmp_path / "other.npz"))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", METHODS)
def test_it_can_be_exported(name: str, tmp_path: Path) -> None:
    """What scores a clip as ONNX, with the scores of a prediction; whole models are in test_export.py."""
    import onnxruntime

    made = Predictor(
        built(name, layers=1), size=SIDE + 2, decode=read_seed
    )  # a graph repeats what a block does
    clips = []
    for number in range(WAY * SHOT):
        (tmp_path / str(number)).write_text(str(number))
        clips.append(Clip(str(number), f"action {number // SHOT}", str(tmp_path / str(number))))
    described = {each.label: ("Begin.", "Go on.", "End.") for each in clips}
    support, _ = made.support(clips, described)
    frames = np.stack([made_frames(number) for number in (50, 51)])
    features = [Encoder(made)(torch.from_numpy(each)) for each in frames]
    head = Head(made, support)
    graph = onnx_of(head, traced(head, features[0]), ["features"], list(head.outputs))
    session = onnxruntime.InferenceSession(graph.model_proto.SerializeToString())
    found = [tuple(session.run(None, {"features": each.numpy()})[:2]) for each in features]
    ours = answers_of_ours(made, support, frames)
    apart = difference(found, ours)
    require_same(apart, ours)
    assert apart.same == len(frames)
