"""Probes: four small benchmarks, rendered on the spot. In each one ability alone tells the classes."""
