"""Prompt templates and sub-action descriptions, as editable data."""
