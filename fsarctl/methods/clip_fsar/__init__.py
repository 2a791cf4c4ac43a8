"""CLIP-FSAR: prototypes modulated by the text of their class, aligned in time."""
