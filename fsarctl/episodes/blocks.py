"""How episodes are shared out: in blocks, of which a process that only gives them to others knows too."""

from pathlib import Path

from fsarctl.artifacts.unfinished.blocks import Blocks

__all__ = ["episode_blocks"]

BLOCK_EPISODES = 100


def episode_blocks(episodes: int, scratch: Path, of: str) -> Blocks:
    """The blocks of so many episodes; ``of`` is the build that ``scratch`` belongs to."""
    again = "Its episodes are scored again."
    return Blocks(episodes, BLOCK_EPISODES, scratch, of, ".safetensors", again)
