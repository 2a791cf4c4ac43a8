"""The shortcuts of the released protocol do what DESIGN section 7 says of them, and nothing else does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import episode, small_backbone, small_model

from fsarctl.episodes.loader import EpisodeLoader
from fsarctl.episodes.shortcuts import TRUE_TEXTS, InClassOrder, SharedClips, TransposedProduct
from fsarctl.methods import parity


def test_the_transposed_product_gives_each_query_the_text_of_its_own_class() -> None:
    support, query, tokens = episode(way=3, shot=1, queries=3)
    honest = small_model()
    model = TransposedProduct(small_backbone(), visual_layers=2, text_layers=2, frames=4)
    model.load_adapter_state(honest.adapter_state())
    with torch.inference_mode():
        ours, theirs = honest(support, query, tokens), model(support, query, tokens)
    assert ours.video is not None
    assert ours.text is not None
    for q in range(3):
        for c in range(3):
            torch.testing.assert_close(theirs.score[q, c], ours.video[q, c] * ours.text[c, q])
    torch.testing.assert_close(theirs.score.diagonal(), ours.score.diagonal())
    assert not torch.allclose(theirs.score, ours.score)


def test_class_order_is_the_same_episode(make_store: Callable[..., Any]) -> None:
    store = make_store(5, 4)
    tokens = {label: torch.zeros(3, 8, dtype=torch.long) for label in store.classes}
    shape: Any = {"seed": 0, "way": 3, "shot": 2, "query": 1, "side": 16, "crop": "centre"}
    shuffled, ordered = (kind(store, tokens, "test", **shape) for kind in (EpisodeLoader, InClassOrder))
    moved = 0
    for number in range(20):
        one, other = shuffled.episode(number), ordered.episode(number)
        assert other.targets.tolist() == [0, 1, 2]
        assert one.classes == other.classes
        assert (one.support == other.support).all()
        place = np.argsort(one.targets)
        assert (one.query[place] == other.query).all()
        moved += one.targets.tolist() != [0, 1, 2]
    assert moved > 10
    assert (ordered.load(0).targets == torch.arange(3)).all()


def test_queries_drawn_apart_may_be_support_clips_and_often_are(make_store: Callable[..., Any]) -> None:
    store = make_store(4, 4)
    tokens = {label: torch.zeros(3, 8, dtype=torch.long) for label in store.classes}
    shape: Any = {"seed": 0, "way": 3, "shot": 2, "query": 2, "side": 16, "crop": "centre"}
    honest, shared = (kind(store, tokens, "test", **shape) for kind in (EpisodeLoader, SharedClips))
    among = 0
    for number in range(100):
        one, other = honest.episode(number), shared.episode(number)
        assert (one.support == other.support).all()
        assert (one.targets == other.targets).all()
        assert not set(one.query.tolist()) & set(one.support.reshape(-1).tolist())
        for query, target in zip(other.query.tolist(), other.targets.tolist(), strict=True):
            assert query in store.rows_of(other.classes[target])
            among += query in other.support[target]
    assert among / 600 == pytest.approx(0.5, abs=0.08)  # 2 of 4 clips of a class


@pytest.mark.parametrize("name", ["clip-mei", "clip-spm"])
def test_a_query_that_is_told_its_class_is_scored_as_the_released_code_scores_it(name: str) -> None:
    """The golden files' queries see each other; the first one alone is what the released code leaks into."""
    path = Path(__file__).parents[2] / "golden" / "methods" / f"golden_{name.replace('-', '_')}.npz"
    rows = {row.name: row.relative for row in parity.differences(path)}
    assert rows["logits_first_query_alone"] < 1e-5
    texts = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    known = TRUE_TEXTS[name].known_alone(None, texts, 6, 2)  # type: ignore[arg-type]
    assert known.shape == (6, 4)
    for j in range(6):
        told = [texts[j // 2]]
        if name == "clip-spm":
            told += [text for text in texts for _ in range(2)]
        torch.testing.assert_close(known[j], torch.stack(told).mean(0))
