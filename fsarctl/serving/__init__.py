"""Answers over HTTP and from cameras: what stays loaded, and is asked by others."""
