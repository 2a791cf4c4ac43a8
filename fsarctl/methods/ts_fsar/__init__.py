"""TS-FSAR: a ladder network beside a frozen CLIP, and correlations of distances matched frame by frame."""
