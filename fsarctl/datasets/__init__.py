"""Datasets: which clips there are, of which class and split, and whether they are enough."""
