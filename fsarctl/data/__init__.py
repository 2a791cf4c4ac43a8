"""Clips, splits, decoders, the frame store and episodes."""
