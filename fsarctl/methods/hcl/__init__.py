"""HCL: clips matched as a whole, by pairs of frames and by places within them."""
