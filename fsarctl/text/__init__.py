"""Text: the sub-actions of each label, where they come from, and the prompts made of them."""
