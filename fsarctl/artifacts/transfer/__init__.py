"""Artifacts that come from, or go to, somebody else's store: as one file, or by way of a remote folder."""
