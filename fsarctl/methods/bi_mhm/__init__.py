"""Bi-MHM: the frames of two videos matched as sets, on a trained backbone."""
