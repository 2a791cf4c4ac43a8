"""Clips that are folders of images, one a frame: which images they are, and from them to the right frames."""
