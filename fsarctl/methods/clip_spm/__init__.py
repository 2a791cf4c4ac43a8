"""CLIP-SPM: CLIP-MEI with gates on what of a frame and of a token is read."""
