"""Task-Adapter++: backbone, adapters, both branches, alignment and metrics."""
