"""The whole model: options of the formulation, scores, state, and what training may move."""

from dataclasses import asdict, fields
from inspect import signature

import pytest
import torch
from small_model import episode, small_backbone, small_model
from torch.testing import assert_close

from fsarctl.config.model_table import ModelConfig
from fsarctl.config.tables import ExtractConfig
from fsarctl.errors import ConfigError, InputError
from fsarctl.methods import PRESETS, Formulation, TaskAdapterPlusPlus
from fsarctl.models.metrics import METRICS

LABELS = torch.tensor([0, 1, 2, 0])


def test_presets_differ_everywhere_but_in_the_norm():
    paper, released = asdict(PRESETS["paper"]), asdict(PRESETS["released"])
    same = {name for name in paper if paper[name] == released[name]}
    assert same == {"alignment_norm"}
    assert paper["video_metric"] in METRICS
    assert released["video_metric"] in METRICS


def test_what_is_built_in_python_has_the_defaults_of_the_settings():
    """The documents show those of the constructor, and so they stand there as values."""
    parameters = signature(TaskAdapterPlusPlus).parameters.values()
    built = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    table = {each.name: each.default for each in fields(ModelConfig) if each.name in built}
    wanted = {**table, "adapters": None, "frames": ExtractConfig.frames}
    assert {name: built[name] for name in wanted} == wanted
    assert len(wanted) == 17


@pytest.mark.parametrize("name", [field.name for field in fields(Formulation) if field.name != "crop"])
def test_each_option_can_be_set_alone_and_changes_the_model(name):
    other = True if name == "alignment_norm" else asdict(PRESETS["released"])[name]
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    plain = small_model(started=name != "task_adapter_start", generator=generators[0])
    changed = small_model(started=name != "task_adapter_start", generator=generators[1], **{name: other})
    assert getattr(changed.formulation, name) == other
    support, query, tokens = episode()
    assert (changed(support, query, tokens).score - plain(support, query, tokens).score).abs().max() > 1e-4


def test_the_temporal_embedding_starts_at_zero_and_learns():
    plain, embedded = (small_model(started=False, temporal_embedding=value) for value in (False, True))
    support, query, tokens = episode()
    scores = embedded(support, query, tokens)
    assert_close(scores.score, plain(support, query, tokens).score)
    embedded.loss(scores, LABELS).backward()
    assert embedded.visual.temporal_embedding.grad.abs().sum(-1).all()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("segment", "cosine_of_mean", "did you mean segments"),
        ("segments", "mean", "cosine_of_mean, mean_of_cosines"),
        ("temporal_embedding", 1, "true, false"),
        ("formulation", "papers", "paper, released"),
        ("score", "product", "both, video, text"),
        ("visual_layers", 4, "has 3 blocks"),
        ("text_layers", -1, "has 3 blocks"),
        ("frames", 1, "2 or more"),
    ],
)
def test_bad_options_are_refused(option, value, said):
    with pytest.raises(ConfigError, match=said) as error:
        small_model(**{option: value})
    assert error.value.next_step


def test_scores_multiply_and_each_can_stand_alone():
    support, query, tokens = episode()
    both, video, text = (small_model(score=kind) for kind in ("both", "video", "text"))
    state = both.adapter_state()
    video.load_adapter_state({name: state[name] for name in video.adapter_state()})
    text.load_adapter_state({name: state[name] for name in text.adapter_state()})
    scores = both(support, query, tokens)
    assert scores.score.shape == (4, 3)
    assert_close(scores.score, scores.video * scores.text)
    assert_close(video(support, query, way=3).score, scores.video)
    assert_close(video(support, query, tokens).score, scores.video)
    assert_close(text(support, query, tokens).score, scores.text)
    assert video(support, query, way=3).text is None
    assert text(support, query, tokens).video is None


def test_without_text_there_is_no_text_branch_to_run_or_train():
    model = small_model(score="video")
    assert not any("semantic" in name for name, _ in model.named_modules())
    assert not any("semantic" in name for name in model.adapter_state())


def test_prototypes_are_class_means():
    model = small_model()
    support, query, tokens = episode(way=3, shot=2)
    scores = model(support, query, tokens)
    for c in range(3):
        assert_close(scores.prototypes[c], scores.support_features[2 * c : 2 * c + 2].mean(0))


def test_loss_is_the_cross_entropy_of_the_scaled_score():
    support, query, tokens = episode()
    for scale in (1.0, 64.0):
        model = small_model(logit_scale=scale)
        scores = model(support, query, tokens)
        probabilities = (scale * scores.score.double()).softmax(1)
        expected = -probabilities[torch.arange(4), LABELS].log().mean()
        assert_close(model.loss(scores, LABELS).double(), expected, rtol=1e-5, atol=1e-6)


def test_the_frozen_prefix_keeps_no_graph():
    support, _, _ = episode()
    assert small_model().visual.prefix(support).grad_fn is None
    assert small_model(temporal_embedding=True).visual.prefix(support).grad_fn is not None


def test_training_moves_every_adapter_and_no_frozen_weight():
    model = small_model(visual_layers=3, alignment_norm=True, temporal_embedding=True)
    before, frozen = model.adapter_state(), model.frozen_digest()
    clip = {name: value.clone() for name, value in model.backbone.clip.state_dict().items()}
    optimiser = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
    support, query, tokens = episode()
    losses = []
    for _ in range(5):
        loss = model.loss(model(support, query, tokens), LABELS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert model.frozen_digest() == frozen
    assert all(torch.equal(value, clip[name]) for name, value in model.backbone.clip.state_dict().items())
    after = model.adapter_state()
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_the_digest_sees_any_frozen_weight_move():
    model = small_model()
    frozen = model.frozen_digest()
    for module in (model.backbone.clip.visual.conv1, model.backbone.clip.ln_final):
        with torch.no_grad():
            module.weight.view(-1)[0] += 1e-6
        moved, frozen = frozen, model.frozen_digest()
        assert moved != frozen


def test_adapter_state_is_a_copy_and_loads_back():
    model, other = small_model(seed=0), small_model(seed=0, started=False)
    support, query, tokens = episode()
    state = model.adapter_state()
    other.load_adapter_state(state)
    assert_close(other(support, query, tokens).score, model(support, query, tokens).score, rtol=0, atol=0)
    for tensor in state.values():
        tensor.zero_()
    assert all(parameter.any() for parameter in model.trainable_parameters())


def test_a_state_of_another_model_is_refused_by_name():
    model = small_model(visual_layers=2, text_layers=2)
    before = model.adapter_state()
    with pytest.raises(InputError, match=r"visual\.adapters\.0\.\S+ is unknown"):
        model.load_adapter_state(small_model(visual_layers=3).adapter_state())
    with pytest.raises(InputError, match=r"semantic\.adapters\.1\.down\.bias is missing .*and|missing"):
        model.load_adapter_state(small_model(text_layers=1).adapter_state())
    name = "visual.adapters.2.task.down.weight"
    with pytest.raises(
        InputError, match=r"visual\.adapters\.2\.task\.down\.weight is \(8, 31\), not \(8, 32\)"
    ):
        model.load_adapter_state(before | {name: torch.zeros(8, 31)})
    assert all(torch.equal(value, before[name]) for name, value in model.adapter_state().items())


def test_the_generator_decides_the_start():
    def start(seed):
        generator = torch.Generator().manual_seed(seed)
        return small_model(started=False, generator=generator).adapter_state()

    first, same, other = start(0), start(0), start(1)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_normalise_is_clips_preprocessing():
    model = small_model()
    frames = torch.randint(0, 256, (2, 4, 16, 16, 3), dtype=torch.uint8)
    mean, std = torch.tensor(model.backbone.mean), torch.tensor(model.backbone.std)
    expected = ((frames / 255 - mean) / std).permute(0, 1, 4, 2, 3)
    assert_close(model.normalise(frames), expected)


def test_shapes_that_do_not_fit_are_refused():
    model = small_model()
    support, query, tokens = episode()
    with pytest.raises(
        InputError, match=r"support is \(6, 3, 3, 16, 16\); this model reads \(..., 4, 3, 16, 16\)"
    ):
        model(support[:, :3], query, tokens)
    with pytest.raises(InputError, match="query is"):
        model(support, query[..., :8], tokens)
    with pytest.raises(InputError, match="5 support videos cannot be divided among 3 classes"):
        model(support[:5], query, tokens)
    with pytest.raises(InputError, match="needs the tokens"):
        model(support, query)
    with pytest.raises(InputError, match="unknown classes"):
        small_model(score="video")(support, query)
    with pytest.raises(ConfigError, match="joint or independent"):
        model(support, query, tokens, query_mode="alone")


def test_two_models_can_share_a_backbone():
    backbone = small_backbone()
    adapted = TaskAdapterPlusPlus(backbone, visual_layers=2, text_layers=2, frames=4)
    frozen = TaskAdapterPlusPlus(backbone, visual_layers=0, text_layers=0, frames=4)
    support, query, tokens = episode()
    assert frozen.trainable_parameters() == []
    assert_close(frozen(support, query, tokens).score, adapted(support, query, tokens).score)


def test_a_text_model_ignores_support_features():
    model = small_model(score="text")
    support, query, tokens = episode()
    expected = model(support, query, tokens)
    features = model.support_features(model.visual.video(support))
    scores = model.score_features(features, expected.query_features, expected.text_features)
    assert scores.video is None
    assert_close(scores.score, expected.score)
