"""D2ST-Adapter: deformable attention in space and time behind every block of a frozen ViT."""
