"""A trained model with its support set, for use without fsarctl."""
