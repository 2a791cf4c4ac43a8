"""Eq. 15-17 against loops that read like the equations."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, layer_norm
from torch.testing import assert_close

from fsarctl.models.sub_action_alignment import (
    Alignment,
    ConvAlignment,
    alignment_of,
    segment_weights,
    text_scores,
)


def looped_alignment(features, residual, norm):
    queries, frames, embed = features.shape
    rows = []
    for i in range(1, frames):
        earlier, later = features[:, i - 1], features[:, i]
        row = []
        for q in range(queries):
            weights = torch.stack([(earlier[q] * later[k]).sum() / math.sqrt(embed) for k in range(queries)])
            attended = (weights.exp()[:, None] * later).sum(0) / weights.exp().sum()
            if norm is not None:
                attended = layer_norm(attended, (embed,), norm.weight, norm.bias)
            row.append(attended + (earlier[q] if residual == "query" else later[q]))
        rows.append(torch.stack(row))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("residual", ["query", "key"])
@pytest.mark.parametrize("frames", [2, 3, 8])
def test_alignment_is_equation_15(frames, residual, norm):
    torch.manual_seed(0)
    features = torch.randn(4, frames, 6)
    alignment = Alignment(6, residual=residual, norm=norm)
    for parameter in alignment.parameters():
        torch.nn.init.normal_(parameter)
    expected = looped_alignment(features, residual, alignment.norm if norm else None)
    assert_close(alignment(features), expected)


def test_one_query_gets_its_own_next_frame():
    features = torch.randn(1, 5, 6)
    assert_close(Alignment(6)(features), features[:, 1:] + features[:, :-1])


def test_segments_of_eight_frames_are_the_papers():
    third = 1 / 3
    expected = torch.tensor(
        [
            [third, third, third, 0, 0, 0, 0],
            [0, 0, third, third, third, 0, 0],
            [0, 0, 0, 0, third, third, third],
        ]
    )
    assert_close(segment_weights(8), expected)


@pytest.mark.parametrize("frames", range(2, 33))
def test_segments_cover_any_number_of_frames(frames):
    weights = segment_weights(frames)
    assert weights.shape == (3, frames - 1)
    assert_close(weights.sum(1), torch.ones(3))
    assert (weights.sum(0) > 0).all(), "every frame belongs to a stage"
    assert_close(weights, weights.flip(0, 1)), "time reversed, the stages are reversed"
    first = [int(row.nonzero()[0]) for row in weights]
    last = [int(row.nonzero()[-1]) for row in weights]
    assert first == sorted(first)
    assert (first[0], last[2]) == (0, frames - 2)
    assert last[0] == first[1]
    assert last[1] == first[2]


@pytest.mark.parametrize("reading", ["cosine_of_mean", "mean_of_cosines"])
def test_text_scores_are_equation_17(reading):
    torch.manual_seed(1)
    aligned, text = torch.randn(4, 7, 6), torch.randn(5, 3, 6)
    expected = torch.zeros(4, 5)
    for q in range(4):
        for c in range(5):
            for s, frames in enumerate([(0, 1, 2), (2, 3, 4), (4, 5, 6)]):
                parts = [aligned[q, i] for i in frames]
                if reading == "cosine_of_mean":
                    cosine = cosine_similarity(sum(parts) / 3, text[c, s], dim=0)
                else:
                    cosine = sum(cosine_similarity(part, text[c, s], dim=0) for part in parts) / 3
                expected[q, c] += cosine / 3
    assert_close(text_scores(aligned, text, reading=reading), expected)


@pytest.mark.parametrize("reading", ["cosine_of_mean", "mean_of_cosines"])
def test_one_text_feature_is_matched_with_the_whole_video(reading):
    torch.manual_seed(1)
    aligned, text = torch.randn(4, 7, 6), torch.randn(5, 1, 6)
    expected = torch.zeros(4, 5)
    for q in range(4):
        for c in range(5):
            if reading == "cosine_of_mean":
                expected[q, c] = cosine_similarity(aligned[q].mean(0), text[c, 0], dim=0)
            else:
                expected[q, c] = cosine_similarity(aligned[q], text[c], dim=1).mean()
    assert_close(text_scores(aligned, text, reading=reading), expected)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_of_attention_are_stacked(layers):
    torch.manual_seed(0)
    features = torch.randn(4, 8, 6)
    expected = features
    for _ in range(layers):
        expected = looped_alignment(expected, "key", None)
    aligned = alignment_of("attention", 6, layers=layers, residual="key")(features)
    assert aligned.shape == (4, 8 - layers, 6)
    assert_close(aligned, expected)


@pytest.mark.parametrize("frames", [2, 8])
def test_the_convolution_sees_a_frame_and_its_neighbours(frames):
    torch.manual_seed(0)
    features = torch.randn(3, 4, frames, 6)
    alignment = ConvAlignment(6, generator=torch.Generator().manual_seed(0))
    weight, bias = alignment.conv.weight, alignment.conv.bias
    padded = torch.cat([torch.zeros(3, 4, 1, 6), features, torch.zeros(3, 4, 1, 6)], dim=2)
    expected = torch.stack(
        [sum(padded[:, :, t + k] @ weight[:, :, k].T for k in range(3)) + bias for t in range(frames)],
        dim=2,
    )
    assert weight.abs().max() <= 1 / math.sqrt(18)
    assert_close(alignment(features), expected)
    again = ConvAlignment(6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.conv.weight, weight)


def test_no_alignment_is_the_features():
    features = torch.randn(4, 8, 6)
    assert alignment_of("none", 6)(features) is features
    assert alignment_of("attention", 6)(features).shape[-2] == features.shape[-2] - 1, "one layer"
