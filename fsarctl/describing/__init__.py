"""Asking a language model for sub-actions, and keeping every answer that was paid for."""
