"""Results that leave the project: one file that another one can be compared with, and an appendix to read."""
