"""MoLo: appearance and motion, each with a token for the whole clip, matched as sets of frames."""
