"""Episodes: drawn, loaded, trained on and evaluated."""
