"""Results: predictions, intervals, comparisons, and the tables of sweeps."""
