"""*shapes*: a few-shot action benchmark that is rendered on the spot."""
