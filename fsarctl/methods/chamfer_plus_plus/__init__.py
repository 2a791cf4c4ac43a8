"""Chamfer++: ordered triples of frames under a learned projection, matched as sets."""
