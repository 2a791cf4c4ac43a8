"""Who does the work: devices, memory, and commands beside each other."""
