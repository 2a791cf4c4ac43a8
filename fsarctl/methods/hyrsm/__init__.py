"""HyRSM: relations within a video and across a task, then matching of sets of frames."""
