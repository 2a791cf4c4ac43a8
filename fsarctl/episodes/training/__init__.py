"""Training over episodes: steps, checkpoints, processes, and what is said of it meanwhile."""
