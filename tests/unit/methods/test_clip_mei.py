"""CLIP-MEI and CLIP-SPM: leaks that are not there, losses by their equations, gates, both formulations."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_every_method import Episode, built, episode, lesson, scores
from torch import Tensor

from fsarctl.errors import ConfigError
from fsarctl.methods.clip_mei.interaction import GatedInteraction, Interaction
from fsarctl.methods.clip_spm.method import TEMPLATES
from fsarctl.models.metrics.cosines import damped_cosines
from fsarctl.models.metrics.otam import both_ways

SIZES: dict[str, Any] = {"heads": 2, "head_width": 4, "hidden": 12}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_scores_are_their_equations() -> None:
    torch.manual_seed(0)
    model = Interaction(6, **SIZES).eval()
    support, query, texts = noise(3, 2, 4, 6), noise(5, 4, 6, seed=1), noise(3, 6, seed=2)
    u = texts.mean(0)
    found = model(support, query, texts, u)

    def told(clip: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        out = model.over_frames(torch.stack([token, *(f + 0.1 * token for f in clip)]))
        return out[1:], out[0]

    s = torch.stack([torch.stack([told(clip, texts[c])[0] for clip in support[c]]) for c in range(3)])
    t = [model.to_token(u * clip.mean()) for clip in query]
    q = torch.stack([told(clip, token)[0] for clip, token in zip(query, t, strict=True)])
    v_c = torch.stack([torch.cat([s[c], q]).mean(0) for c in range(3)])
    v = v_c.mean(0)
    of_support = torch.stack(
        [model.over_task(torch.cat([v_c[:, i], s[:, :, i].flatten(0, 1)])) for i in range(4)], dim=1
    )
    of_query = torch.stack([model.over_task(torch.cat([v[None, i], q[:, i]])) for i in range(4)], dim=1)
    p = of_support[3:].unflatten(0, (3, 2)).mean(1)

    def otam(a: Tensor, b: Tensor) -> Tensor:
        return both_ways(1 - damped_cosines(a, b), 0.5)

    for j, c in ((0, 0), (4, 2), (2, 1)):
        d1 = otam(q[j], s[c].mean(0))
        d2 = otam(of_query[1 + j], p[c]) + otam(of_query[0], of_support[c])
        torch.testing.assert_close(found.logits[j, c], -(d1 / 2 + d2), rtol=1e-4, atol=1e-5)


def test_motion_is_between_neighbours_in_both_directions() -> None:
    torch.manual_seed(0)
    model = Interaction(3, **SIZES).eval()
    with torch.no_grad():  # convolutions that give their input
        for layer in model.motion:
            layer.weight.zero_()  # type: ignore[operator]
            layer.bias.zero_()  # type: ignore[operator]
            layer.weight[:, :, 1] = torch.eye(3)  # type: ignore[index]
    clip = noise(5, 3)
    torch.testing.assert_close(model.moved(clip), torch.zeros(3), atol=1e-6, rtol=0)
    with torch.no_grad():
        model.motion[0].weight.mul_(3)  # type: ignore[operator]
    torch.testing.assert_close(model.moved(clip), (clip[1:] + clip[:-1]).mean(0))


@pytest.mark.parametrize("name", ["clip-mei", "clip-spm"])
def test_labels_of_queries_are_nowhere_in_their_scores(name: str) -> None:
    """Only classes whose texts are other ones make other scores: a text is told to all queries alike."""
    model = built(name, **SIZES)
    given = episode(model)
    texts = model.text_features(given.tokens)
    assert texts is not None
    support, query = model.video(given.support), model.video(given.query)
    same = model.score_features(support, query, texts, way=3).score
    torch.testing.assert_close(same, scores(model, given))
    swapped = texts[[1, 0, 2]]
    found = model.score_features(support, query, swapped, way=3)
    token = model.score_features(support, query, texts, way=3).interacted.token  # type: ignore[attr-defined]
    torch.testing.assert_close(found.interacted.token, token)  # type: ignore[attr-defined]


def test_a_query_alone_is_the_only_one_of_its_episode() -> None:
    model = built("clip-mei", **SIZES)
    given = episode(model)
    independent = scores(model, given, "independent")
    for j in range(4):
        alone = Episode(given.support, given.query[j : j + 1], given.tokens)
        torch.testing.assert_close(independent[j : j + 1], scores(model, alone), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_losses_of_clip_mei_are_their_equations() -> None:
    model = built("clip-mei", **SIZES)
    given = lesson(model, episode(model))
    own = model.interaction
    found = given.scores.interacted  # type: ignore[attr-defined]
    texts = given.scores.text_features.squeeze(-2)[given.targets]  # type: ignore[union-attr]
    consistency = text = 0.0
    for j in range(4):
        r, a = own.told(given.query[j], texts[j])
        consistency += float((a - found.token_told[j]).square().sum() + (r - found.query[j]).square().sum())
        text += float((texts[j] - found.token[j]).square().sum() + (a - found.token_told[j]).square().sum())
    motion = 0.0
    for clips in (given.support, given.query):
        assert clips is not None
        for clip in clips:
            frames, token = own.told(clip, own.moved(clip))
            motion += float((own.moved(frames) - token).square().sum()) / len(clips)
    entropy = torch.nn.functional.cross_entropy(given.scores.score, given.targets, reduction="none")
    extra = consistency / 4 + text / 8 + float(own.motion_weight) * motion
    expected = float(entropy.sum()) / 16 + 0.001 * extra
    assert float(model.training_loss(given)) == pytest.approx(expected, rel=1e-4)


def test_gates_weigh_frames_and_tokens() -> None:
    torch.manual_seed(0)
    model = GatedInteraction(6, 3, 9, slope=0.05, added=0.3, **SIZES).eval()
    frame, token = noise(6), noise(6, seed=1)

    def gate(layers: Any, x: Tensor) -> Tensor:
        y = layers[0](x)
        return torch.sigmoid(layers[2](torch.where(y < 0, 0.05 * y, y)))

    expected = frame * gate(model.gate_vision, frame) + 0.3 * token * gate(model.gate_text, token)
    torch.testing.assert_close(model.mixed(frame[None], token)[0], expected)


@torch.no_grad()
def test_the_paper_adds_what_the_released_code_throws_away() -> None:
    models = {
        each: built("clip-spm", formulation=each, query_consistency=1.0, query_text=0.5, **SIZES)
        for each in ("released", "paper")
    }
    given = lesson(models["paper"], episode(models["paper"]))
    released, paper = (models[each].training_loss(given) for each in ("released", "paper"))
    consistency, text = models["paper"].semantic_losses(given)
    # All of the queries, nothing of the support: the text loss is half of its two distances.
    assert float(paper - released) == pytest.approx(float(0.001 * (consistency + text)), rel=1e-3)
    other = replace(given, support=given.support.flip(0))  # type: ignore[union-attr]
    assert float(models["paper"].extra_loss(other)) == pytest.approx(
        float(models["paper"].extra_loss(given)), rel=1e-5
    )


def test_a_text_is_the_mean_of_sixteen_templates() -> None:
    assert len(set(TEMPLATES)) == 16
    model = built("clip-spm", **SIZES)
    tokens = episode(model).tokens
    assert tokens.shape[-2] == 16
    text = model.text_features(tokens)
    one_by_one = torch.stack([model.text.encoder(tokens[:, k : k + 1]).squeeze(1) for k in range(16)])
    torch.testing.assert_close(text, one_by_one.mean(0).unsqueeze(1))


def test_bad_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"query_text is 0\.7; it must be within 0 and 0\.5"):
        built("clip-spm", query_text=0.7)
    with pytest.raises(ConfigError, match=r"smoothing is 0\.0; it must be above 0"):
        built("clip-mei", smoothing=0.0)
