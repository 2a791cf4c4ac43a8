"""Worker processes: the pool of those that decode, and what ends them with whoever started them."""

TIME_LIMIT_S = 60.0
"""How long one may be at a clip, if nobody says otherwise."""
