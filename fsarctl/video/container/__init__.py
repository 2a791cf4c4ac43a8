"""What a video's file says before a frame is decoded: what it is, whether it is whole, where to enter it."""
