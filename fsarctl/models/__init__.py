"""Backbones and building blocks: adapters, attention, both branches, alignment and metrics.

They are imported from their own modules, so that importing one loads no other.
"""
