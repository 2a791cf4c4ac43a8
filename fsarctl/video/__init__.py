"""Video files: from a file to the right frames, or a reason why not."""
