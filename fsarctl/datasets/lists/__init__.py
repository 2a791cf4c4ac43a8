"""Lists of clips as they are in the wild: what each line says, and where its clip is on this disk."""
