"""CLIP-MEI: clips told by text, by the task and by motion, aligned in time; queries see each other."""
