"""Make the tiny CLIP again: ``python -m fsarctl.models.tiny_clip.pretrain --seed 0 --out FILE``.

Writes the weights to FILE, and the tokenizer's merges and the model configuration beside it. Training
sees still pictures and sentences about them (``scenes``), easy ones first, never a clip and never a label;
of the benchmark's labels and descriptions only the spelling of their words is used, to give each one token.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from fsarctl.models.tiny_clip import BPE, CONFIG, NAME
from fsarctl.models.tiny_clip.scenes import WORDS, agreement, atoms, describe, draw_scene

__all__ = ["encode_words", "learn_merges", "pretrain"]

STEPS = 1200
BATCH = 128
POOL = 4096  # scenes at hand; some are replaced at every step, so that drawing costs less than learning
FRESH = 64
PEAK_RATE = 1.5e-3
EASY = 0.35  # share of the steps in which easy scenes give way to hard ones
SPELLING = 0.6  # share of the steps that see single claims only, before whole sentences
WEIGHT_DECAY = 0.05

MEAN = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
DEVIATION = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until each word is one token."""
    spellings = [[*word[:-1], word[-1] + "</w>"] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for parts in spellings for pair in pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spellings = [_merged(parts, best) for parts in spellings]


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def encode_words(merges: list[tuple[str, str]]) -> bytes:
    """The merges in the form that open_clip's tokenizer reads: a line to skip, then one merge a line."""
    text = "\n".join(["#version: 0.2", *(" ".join(merge) for merge in merges)])
    return gzip.compress(text.encode(), mtime=0)


def pretrain(seed: int, out: Path, steps: int = STEPS) -> None:
    """Train from nothing and write FILE, ``BPE``'s and ``CONFIG``'s namesakes beside it."""
    corpus = json.loads((files("fsarctl.prompts") / "shapes.json").read_text(encoding="utf-8"))
    spoken = " ".join([*WORDS, *corpus, *(stage for stages in corpus.values() for stage in stages)])
    words = {"".join(filter(str.isalpha, part)) for part in spoken.lower().replace("-", " ").split()} - {""}
    bpe, config = out.with_name(BPE.name), out.with_name(CONFIG.name)
    bpe.write_bytes(encode_words(learn_merges(words)))
    tokenizer = SimpleTokenizer(bpe_path=str(bpe))
    shape = json.loads(CONFIG.read_text(encoding="utf-8"))
    shape["text_cfg"]["vocab_size"] = tokenizer.vocab_size
    config.write_text(json.dumps(shape, indent=4) + "\n", encoding="utf-8")

    torch.set_num_threads(
        1
    )  # more threads add up in another order, and cost more than they save at this size
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG.name).write_text(json.dumps(shape), encoding="utf-8")
        open_clip.add_model_config(folder)
        model = open_clip.create_model(NAME)
    # open_clip's start makes a patch's place a sixth as loud as its colours; places are half of the matter.
    nn.init.normal_(model.visual.positional_embedding, std=0.5)
    _train(model, tokenizer, shape["vision_cfg"]["image_size"], seed, steps)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, out)


def _train(model: Any, tokenizer: SimpleTokenizer, side: int, seed: int, steps: int) -> None:
    """Sigmoid contrastive loss: each picture of a batch with each caption, true pairs against false ones."""
    generator = np.random.default_rng(seed)
    bias = nn.Parameter(torch.tensor(-3.0))
    decayed = [value for value in model.parameters() if value.ndim >= 2]
    patch = side // int(model.visual.grid_size[0])
    finders = nn.ModuleList(
        [
            nn.Linear(model.visual.conv1.out_channels, 1),
            nn.Linear(model.visual.output_dim, (side // patch) ** 2),
        ]
    )
    others = [bias, *finders.parameters(), *(value for value in model.parameters() if value.ndim < 2)]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1)
    model.visual.output_tokens = True
    pool = [draw_scene(generator, side, ease=1.0) for _ in range(POOL)]
    start, running = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        for place in range(step * FRESH, (step + 1) * FRESH):
            pool[place % POOL] = draw_scene(generator, side, ease=1 - step / (EASY * steps))
        scenes = [pool[index] for index in generator.choice(POOL, BATCH, replace=False)]
        if step <= SPELLING * steps:
            captions = atoms(generator)
        else:
            captions = [describe(scene, generator) for scene in scenes]
        truth = torch.from_numpy(agreement(scenes, captions)).float()
        pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes])).permute(0, 3, 1, 2)
        pooled, patches = model.visual((pictures - MEAN) / DEVIATION)
        image = functional.normalize(pooled, dim=-1)
        text = functional.normalize(_encode_text(model, tokenizer([one.text for one in captions])), dim=-1)
        logits = model.logit_scale.exp() * image @ text.T + bias  # (scenes, captions)
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        # Where the shapes are, asked outright, is learnt in minutes; from sentences alone, hardly in an hour.
        cover = torch.from_numpy(np.stack([scene.cover for scene in scenes])).float()
        cover = functional.avg_pool2d(cover, patch).flatten(1)  # (scenes, patches)
        of_patches, of_picture = finders[0](patches).squeeze(-1), finders[1](pooled)
        found = functional.binary_cross_entropy_with_logits(of_patches, cover)
        found = found + functional.binary_cross_entropy_with_logits(of_picture, cover)
        torch.autograd.backward(loss + found)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            right = ((logits > 0) == truth.bool()).float()
            hit, pass_by = right[truth > 0].mean().item(), right[truth == 0].mean().item()
            seconds = time.monotonic() - start
            print(
                f"step {step}/{steps}  loss {running:.4f}  true found {hit:.3f}  false refused {pass_by:.3f}"
                f"  cover {found.item():.4f}"
                f"  {step / seconds:.2f} steps/s",
                flush=True,
            )


def _encode_text(model: Any, tokens: Tensor) -> Tensor:
    """encode_text without the padding: tokens after the end of the text cannot reach it (causal mask)."""
    length = int((tokens != 0).sum(1).max())
    tokens = tokens[:, :length]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    features: Tensor = x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection
    return features


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the weight file to write (.safetensors)")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    pretrain(options.seed, options.out, options.steps)


if __name__ == "__main__":
    main()
