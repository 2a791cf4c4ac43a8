"""Weights of backbones: where they come from, what files hold, and how their tensors are called."""
