"""ST-Adapter: depthwise convolutions over time in every block of a frozen ViT."""
