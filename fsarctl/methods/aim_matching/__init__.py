"""AIM: adapters behind a frozen ViT's attention, used over time as well, and beside its MLP."""
