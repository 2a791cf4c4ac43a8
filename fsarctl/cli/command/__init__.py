"""What every command shares: the project it works on, its options, and options of several words."""
