"""ARN: clips described by how their channels go together, and compared by a network."""
