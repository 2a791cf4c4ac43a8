"""The frame store: the frames of every clip of a split, decoded once and kept."""

__all__ = ["ASIDE"]

ASIDE = ("decoding.json", "failures.json")
"""Files of it that say how the frames were had."""
