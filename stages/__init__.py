"""The stages of the pipeline. They never import each other: they meet only through artifacts."""
