"""Worker processes: the pool of those that decode, and what ends them with whoever started them."""
