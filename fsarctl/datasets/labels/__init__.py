"""Labels: lists of them, what labels that are numbers mean, and when two spellings are of one."""
