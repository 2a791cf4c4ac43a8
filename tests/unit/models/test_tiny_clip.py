"""The shipped CLIP: its files fit together, it knows still pictures, and it has never met an action."""

import json
from importlib.resources import files

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional

from fsarctl.datasets.shapes.rendering import CLASSES, render_clip
from fsarctl.models import tiny_clip
from fsarctl.models.backbone import load_backbone
from fsarctl.models.tiny_clip.pretrain import encode_words, learn_merges
from fsarctl.models.tiny_clip.scenes import (
    MOST_OBJECTS,
    OBJECT,
    SCENE,
    Caption,
    Scene,
    agreement,
    describe,
    draw_scene,
)

DESCRIPTIONS = json.loads((files("fsarctl.prompts") / "shapes.json").read_text(encoding="utf-8"))
LABELS = [one.label for one in CLASSES]


@pytest.fixture(scope="module")
def tokenizer():
    return open_clip.SimpleTokenizer(bpe_path=str(tiny_clip.BPE))


@pytest.fixture(scope="module")
def scenes():
    generator = np.random.default_rng(11)
    return [draw_scene(generator, 64) for _ in range(400)]


def test_every_class_has_three_distinct_stages():
    assert list(DESCRIPTIONS) == LABELS
    for label, stages in DESCRIPTIONS.items():
        assert len(stages) == 3, label
        assert all(stage.endswith(".") for stage in stages), label
        assert stages[0] != stages[1] != stages[2] != stages[0], label
    assert len({tuple(stages) for stages in DESCRIPTIONS.values()}) == len(LABELS)


def test_prompts_fit_the_context_and_each_word_is_one_token(tokenizer):
    for label, stages in DESCRIPTIONS.items():
        for stage in stages:
            tokens = tokenizer.encode(f"A video of action about {label}: {stage}")
            assert len(tokens) + 2 <= 77
            words = [tokenizer.decoder[token] for token in tokens]
            assert all(word.endswith("</w>") for word in words), words


def test_any_word_has_tokens(tokenizer):
    assert (
        tokenizer.decode(tokenizer.encode("jonglieren mit 3 bällen 球")).strip()
        == "jonglieren mit 3 bällen 球"
    )


def test_files_fit_together_and_are_small(tokenizer):
    configuration = json.loads(tiny_clip.CONFIG.read_text(encoding="utf-8"))
    assert configuration["text_cfg"]["vocab_size"] == tokenizer.vocab_size
    assert tiny_clip.CONFIG.stem == tiny_clip.NAME
    assert tiny_clip.WEIGHTS.stat().st_size <= 8e6
    open_clip.add_model_config(tiny_clip.CONFIG)
    assert tiny_clip.NAME in open_clip.list_models()


def test_merges_are_byte_pairs_by_frequency():
    # "ab" is the most frequent pair; then "abc" ends a word twice.
    assert learn_merges(["abc", "abc", "xabc", "ab"])[:2] == [("a", "b"), ("ab", "c</w>")]
    assert encode_words([("a", "b")]) == encode_words([("a", "b")])


def test_sentences_are_true_of_their_own_scene_and_false_of_others(scenes):
    generator = np.random.default_rng(0)
    captions = [describe(scene, generator) for scene in scenes]
    truth = agreement(scenes, captions)
    assert truth.diagonal().all()
    assert 0.05 < truth.mean() < 0.35


def test_agreement_binds_attributes_to_one_object():
    def scene(*things):
        objects = np.full((MOST_OBJECTS, len(OBJECT)), -1)
        objects[: len(things), :2] = things
        return Scene(
            np.zeros((1, 1, 3), np.float32), np.zeros((1, 1), bool), objects, np.zeros(len(SCENE), int)
        )

    claim = np.array([0, 2, -1, -1, -1, -1, -1])  # kind 0 in colour 2
    caption = Caption("a blue circle", claim)
    assert agreement([scene((0, 2)), scene((0, 1), (1, 2))], [caption]).tolist() == [[True], [False]]


def test_no_sentence_holds_a_label_or_a_word_of_motion(scenes):
    generator = np.random.default_rng(1)
    moving = {
        "moves",
        "move",
        "circles",
        "visits",
        "grows",
        "shrinks",
        "turns",
        "appears",
        "fades",
        "joins",
        "leaves",
    }
    for _ in range(10):
        for scene in scenes:
            text = describe(scene, generator).text
            assert not any(label in text for label in LABELS), text
            assert not moving & set(text.replace(":", " ").replace(".", " ").split()), text


def test_it_tells_true_sentences_from_false_ones():
    backbone = load_backbone("tiny", "shipped")
    generator = np.random.default_rng(5)
    scenes = [draw_scene(generator, backbone.image_size) for _ in range(200)]
    pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (backbone.mean, backbone.std))
    captions = [describe(scene, generator) for scene in scenes]
    with torch.inference_mode():
        image = functional.normalize(backbone.clip.encode_image((pictures - mean) / std), dim=-1)
        text = functional.normalize(
            backbone.clip.encode_text(backbone.tokenize([one.text for one in captions])), dim=-1
        )
    likeness, truth = (image @ text.T).numpy(), agreement(scenes, captions)
    ranks = likeness.ravel().argsort().argsort()[truth.ravel()]
    true, false = truth.sum(), (~truth).sum()
    # Mann-Whitney: how often a true pair is closer than a false one.
    area = (ranks.sum() - true * (true - 1) / 2) / (true * false)
    assert area > 0.85


@pytest.mark.slow
def test_averaged_frames_cannot_tell_a_class_from_its_reverse():
    """2-way episodes of a test class and its reverse, every clip against the prototypes of the rest."""
    backbone = load_backbone("tiny", "shipped")
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (backbone.mean, backbone.std))
    clips = 16

    def features(label: str) -> torch.Tensor:
        videos = []
        for number in range(clips):
            video = render_clip(label, number, seed=3)
            frames = torch.from_numpy(video[((np.arange(8) + 0.5) * len(video) / 8).astype(int)]).permute(
                0, 3, 1, 2
            )
            videos.append(functional.interpolate(frames.float(), size=64, mode="bilinear", antialias=True))
        with torch.inference_mode():
            encoded = backbone.clip.encode_image((torch.cat(videos) / 255 - mean) / std)
        return functional.normalize(encoded, dim=-1).unflatten(0, (clips, 8))  # (clips, frames, embed)

    def accuracy(one: torch.Tensor, other: torch.Tensor) -> float:
        right = []
        for own, foreign in ((one, other), (other, one)):
            for query in range(clips):
                rest = [number for number in range(clips) if number != query]
                prototypes = torch.stack([own[rest].mean(0), foreign[rest].mean(0)])
                likeness = functional.cosine_similarity(own[query], prototypes, dim=-1)
                likeness = likeness.flatten(1).mean(1) if likeness.ndim > 1 else likeness
                right.append(float(likeness[0] > likeness[1]))
        return float(np.mean(right))

    in_order, averaged = [], []
    tests = [one for one in CLASSES if one.split == "test"]
    for forwards, backwards in zip(tests[::2], tests[1::2], strict=True):
        assert backwards.backwards
        assert backwards.motion is forwards.motion
        one, other = features(forwards.label), features(backwards.label)
        in_order.append(accuracy(one, other))
        averaged.append(accuracy(one.mean(1), other.mean(1)))
    assert abs(np.mean(averaged) - 0.5) < 0.08, averaged
    assert np.mean(in_order) > 0.65, in_order
