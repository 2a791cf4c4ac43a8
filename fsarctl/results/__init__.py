"""Results: predictions, intervals, comparisons, and the tables of sweeps."""

__all__ = ["RECORDED"]

RECORDED = ("way", "query", "query_mode", "episodes", "seed", "split")
"""What of [eval] a result says, and its key holds."""
