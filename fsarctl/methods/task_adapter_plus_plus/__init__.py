"""Task-Adapter++: adapters inside a frozen CLIP, sub-actions in order, and stage-wise matching."""
