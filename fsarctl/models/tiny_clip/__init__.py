"""The shipped backbone: a CLIP of one million weights that knows still pictures of shapes.

``fsarctl.models.tiny_clip.pretrain`` makes the weights and the tokenizer's merges from a seed.
"""

from pathlib import Path

__all__ = ["BPE", "CONFIG", "NAME", "WEIGHTS"]

NAME = "fsarctl-tiny"  # open_clip names a model after its configuration file
CONFIG = Path(__file__).with_name(f"{NAME}.json")
WEIGHTS = Path(__file__).with_name(f"{NAME}.safetensors")
BPE = Path(__file__).with_name(f"{NAME}-bpe.txt.gz")
