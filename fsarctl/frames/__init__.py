"""The frame store: the frames of every clip of a split, decoded once and kept."""
