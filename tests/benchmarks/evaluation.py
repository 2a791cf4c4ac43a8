"""Evaluation against the plain path: the marginal cost of an episode, and the one-off cost of a clip."""

import tempfile
import time
from pathlib import Path

import torch
from made import VIT, flops_of, noise_loader, random_model
from plain_path import plain_scores
from timing import Options, Row, print_rows, side_by_side

from fsarctl.artifacts.unfinished.blocks import Blocks
from fsarctl.artifacts.unfinished.shared_parts import SharedParts
from fsarctl.episodes.feature_cache import Room
from fsarctl.episodes.kept_prefixes import KeptPrefixes
from fsarctl.episodes.scoring import Scorer
from fsarctl.progress import SILENT

ASKED = {(VIT, 2): "8.5", (VIT, 6): "1.8"}
CLIPS, EPISODES = 2400, 10_000
"""Of a usual evaluation, over which what is done once for each clip is spread."""

MODELS = 3
"""That differ in their adapters, as those of 1, 3 and 5 shots do."""


def measure(backbone: str, layers: int, repeats: int) -> list[Row]:
    """5-way 1-shot, joint, float32, with as many threads as torch takes."""
    model = random_model(backbone, layers)
    with tempfile.TemporaryDirectory() as folder:
        # Every clip takes part in every episode, so that one episode computes them all.
        loader = noise_loader(model, Path(folder), classes=5, clips=2, way=5, shot=1)
        scorer = Scorer(model, loader)
        batch = loader.load(0)

        def ours() -> torch.Tensor:
            return next(scorer.score([0]))[1].score[0]

        def plain() -> torch.Tensor:
            with torch.inference_mode():
                support, query = model.normalise(batch.support), model.normalise(batch.query)
                return plain_scores(model, support, query, batch.tokens).score

        start = time.perf_counter()
        ours()
        first = time.perf_counter() - start
        difference = (ours() - plain()).abs().max().item()
        marginal, whole = side_by_side([ours, plain], repeats)
        fewer, all_of_it = flops_of(ours), flops_of(plain)

        blocks = Blocks(len(loader.store), 1, Path(folder), "", ".safetensors", "")
        parts = SharedParts(blocks, SILENT, thin_out=lambda most: 0, most=2**30)

        def first_episodes(lasting: KeptPrefixes | None) -> None:
            loader.lasting = lasting
            for _ in range(MODELS):
                next(Scorer(model, loader, room=Room(disk=2**30)).score([0]))

        kept = KeptPrefixes(parts, model.prefix_flop)
        together, apart = side_by_side([lambda: first_episodes(kept), lambda: first_episodes(None)], 1)
    clip = (first - marginal) / len(loader.store)
    spread = marginal + clip * CLIPS / EPISODES
    name = f"{backbone} L = {layers}"
    return [
        Row(f"{name}: seconds an episode", f"{marginal:.3f}", f"{whole:.3f}", whole / marginal,
            f"{ASKED.get((backbone, layers), '')}"),
        Row(f"{name}: GFLOP an episode", f"{fewer / 1e9:.1f}", f"{all_of_it / 1e9:.1f}",
            all_of_it / fewer, ""),
        Row(f"{name}: seconds a clip, once", f"{clip:.3f}", "", None, ""),
        Row(f"{name}: seconds an episode, of {EPISODES:,} over {CLIPS:,} clips, all in",
            f"{spread:.3f}", f"{whole:.3f}", whole / spread, ""),
        Row(f"{name}: seconds of {MODELS} models' first episodes, prefixes shared; each alone",
            f"{together:.2f}", f"{apart:.2f}", apart / together, ""),
        Row(f"{name}: largest difference of a score", f"{difference:.1e}", "", None, "1e-5"),
    ]  # fmt: skip


def main(options: Options) -> None:
    """Print the table."""
    rows = measure("tiny", 2, 2 if options.quick else 20)
    if not options.quick:
        rows = [*measure(VIT, 2, 3), *measure(VIT, 6, 3), *rows]
    title = "Evaluation: ours against the plain path, 5-way 1-shot, 8 frames, joint, float32, medians"
    print_rows(title, rows)


if __name__ == "__main__":
    main(Options())
