"""Where the model looks, against a block written out, and Figure 11's bars against loops."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_model import episode, small_model
from torch.nn.functional import cosine_similarity, layer_norm, linear
from torch.testing import assert_close

from fsarctl.config.model_table import ModelConfig
from fsarctl.episodes.illustration import glance
from fsarctl.episodes.loader import EpisodeLoader, score_batch
from fsarctl.models.attention_maps import class_attention
from fsarctl.models.segments import segments, stage_frames
from fsarctl.models.sub_action_alignment import stage_scores, text_scores


def looped_attention(attention: torch.nn.MultiheadAttention, tokens: torch.Tensor) -> torch.Tensor:
    """One video's frame: tokens (N+1, width) -> (N,), head by head."""
    width, heads = attention.embed_dim, attention.num_heads
    size = width // heads
    q, k, _ = linear(tokens, attention.in_proj_weight, attention.in_proj_bias).split(width, dim=-1)
    shares = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        products = torch.stack([q[0, part] @ k[n, part] for n in range(len(tokens))]) / math.sqrt(size)
        shares.append(products.exp()[1:] / products.exp().sum())
    return torch.stack(shares).mean(0)


def test_class_attention_is_the_softmax_of_the_class_tokens_products() -> None:
    block = small_model().visual.vit.transformer.resblocks[-1]
    tokens = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    expected = looped_attention(block.attn, tokens)
    assert_close(class_attention(block.attn, tokens), expected)
    # and it is what PyTorch's own attention reports
    _, weights = block.attn(tokens[None], tokens[None], tokens[None], need_weights=True)
    assert_close(expected, weights[0, 0, 1:])
    assert_close(class_attention(block.attn, tokens.expand(2, 3, 5, 32)), expected.expand(2, 3, 4))


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "frozen"},
        {"strategy": "aim"},
        {"strategy": "task-adapter"},
        {},
        {"visual_layers": 1},
        {"visual_position": "all"},
        {"visual_position": "bottom", "visual_layers": 1},
        {"adapters": ["task"]},
        {"task_position": "before"},
        {"task_position": "between"},
    ],
)
@pytest.mark.parametrize("mode", ["joint", "independent"])
def test_the_map_is_of_what_the_last_s_msa_reads(options: dict[str, Any], mode: Any) -> None:
    model = small_model(**options)
    _, query, _ = episode()
    features, maps = model.look(query, mode)
    assert maps.shape == (4, 4, 2, 2)
    assert (maps > 0).all()
    assert (maps.sum((-1, -2)) < 1).all(), "the class token's share for itself is left out"
    with torch.no_grad():
        assert_close(features, model.query_features(model.visual.video(query), query_mode=mode))
    # Moving S-MSA's own input moves the map; what the block does afterwards does not.
    tokens = last_block_input(model, query, mode)
    block = model.visual.vit.transformer.resblocks[-1]
    read = layer_norm(tokens, (32,), block.ln_1.weight, block.ln_1.bias, block.ln_1.eps)
    expected = torch.stack([looped_attention(block.attn, frame) for frame in read.flatten(0, 1)])
    assert_close(maps.flatten(0, 1).flatten(1), expected.detach())


def last_block_input(model: Any, query: torch.Tensor, mode: str) -> torch.Tensor:
    """(queries, T, N+1, width) as S-MSA of the last block gets it: the steps before it, written out."""
    visual = model.visual
    sets = query[:, None] if mode == "independent" else query[None]
    x = visual.prefix(sets)
    for number in range(visual.first_adapted, visual.last + 1):
        block = visual.vit.transformer.resblocks[number]
        adapters = dict(visual.adapters.items()).get(str(number))

        def attended(x: torch.Tensor, axis: int, block: Any = block) -> torch.Tensor:
            y = block.ln_1(x).movedim(axis, -2)
            flat = y.reshape(-1, *y.shape[-2:])
            return block.attn(flat, flat, flat, need_weights=False)[0].view(y.shape).movedim(-2, axis)

        steps = [*adapters.steps_alone, *adapters.steps_together] if adapters else ["spatial"]
        for step in steps:
            if step == "spatial":
                if number == visual.last:
                    return x.reshape(*query.shape[:2], *x.shape[-2:])
                spatial = attended(x, -2)
                x = x + (adapters.spatial(spatial) if adapters and adapters.spatial else spatial)
            else:
                x = x + getattr(adapters, step)(attended(x, {"temporal": -3, "task": -4}[step]))
        y = block.ln_2(x)
        joint = adapters.joint(y) if adapters is not None and adapters.joint is not None else 0
        x = x + block.mlp(y) + joint
    raise AssertionError("the last block was not reached")


@pytest.mark.parametrize("reading", ["cosine_of_mean", "mean_of_cosines"])
@pytest.mark.parametrize(("aligned", "stages"), [(7, 3), (5, 3), (7, 1)])
def test_stage_scores_are_every_segment_against_every_sub_action(
    reading: Any, aligned: int, stages: int
) -> None:
    generator = torch.Generator().manual_seed(2)
    frames = torch.randn(4, aligned, 6, generator=generator)
    text = torch.randn(5, stages, 6, generator=generator)
    scores = stage_scores(frames, text, reading=reading)
    assert scores.shape == (4, 5, stages, stages)
    for q in range(4):
        for c in range(5):
            for s, segment in enumerate(segments(aligned, stages)):
                for k in range(stages):
                    part = frames[q, segment.start : segment.stop]
                    if reading == "cosine_of_mean":
                        expected = cosine_similarity(part.mean(0), text[c, k], dim=0)
                    else:
                        expected = cosine_similarity(part, text[c, k].expand_as(part), dim=1).mean()
                    assert_close(scores[q, c, s, k], expected)
    diagonal = scores.diagonal(dim1=-2, dim2=-1).mean(-1)
    assert_close(diagonal, text_scores(frames, text, reading=reading))


def test_the_frames_of_a_stage() -> None:
    # Aligned frames 1-3, 3-5, 5-7 of the paper, each made of a frame and the next one.
    config = ModelConfig()
    assert stage_frames(config, 8) == (range(0, 4), range(2, 6), range(4, 8))
    none = ModelConfig(alignment="none")
    assert stage_frames(none, 7) == (range(0, 3), range(2, 5), range(4, 7))
    two = ModelConfig(alignment_layers=2)
    assert stage_frames(two, 9) == (range(0, 5), range(2, 7), range(4, 9))
    assert stage_frames(ModelConfig(sub_actions="none"), 8) == (range(0, 8),)


@pytest.mark.parametrize("mode", ["joint", "independent"])
@pytest.mark.parametrize("options", [{}, {"score": "video"}, {"score": "text"}, {"sub_actions": "average"}])
def test_a_glance_gives_the_scores_of_evaluation(
    make_store: Callable[..., Any], make_model: Callable[..., Any], mode: Any, options: dict[str, Any]
) -> None:
    from fsarctl.methods.build import tokens_of

    model, store = make_model(**options), make_store(4, 6)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    tokens = tokens_of(model, dict.fromkeys(store.classes, ("It starts.", "It goes on.", "It ends.")))
    loader = EpisodeLoader(store, tokens, "test", seed=0, way=3, shot=2, query=2, side=16, crop="centre")
    seen = glance(model, loader, 3, mode)
    with torch.inference_mode():
        expected = score_batch(model, loader.load(3), mode)
    assert_close(torch.from_numpy(seen.scores), expected.score, rtol=0, atol=1e-6)
    assert seen.maps.shape == (6, 4, 2, 2)
    assert (seen.stages is None) == (options.get("score") == "video")
    if seen.stages is not None:
        assert expected.text is not None
        diagonal = torch.from_numpy(seen.stages).diagonal(dim1=-2, dim2=-1).mean(-1)
        assert_close(diagonal, expected.text, rtol=0, atol=1e-6)
