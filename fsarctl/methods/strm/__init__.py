"""STRM: patches and frames enriched before TRX, and a similarity of tuples beside it."""
