"""Naming the action of new clips from a support set."""
